//! What a restore may do on a node of a cluster.

use arc_backup_core::Section;

use crate::config::Settings;
use crate::operations::RestoreOptions;
use crate::{Error, Result};

/// Refuses a restore on a node of a cluster, with the reason.
///
/// Arc's sweep deletes files that are not registered in the cluster's own manifest, and only Arc
/// can register them. The databases and `arc.toml` are part of the cluster's state.
pub(crate) fn check(settings: &Settings, options: &RestoreOptions) -> Result<()> {
    let Some(cluster) = &settings.cluster else {
        return Ok(());
    };
    let node = match &cluster.name {
        Some(name) => format!("this is a node of the cluster {name:?} (`cluster.enabled`)"),
        None => "this is a node of a cluster (`cluster.enabled`)".to_owned(),
    };
    let mut reasons = Vec::new();
    if options.includes(&Section::Data) {
        reasons.push(
            "data is not restored on it: other nodes never see files that are not registered in the cluster's manifest, and \
             Arc's sweep deletes them after 24 h. Restore this backup with Arc itself, on the primary writer (POST \
             /api/v1/backup/restore of Arc reads `manifest-files.json`), or restore the data on a standalone instance with its \
             own storage",
        );
    }
    if options.needs_restart() {
        reasons.push(
            "databases and arc.toml are never restored on it: they would no longer agree with the state of the other nodes. \
             Restore them on a standalone instance",
        );
    }
    match reasons.is_empty() {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "{node}: {}. Nothing was changed",
            reasons.join(". And ")
        ))),
    }
}
