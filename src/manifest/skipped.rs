//! Files that Arc skipped when it made a backup: the backup does not hold them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Manifest;

/// How many files Arc skipped, by its manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Files of the data that could not be read.
    pub files: u64,
    /// Files whose names are too long for a key.
    pub overlong_keys: u64,
    /// Iceberg metadata files.
    pub metadata_files: u64,
    /// Files of the Iceberg warehouse.
    pub warehouse_files: u64,
    /// The first of them.
    pub sample: Vec<String>,
}

impl Skipped {
    /// Those of a backup with this manifest; none where Arc did not make it.
    #[must_use]
    pub fn of(manifest: &Manifest) -> Self {
        let number = |fields: &Map<String, Value>, name: &str| {
            fields.get(name).and_then(Value::as_u64).unwrap_or(0)
        };
        let fields = &manifest.unknown;
        let sample = fields.get("skipped_sample").and_then(Value::as_array);
        Self {
            files: number(fields, "skipped_files"),
            overlong_keys: number(fields, "skipped_overlong_keys"),
            metadata_files: number(fields, "skipped_metadata_files"),
            warehouse_files: (manifest.iceberg_warehouse.as_ref())
                .and_then(Value::as_object)
                .map_or(0, |warehouse| number(warehouse, "skipped_files")),
            sample: (sample.into_iter().flatten())
                .filter_map(|name| name.as_str().map(str::to_owned))
                .collect(),
        }
    }

    /// Each kind that there is, with its number, for people.
    #[must_use]
    pub fn kinds(&self) -> Vec<String> {
        [
            (self.files, "files"),
            (self.overlong_keys, "files with names that are too long"),
            (self.metadata_files, "Iceberg metadata files"),
            (self.warehouse_files, "files of the Iceberg warehouse"),
        ]
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect()
    }

    /// The first `limit` of them, for people; empty where Arc names none.
    #[must_use]
    pub fn first(&self, limit: usize) -> String {
        let named: Vec<_> = self.sample.iter().take(limit).map(String::as_str).collect();
        match named.is_empty() {
            true => String::new(),
            false => format!(" ({}, …)", named.join(", ")),
        }
    }

    /// What a verification or restore warns of.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        let kinds = self.kinds();
        (!kinds.is_empty()).then(|| {
            format!(
                "Arc skipped {} when it made this backup{}: the backup does not hold them",
                kinds.join(", "),
                self.first(3)
            )
        })
    }
}
