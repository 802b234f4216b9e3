//! Backups as people name them: by id, by the beginning of an id, or as `latest`.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::manifest::BackupId;
use crate::names::shortened;
use crate::operations::{ArcBackup, ListAnswer};
use crate::repository::{Freshness, Summary};
use crate::{Error, Result};

/// The newest good backup of all databases.
pub(super) const LATEST: &str = "latest";
/// The most ids that a refusal names.
const NAMED: usize = 10;

/// A backup that was named, and the target where that is known by now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) id: BackupId,
    pub(super) target: Option<String>,
}

/// Finds out which backup is meant. A whole id costs no request.
pub(super) async fn resolve(
    engine: &Arc<ArcBackup>,
    text: &str,
    target: Option<&str>,
) -> Result<Named> {
    let parsed = BackupId::parse(text);
    let by_name = text == LATEST || is_start(text);
    let id = match parsed {
        Err(_) if by_name => {
            // Whatever is done with the backup then reads its manifest.
            let answer = engine.list_with(target, true, Freshness::Recent).await?;
            return choose(text, target, engine.instance().as_deref(), &answer);
        }
        parsed => parsed?,
    };
    Ok(Named {
        id,
        target: target.map(str::to_owned),
    })
}

/// Whether the text is how an id begins, at least with the first digit of its date; `backup-` may
/// be left out.
fn is_start(text: &str) -> bool {
    const REST: &[u8] = b"00000000-000000-xxxxxxxx";
    let rest = text.strip_prefix("backup-").unwrap_or(text).as_bytes();
    let fits = |(byte, kind): (&u8, &u8)| match kind {
        b'0' => byte.is_ascii_digit(),
        b'x' => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        other => byte == other,
    };
    !rest.is_empty() && rest.len() <= REST.len() && rest.iter().zip(REST).all(fits)
}

fn choose(
    text: &str,
    target: Option<&str>,
    own: Option<&str>,
    answer: &ListAnswer,
) -> Result<Named> {
    // What an unreachable target holds may be what is meant.
    if let Some(error) = answer.errors.first() {
        return Err(Error::Failed(format!(
            "`{text}` can't be resolved: target {} can't be listed ({}); give the whole id, or another target (--target)",
            error.target, error.detail
        )));
    }
    if text == LATEST {
        return latest(target, own, answer);
    }
    let start = format!("backup-{}", text.strip_prefix("backup-").unwrap_or(text));
    let ids = (answer.backups.iter().map(|one| &one.backup_id))
        .chain(answer.damaged.iter().map(|one| &one.backup_id))
        .chain(answer.unreadable.iter().map(|one| &one.backup_id))
        .chain(answer.incomplete.iter().flatten().map(|one| &one.backup_id))
        .chain(answer.incomplete_runs.iter().map(|one| &one.backup_id));
    let found: BTreeSet<&str> = ids
        .map(String::as_str)
        .filter(|id| id.starts_with(&start))
        .collect();
    match found.iter().copied().collect::<Vec<_>>()[..] {
        [] => Err(Error::NotFound(text.to_owned())),
        [id] => Ok(Named {
            id: BackupId::parse(id)?,
            target: target.map(str::to_owned),
        }),
        ref several => {
            let mut named: Vec<_> = several.iter().rev().take(NAMED).copied().collect();
            if several.len() > NAMED {
                named.push("…");
            }
            Err(Error::Invalid(format!(
                "`{text}` is the beginning of {} backup ids: {}",
                several.len(),
                named.join(", ")
            )))
        }
    }
}

/// The newest backup of this instance that has all databases and is not known to be damaged, and
/// the target that holds it. Where it has none there, as on a new host, that of the only other
/// instance.
fn latest(target: Option<&str>, own: Option<&str>, answer: &ListAnswer) -> Result<Named> {
    let good: Vec<_> = answer
        .backups
        .iter()
        .filter(|one| one.state.is_good() && one.is_whole())
        .filter(|one| !one.partial_view && !one.is_foreign)
        .collect();
    let is_own = |one: &&&Summary| own.is_some() && one.instance.as_deref() == own;
    // Those that Arc itself made do not say whose they are.
    let others: BTreeSet<_> = good
        .iter()
        .filter_map(|one| one.instance.as_deref())
        .collect();
    let newest = match good.iter().find(is_own) {
        Some(newest) => newest,
        None if others.len() > 1 => {
            let names: Vec<_> = others
                .iter()
                .map(|name| name.get(..8).unwrap_or(name))
                .collect();
            return Err(Error::Invalid(format!(
                "`latest` may mean a backup of several instances ({}), and none is of this one: give the id; `arc-backup list --instance NAME` lists those of one",
                names.join(", ")
            )));
        }
        None => {
            let place = target.map_or_else(String::new, |target| format!(" in target {target}"));
            good.first().ok_or_else(|| {
                let mut others = answer.backups.iter().filter(|one| one.state.is_good());
                let scoped = (others.clone()).find(|one| !one.is_foreign && !one.is_whole());
                Error::Failed(match scoped {
                    None if others.any(|one| one.is_foreign) => format!(
                        "there is no `latest`: no good backup{place} is of this instance; give the id of \
                         another one's, which `arc-backup list --include-foreign` shows"
                    ),
                    None => format!(
                        "there is no `latest`: no good backup{place}; see `arc-backup list --all`"
                    ),
                    Some(scoped) => format!(
                        "there is no `latest`: no good backup{place} has all databases; give the id \
                         of one of some, such as {} (of {})",
                        scoped.backup_id,
                        shortened(&scoped.scope)
                    ),
                })
            })?
        }
    };
    Ok(Named {
        id: BackupId::parse(&newest.backup_id)?,
        // A backup over several targets is found in all of them.
        target: (target.map(str::to_owned))
            .or_else(|| (newest.targets.len() < 2).then(|| newest.target.clone())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations::TargetError;
    use crate::repository::{BackupState, Damaged};

    fn answer() -> ListAnswer {
        ListAnswer {
            backups: vec![
                Summary::example("backup-20260210-120000-0000000a", "a", BackupState::Damaged),
                Summary::example("backup-20260209-120000-0000000a", "b", BackupState::Ok),
                Summary::example("backup-20260209-120000-0000000a", "a", BackupState::Ok),
                Summary::example(
                    "backup-20260208-120000-0000000a",
                    "a",
                    BackupState::Unverified,
                ),
            ],
            damaged: vec![Damaged {
                backup_id: "backup-20260208-130000-0000000a".to_owned(),
                target: "a".to_owned(),
                state: BackupState::Damaged,
                detail: String::new(),
            }],
            ..ListAnswer::default()
        }
    }

    /// Guards against: overwriting live data with another backup than the one that was meant.
    #[test]
    fn a_name_means_one_backup_or_is_refused() {
        let of = |text: &str| choose(text, None, None, &answer());
        let latest = of(LATEST).expect("there is one");
        let target = latest.target.as_deref();
        assert_eq!((&latest.id.as_str()[14..15], target), ("9", Some("b")));
        for (text, day) in [
            ("backup-20260210", "10"),
            ("20260210", "10"),
            // The same id in two targets is one.
            ("backup-20260209", "09"),
            ("20260208-13", "08"),
        ] {
            let named = of(text).expect(text);
            assert_eq!((&named.id.as_str()[13..15], named.target), (day, None));
        }
        let several = of("2026").expect_err("four").to_string();
        assert!(
            several.contains("4 backup ids: backup-20260210-"),
            "{several}"
        );
        assert!(matches!(of("2027"), Err(Error::NotFound(_))));
        let mut dead = answer();
        dead.errors.push(TargetError {
            target: "c".to_owned(),
            detail: "no route".to_owned(),
        });
        assert!(choose(LATEST, None, None, &dead).is_err());
        let mut bad = answer();
        bad.backups.truncate(1);
        assert!(choose(LATEST, None, None, &bad).is_err());
    }

    /// Guards against: a restore of `latest` that brings back one database of many.
    #[test]
    fn the_latest_has_all_databases() {
        let mut answer = answer();
        answer.backups[1].scope = vec!["iot".to_owned()];
        let latest = choose(LATEST, None, None, &answer).expect("there is one");
        assert_eq!(latest.target.as_deref(), Some("a"));
        for backup in &mut answer.backups {
            backup.scope = vec!["iot".to_owned()];
        }
        let error = choose(LATEST, None, None, &answer).expect_err("none has all");
        let text = error.to_string();
        assert!(
            text.contains("backup-20260209-120000-0000000a (of iot)"),
            "{text}"
        );
        // By its id it can be named.
        assert!(choose("20260210", None, None, &answer).is_ok());
    }

    /// Guards against: production's data on a test machine, and a refused first restore on a new
    /// host.
    #[test]
    fn the_latest_is_of_this_instance() {
        let mut answer = answer();
        let mut day = |own: Option<&str>, instances: [Option<&str>; 4]| {
            for (one, instance) in answer.backups.iter_mut().zip(instances) {
                one.instance = instance.map(str::to_owned);
            }
            let named = choose(LATEST, None, own, &answer).ok()?;
            Some(named.id.as_str()[14..15].to_owned())
        };
        let (a, b) = (Some("aaaaaaaaaaaa"), Some("bbbbbbbbbbbb"));
        assert_eq!(day(a, [b, b, b, a]).as_deref(), Some("8"));
        // Of several others, none is meant.
        assert_eq!(day(None, [a, b, b, a]), None);
        assert_eq!(day(Some("c"), [a, b, b, a]), None);
        // A new host, whose state is lost.
        assert_eq!(day(None, [a, a, None, a]).as_deref(), Some("9"));
        assert_eq!(day(Some("c"), [a, a, a, a]).as_deref(), Some("9"));
        assert_eq!(day(a, [None, None, None, None]).as_deref(), Some("9"));
    }

    #[test]
    fn the_beginning_of_an_id_has_its_form() {
        for text in [
            "backup-2",
            "2026",
            "20260211-1430",
            "backup-20260211-143022-a",
        ] {
            assert!(is_start(text), "{text}");
        }
        for text in [
            "",
            "backup",
            "backup-",
            "b",
            "latest",
            "..",
            "2026/",
            "20260211-143022-A",
        ] {
            assert!(!is_start(text), "{text}");
        }
    }
}
