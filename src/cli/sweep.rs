//! `sweep`.

use std::sync::Arc;

use serde_json::json;

use super::common::pretty;
use super::output::{complain, line};
use super::{DONE, FAILED};
use crate::Result;
use crate::operations::ArcBackup;

pub(super) async fn run(engine: &Arc<ArcBackup>, apply: bool, as_json: bool) -> Result<u8> {
    let sweep = engine.sweep(apply).await?;
    let swept = sweep.targets;
    if as_json {
        let targets: Vec<_> = (swept.iter())
            .map(|(target, s)| json!({"target": target, "unfinished": s.unfinished, "temporaries": s.temporaries, "faults": s.faults}))
            .collect();
        line(&pretty(&json!({
            "applied": apply,
            "targets": targets,
            "views": sweep.views,
            "staged_files": sweep.staged,
            "faults": sweep.faults,
        })));
    } else {
        for (target, swept) in &swept {
            for id in &swept.unfinished {
                let removed = apply && !swept.left.contains(id);
                let what = if removed { "removed" } else { "unfinished" };
                line(&format!("{target}: {id} {what}"));
            }
            if swept.temporaries > 0 {
                line(&format!(
                    "{target}: {} leavings of uploads {}",
                    swept.temporaries,
                    if apply { "removed" } else { "never ended" }
                ));
            }
            for fault in &swept.faults {
                complain!("error: {target}: {fault}");
            }
        }
        for fault in &sweep.faults {
            complain!("error: {fault}");
        }
        for (count, what) in [
            (sweep.views, "views that backups held on to"),
            (sweep.staged, "files that restores had staged"),
        ] {
            if count > 0 {
                let removed = if apply { " removed" } else { "" };
                line(&format!("beside the data: {count} {what}{removed}"));
            }
        }
        let left = sweep.views + sweep.staged > 0
            || (swept.iter())
                .any(|(_, swept)| !swept.unfinished.is_empty() || swept.temporaries > 0);
        let faults = !sweep.faults.is_empty() || (swept.iter()).any(|(_, s)| !s.faults.is_empty());
        match (left, apply) {
            (false, _) if !faults => line("nothing is left of interrupted operations"),
            (true, false) => line("nothing was removed; --apply does it"),
            _ => {}
        }
    }
    let done = sweep.faults.is_empty() && swept.iter().all(|(_, swept)| swept.faults.is_empty());
    Ok(if done { DONE } else { FAILED })
}
