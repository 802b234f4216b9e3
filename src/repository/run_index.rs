//! `index.json` beside the manifest of the default leg: what a run consists of, as Arc writes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Repository;
use super::layout::run_index_key;
use crate::Result;
use crate::manifest::BackupId;

/// What a run consists of. It is for Arc: a restore of ours goes by the manifests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RunIndex {
    /// The targets that hold a leg.
    pub(crate) targets: Vec<String>,
    /// The target of the default leg.
    pub(crate) default_target: String,
    /// The databases that are not in the default leg, with their targets.
    pub(crate) database_targets: BTreeMap<String, String>,
    /// Whether the run is whole.
    pub(crate) status: String,
}

impl RunIndex {
    /// The status of a run of which every leg is stored.
    pub(crate) const COMPLETED: &str = "completed";
}

impl Repository {
    /// Stores the index of a run.
    pub(crate) async fn keep_run_index(&self, id: &BackupId, index: &RunIndex) -> Result<()> {
        let text = serde_json::to_vec_pretty(index).expect("plain data is valid JSON");
        self.put(&run_index_key(id), text).await
    }
}
