//! Each finding that an operator must see, and what is not a fault.

use super::super::facts::LastAttempt;
use super::*;
use crate::operations::owner::Owner;
use crate::repository::{BackupState, Damaged, LastVerified, Unreadable, UnreadableState};

const NOW: &str = "2026-02-11T14:30:00Z";

fn now() -> Timestamp {
    NOW.parse().expect("a time")
}

fn options() -> CheckOptions {
    CheckOptions {
        target: None,
        max_age: Duration::from_secs(26 * 3600),
        verified_within: None,
        min_backups: 1,
    }
}

fn id(hours_ago: i64) -> String {
    let at = now() - SignedDuration::from_hours(hours_ago);
    format!("backup-{}-00000000", at.strftime("%Y%m%d-%H%M%S"))
}

fn done(mode: &str, ok: bool, hours_ago: i64) -> LastVerified {
    LastVerified {
        at: (now() - SignedDuration::from_hours(hours_ago)).to_string(),
        mode: mode.to_owned(),
        ok,
        ..LastVerified::default()
    }
}

fn backup(hours_ago: i64, state: BackupState, last: Option<LastVerified>) -> Summary {
    Summary {
        created_at: (now() - SignedDuration::from_hours(hours_ago)).to_string(),
        last_verified: last,
        ..Summary::example(&id(hours_ago), "far", state)
    }
}

fn target(backups: Vec<Summary>) -> TargetFacts {
    TargetFacts {
        name: "far".to_owned(),
        listing: Ok(Listing {
            backups,
            ..Listing::default()
        }),
        last: None,
        is_optional: false,
    }
}

fn facts(targets: Vec<TargetFacts>) -> Facts {
    Facts {
        schedules: None,
        now: now(),
        own: None,
        owner: Owner::default(),
        needs_metadata: true,
        targets,
        interrupted: None,
        unread: None,
    }
}

/// Guards against: another line than the documented one, which scripts read.
#[test]
fn all_is_well_in_one_line() {
    use BackupState::{Ok as Fine, Unverified};
    let backups = vec![
        backup(3, Unverified, None),
        backup(27, Fine, Some(done("full", true, 50))),
    ];
    let report = evaluate(&options(), &facts(vec![target(backups)]));
    assert_eq!(
        report.line,
        format!(
            "OK: target far: newest backup {} 3h old (limit 26h), verified 2d ago",
            id(3)
        )
    );
    assert!(report.ok && report.targets[0].backups == 2);
    assert_eq!(report.targets[0].age_seconds, Some(3 * 3600));
}

/// Guards against: a fault that monitoring does not report.
#[test]
fn each_fault_is_critical_and_named() {
    use BackupState::{Damaged as Bad, Ok as Fine, Unverified};
    let fresh = || backup(3, Unverified, None);
    let strict = CheckOptions {
        verified_within: Some(Duration::from_secs(7 * 86_400)),
        min_backups: 2,
        ..options()
    };
    let failed = |hours_ago: i64, error: Option<&str>| TargetFacts {
        last: Some(LastAttempt {
            started_at: now() - SignedDuration::from_hours(hours_ago),
            error: error.map(str::to_owned),
        }),
        ..target(vec![fresh()])
    };
    let broken = |hours_ago: i64| TargetFacts {
        listing: Ok(Listing {
            backups: vec![fresh()],
            damaged: vec![Damaged {
                backup_id: id(hours_ago),
                target: "far".to_owned(),
                state: Bad,
                detail: "manifest.json is missing".to_owned(),
            }],
            ..Listing::default()
        }),
        ..target(Vec::new())
    };
    let archived = TargetFacts {
        listing: Ok(Listing {
            unreadable: vec![Unreadable {
                backup_id: id(1),
                target: "far".to_owned(),
                state: UnreadableState::Archived,
                detail: "it is archived".to_owned(),
            }],
            ..Listing::default()
        }),
        ..target(Vec::new())
    };
    let dead = TargetFacts {
        listing: Err("no\nroute".to_owned()),
        ..target(Vec::new())
    };
    let both = vec![fresh(), backup(30, Fine, Some(done("sample", true, 24)))];
    let quick = vec![fresh(), backup(30, Fine, Some(done("quick", true, 24)))];
    let late = vec![fresh(), backup(30, Fine, Some(done("full", true, 200)))];
    let bad = || backup(1, Bad, Some(done("full", false, 0)));
    let cases = [
        ("fine", options(), target(vec![fresh()]), None),
        ("none", options(), target(vec![]), Some("no good backup")),
        (
            "old",
            options(),
            target(vec![backup(27, Unverified, None)]),
            Some("1d 3h old (limit 26h)"),
        ),
        (
            "damaged",
            options(),
            target(vec![bad(), fresh()]),
            Some("the newer backup"),
        ),
        (
            "only damaged",
            options(),
            target(vec![bad()]),
            Some("no good"),
        ),
        (
            "damaged long ago",
            options(),
            target(vec![fresh(), backup(50, Bad, None)]),
            None,
        ),
        ("broken", options(), broken(1), Some("is damaged")),
        ("broken long ago", options(), broken(90), None),
        ("archived", options(), archived, Some("is archived")),
        ("dead", options(), dead, Some("can't be listed: no route")),
        (
            "future",
            options(),
            target(vec![backup(-3, Unverified, None), fresh()]),
            Some("in the future"),
        ),
        (
            "failed since",
            options(),
            failed(1, Some("disk full")),
            Some("the last backup failed 1h ago: disk full"),
        ),
        ("failed before", options(), failed(9, Some("x")), None),
        ("went well since", options(), failed(1, None), None),
        ("strict", strict.clone(), target(both), None),
        (
            "quick reads nothing",
            strict.clone(),
            target(quick),
            Some("never verified (limit 7d)"),
        ),
        (
            "verified long ago",
            strict.clone(),
            target(late),
            Some("verified 8d ago (limit 7d)"),
        ),
        (
            "too few",
            strict,
            target(vec![backup(3, Fine, Some(done("full", true, 1)))]),
            Some("1 good backups of at least 2"),
        ),
    ];
    for (case, options, target, fault) in cases {
        let report = evaluate(&options, &facts(vec![target]));
        assert_eq!(report.ok, fault.is_none(), "{case}: {}", report.line);
        let start = if report.ok { "OK: " } else { "CRITICAL: " };
        assert!(report.line.starts_with(start), "{case}: {}", report.line);
        assert!(!report.line.contains('\n'), "{case}: {}", report.line);
        let named = fault.unwrap_or_default();
        assert!(report.line.contains(named), "{case}: {}", report.line);
        let faults = report.targets[0].faults.join(" ");
        assert!(faults.contains(named), "{case}: {faults}");
    }
}

/// Guards against: a fault hidden behind other targets, and alarms for an unused target.
#[test]
fn several_targets_are_one_line() {
    let good = || target(vec![backup(3, BackupState::Unverified, None)]);
    let dead = TargetFacts {
        name: "near".to_owned(),
        ..target(Vec::new())
    };
    let unused = || TargetFacts {
        name: "local".to_owned(),
        is_optional: true,
        ..target(Vec::new())
    };
    let report = evaluate(&options(), &facts(vec![good(), dead, unused()]));
    assert!(
        (report.line)
            .starts_with("CRITICAL: target near: no good backup, never verified; target far: "),
        "{}",
        report.line
    );
    assert_eq!(report.targets.len(), 2);
    let report = evaluate(&options(), &facts(vec![good(), unused()]));
    assert!(report.ok, "{}", report.line);
    // With nothing to look at, nothing is in order.
    assert!(!evaluate(&options(), &facts(vec![unused()])).ok);
    // Another instance's backups are no backups of this one.
    let mut theirs = good();
    if let Ok(listing) = &mut theirs.listing {
        listing.backups[0].instance = Some("theirs".to_owned());
    }
    let shared = Facts {
        own: Some("ours".to_owned()),
        ..facts(vec![theirs])
    };
    assert!(!evaluate(&options(), &shared).ok);
    let interrupted = Facts {
        interrupted: Some("a restore was interrupted".to_owned()),
        ..facts(vec![good()])
    };
    let report = evaluate(&options(), &interrupted);
    assert!(
        (report.line).starts_with("CRITICAL: a restore was interrupted; target far: "),
        "{}",
        report.line
    );
}
