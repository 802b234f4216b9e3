//! `sweep`.

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::exit_code::{DONE, FAILED};
use super::figures;
use super::json::pretty;
use super::output::{print_line, print_stderr};
use super::table::{Table, left, right};
use crate::Result;
use crate::manifest::BackupId;
use crate::operations::{ArcBackup, SetAside, Sweep};

pub(super) async fn run(engine: &Arc<ArcBackup>, apply: bool, as_json: bool) -> Result<u8> {
    let sweep = engine.sweep(apply).await?;
    let (set_aside, unread) = engine.set_aside().await;
    let now = Timestamp::now();
    let is_done =
        sweep.faults.is_empty() && (sweep.targets.iter()).all(|(_, swept)| swept.faults.is_empty());
    if as_json {
        print_line(&pretty(&document(&sweep, &set_aside, apply, now)));
    } else {
        print(&sweep, apply, is_done, now);
        print_set_aside(&set_aside, now);
    }
    for error in unread {
        print_stderr!("warning: cannot count the files set aside by restores: {error}");
    }
    Ok(if is_done { DONE } else { FAILED })
}

fn document(sweep: &Sweep, set_aside: &[SetAside], apply: bool, now: Timestamp) -> Value {
    let age = |since: Option<Timestamp>| {
        let age = since.and_then(|since| crate::times::age(since, now));
        age.map(|age| age.as_secs())
    };
    let targets: Vec<_> = (sweep.targets.iter())
        .map(|(target, s)| json!({"target": target, "unfinished": s.unfinished, "temporaries": s.temporaries, "faults": s.faults}))
        .collect();
    let leftovers: Vec<_> = (sweep.sizes.iter())
        .map(|one| {
            json!({
                "target": one.target,
                "backup_id": one.backup_id,
                "files": one.files,
                "bytes": one.bytes,
                "age_seconds": age(moment(&one.backup_id)),
            })
        })
        .collect();
    let set_aside: Vec<_> = (set_aside.iter())
        .map(|one| {
            json!({
                "place": one.place,
                "files": one.files,
                "bytes": one.bytes,
                "age_seconds": age(one.since),
            })
        })
        .collect();
    json!({
        "applied": apply,
        "targets": targets,
        "leftovers": leftovers,
        "snapshots": sweep.snapshots,
        "staged_files": sweep.staged,
        "set_aside": set_aside,
        "faults": sweep.faults,
    })
}

fn print(sweep: &Sweep, apply: bool, is_done: bool, now: Timestamp) {
    let mut table = Table::new([
        left("LEFTOVERS OF"),
        left("TARGET").or_shrink(),
        right("AGE"),
        right("FILES"),
        right("SIZE"),
        left("NOW"),
    ]);
    for (target, swept) in &sweep.targets {
        for id in &swept.unfinished {
            let size =
                (sweep.sizes.iter()).find(|one| one.target == *target && one.backup_id == *id);
            let is_removed = apply && !swept.left.contains(id);
            table.row([
                id.clone(),
                target.clone(),
                age(size.and_then(|size| size.since).or_else(|| moment(id)), now),
                size.map_or_else(String::new, |size| size.files.to_string()),
                size.map_or_else(String::new, |size| figures::size(size.bytes)),
                if is_removed { "removed" } else { "still there" }.to_owned(),
            ]);
        }
    }
    if !table.is_empty() {
        table.print();
    }
    let removed = if apply { " removed" } else { "" };
    for (target, swept) in &sweep.targets {
        if swept.temporaries > 0 {
            print_line(&format!(
                "target {target}: {} incomplete uploads{removed}",
                swept.temporaries
            ));
        }
        for fault in &swept.faults {
            print_stderr!("error: target {target}: {fault}");
        }
    }
    for fault in &sweep.faults {
        print_stderr!("error: {fault}");
    }
    for (count, what) in [
        (sweep.snapshots, "leftover snapshots of interrupted backups"),
        (sweep.staged, "staged files of interrupted restores"),
    ] {
        if count > 0 {
            print_line(&format!("beside the data: {count} {what}{removed}"));
        }
    }
    let is_left = sweep.snapshots + sweep.staged > 0
        || (sweep.targets.iter())
            .any(|(_, swept)| !swept.unfinished.is_empty() || swept.temporaries > 0);
    match (is_left, apply) {
        (false, _) if is_done => print_line("no leftovers of interrupted operations"),
        (true, false) => print_line("nothing was removed; use --apply to remove the leftovers"),
        _ => {}
    }
}

/// Prints the replaced files, which only the operator removes.
fn print_set_aside(set_aside: &[SetAside], now: Timestamp) {
    if set_aside.is_empty() {
        return;
    }
    print_line("");
    let mut table = Table::new([
        right("AGE"),
        right("FILES"),
        right("SIZE"),
        left("SET ASIDE BY RESTORES (never removed by sweep)"),
    ]);
    for one in set_aside {
        table.row([
            age(one.since, now),
            one.files.to_string(),
            figures::size(one.bytes),
            one.place.clone(),
        ]);
    }
    table.print();
}

fn moment(id: &str) -> Option<Timestamp> {
    BackupId::parse(id).ok()?.moment()
}

fn age(since: Option<Timestamp>, now: Timestamp) -> String {
    since.map_or_else(String::new, |since| figures::age(&since.to_string(), now))
}
