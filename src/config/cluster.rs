//! Whether Arc is a node of a cluster.

use super::values::Values;
use crate::Result;

/// The cluster that Arc is a node of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// `cluster.name`, or `cluster.cluster_name`.
    pub name: Option<String>,
}

impl ClusterSettings {
    /// The cluster of `[cluster]`; `None` unless `cluster.enabled` is true.
    ///
    /// # Errors
    /// As [`Values::text`].
    pub(super) fn read(values: &Values) -> Result<Option<Self>> {
        if !values.bool("cluster.enabled", false)? {
            return Ok(None);
        }
        // The second is the key of Arc 26.09.
        let names = [
            values.text("cluster.name")?,
            values.text("cluster.cluster_name")?,
        ];
        Ok(Some(Self {
            name: (names.into_iter().flatten()).find(|name| !name.trim().is_empty()),
        }))
    }
}
