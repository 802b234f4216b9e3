//! The fields of `manifest.json`.

use std::collections::{BTreeMap, BTreeSet};

use arc_backup_core::Databases;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{InventoryRef, Rehashed};

/// The version of the layout that is written. Format 1 is read as well: there, the inventory is not
/// compressed, and the backup is of everything in one target.
pub const FORMAT: u32 = 2;
/// The largest manifest that is read, in bytes. One of 10,000 measurements has about 1 MiB.
pub const MANIFEST_LIMIT: u64 = 16 << 20;

/// `manifest.json`: Arc's fields first, then ours. Unknown fields are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the program that wrote it.
    #[serde(default)]
    pub version: String,
    /// The backup's id; the folder's name.
    pub backup_id: String,
    /// When the backup began, RFC 3339.
    pub created_at: String,
    /// `full`, or `incremental` where unchanged files are those of an earlier backup. Every backup
    /// is logically full.
    #[serde(default)]
    pub backup_type: String,
    /// The earlier backup whose unchanged files an incremental one reused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_backup_id: Option<String>,
    /// Files whose bytes lie in another backup's folder, by that backup. Empty on local disk, where
    /// they are hard links.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stored_in: BTreeMap<String, StoredTotals>,
    /// The schedule that it was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Where it was copied from; absent in a backup that was made in its target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub copied_from: Option<CopiedFrom>,
    /// Arc's databases with their measurements.
    #[serde(default, deserialize_with = "null_as_default")]
    pub databases: Vec<DatabaseTotals>,
    /// Parquet files of databases.
    pub total_files: u64,
    /// Their bytes.
    pub total_size_bytes: u64,
    /// Their rows, of those whose rows are known; absent where those of none are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_rows: Option<u64>,
    /// Those of them whose rows are not known: damaged ones, ones with a very long footer, and ones
    /// that an earlier release has stored.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files_without_rows: u64,
    /// Parquet files that were damaged in the source already. The backup has them as they are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub damaged_files: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged_sample: Vec<DamagedFile>,
    /// Other files of the data: schema anchors, Iceberg metadata, …
    #[serde(default, skip_serializing_if = "is_zero")]
    pub auxiliary_files: u64,
    /// Recovery states of compaction jobs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub compaction_state_files: u64,
    /// Files with unsupported names; the backup does not have them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unaddressable_files: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unaddressable_sample: Vec<String>,
    /// Links, FIFOs, sockets and devices; the backup does not hold them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub special_files: u64,
    /// The first of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub special_sample: Vec<String>,
    /// Whether it holds SQLite databases.
    #[serde(default)]
    pub has_metadata: bool,
    /// Whether one of them is the Iceberg catalog.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_iceberg_catalog: bool,
    /// Whether it holds `arc.toml`.
    #[serde(default)]
    pub has_config: bool,
    /// The names of the variables that are in the place of secrets in `arc.toml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub config_redacted: Vec<String>,
    /// Bytes of files that were in the cold tier, and are in the backup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cold_size_bytes: u64,
    /// How many these are; absent where the cold tier was not listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_files: Option<u64>,
    /// Files of the cold tier that are not in the backup, as it could not be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cold_files_excluded: u64,
    /// The cluster that the instance is a node of; absent where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterInfo>,
    /// The databases that were asked for, sorted: the backup has their data and nothing else of the
    /// data. Empty where it has all.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub scope: Vec<String>,
    /// The instance that made it, as Arc 27.01 names it: `cluster.name`, or the UUID in
    /// `.arc-backup-instance-id`.
    #[serde(
        default,
        deserialize_with = "blank_as_none",
        skip_serializing_if = "Option::is_none"
    )]
    pub owner_instance_id: Option<String>,
    /// An Iceberg warehouse outside the storage root, whose files are in the section `iceberg`: an
    /// object, as Arc writes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iceberg_warehouse: Option<Value>,
    /// The target it was written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// All targets that have a part of this backup, a *leg*, with a manifest of its own. Empty
    /// where one target has all of it.
    #[serde(
        default,
        deserialize_with = "null_as_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub run_targets: Vec<String>,
    /// The SHA-256 of the inventory of each leg, by target: it binds the legs together. Empty in
    /// legs by Arc.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub run_inventories: BTreeMap<String, String>,
    /// Whether this leg is the one in the default target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_default_target: Option<bool>,
    /// The version of the layout; absent in a backup that Arc made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<u32>,
    /// What wrote it: `arc-backup 0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// When its last file was written, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Where the data came from, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceInfo>,
    /// What moment the data is of, and how that was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<Consistency>,
    /// Totals of each section.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<SectionTotals>,
    /// Each file in `metadata/`, with its configuration key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases_included: Vec<DatabaseIncluded>,
    /// What the configuration names and this backup does not hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_included: Vec<String>,
    /// Files that were not copied again: an interrupted backup, or the base of an incremental one,
    /// had stored them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reused_files: u64,
    /// Their bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reused_bytes: u64,
    /// Of an incremental backup: reused files that were read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehashed: Option<Rehashed>,
    /// In an incomplete copy: files that could not be read, and are not in it; a folder that could
    /// not be listed counts as one, with all that is in it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub missing_files: u64,
    /// The first of them, at most 10,000, each with the reason; the path of a folder ends in `/`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<MissingFile>,
    /// The list of the data files that Arc reads, `manifest-files.json`, with what it must be.
    /// Incremental backups have none, but for those of a node of a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_list: Option<InventoryRef>,
    /// The inventory that belongs to this manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inventory: Option<InventoryRef>,
    /// SHA-256 over this file's own bytes, with these 64 digits read as zeros.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Whatever else was in the file.
    #[serde(flatten)]
    pub unknown: Map<String, Value>,
}

impl Manifest {
    /// How much an incomplete copy lacks, for people.
    #[must_use]
    pub fn lacks(&self) -> String {
        let folders = (self.missing.iter())
            .filter(|missing| missing.path.ends_with('/'))
            .count() as u64;
        let files = self.missing_files.saturating_sub(folders);
        match (folders, files) {
            (0, files) => format!("{files} files"),
            (folders, 0) => format!("{folders} folders with all that is in them"),
            (folders, files) => {
                format!("{files} files, and {folders} folders with all that is in them")
            }
        }
    }

    /// The databases whose data it has.
    #[must_use]
    pub fn covered_databases(&self) -> Databases {
        match self.scope.is_empty() {
            true => Databases::All,
            false => Databases::Only(self.scope.iter().cloned().collect()),
        }
    }

    /// Whether this backup, which is newer, makes `other` unnecessary: it is of the same storage,
    /// has the same databases or more, and has files of each section and of each database of which
    /// `other` has some. The caller knows which is newer, as it holds the target's lock: the times
    /// in manifests may be of clocks that were set back.
    #[must_use]
    pub fn supersedes(&self, other: &Self) -> bool {
        let same = matches!((&self.source, &other.source), (Some(a), Some(b)) if a.is_same_as(b));
        let has = |name: &str| (self.sections.iter()).any(|one| one.name == name && one.files > 0);
        let covers = (self.covered_databases()).cover(&other.covered_databases());
        let has_sections = (other.sections.iter()).all(|one| one.files == 0 || has(&one.name));
        // The files of a lost database may be nowhere else.
        let has_databases = other
            .databases_with_files()
            .is_subset(&self.databases_with_files());
        same && covers && has_sections && has_databases
    }

    /// The databases of which it has Parquet files, by the first segments of their names.
    fn databases_with_files(&self) -> BTreeSet<&str> {
        let with_files = (self.databases.iter()).filter(|one| one.file_count > 0);
        with_files
            .filter_map(|one| one.name.split('/').next())
            .collect()
    }

    /// Whether Arc itself made the backup: it has none of `format`, `inventory` and `sha256`, not
    /// even with a wrong type.
    #[must_use]
    pub fn is_arcs_own(raw: &Value) -> bool {
        ["format", "inventory", "sha256"]
            .iter()
            .all(|field| raw.get(field).is_none())
    }
}

/// Where a copy came from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFrom {
    /// The target.
    pub target: String,
    /// When the copy was made, RFC 3339.
    pub at: String,
}

/// Files of a backup whose bytes lie in another one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredTotals {
    /// How many.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file that an incomplete copy lacks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingFile {
    /// Its path, as an inventory has it.
    pub path: String,
    /// Why it could not be read.
    pub detail: String,
}

/// A Parquet file that was damaged in the source already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// Its path, as the inventory has it.
    pub path: String,
    /// What is wrong with it: `empty`, `not-parquet`, `torn`, `bad-footer`, `encrypted-footer`.
    pub damage: String,
    /// The same for people.
    pub detail: String,
}

/// One of Arc's databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseTotals {
    /// Its name; with slashes where it came from an edge node.
    pub name: String,
    /// Its measurements.
    #[serde(default, deserialize_with = "null_as_default")]
    pub measurements: Vec<MeasurementTotals>,
    /// Its Parquet files.
    pub file_count: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Their rows, as far as these are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// One measurement of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasurementTotals {
    /// Its name.
    pub name: String,
    /// Its Parquet files.
    pub file_count: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Their rows, as far as these are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// Totals of one section.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionTotals {
    /// The section: `data`, `metadata`, `config`, …
    pub name: String,
    /// Its files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// A file in `metadata/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseIncluded {
    /// Its name there.
    pub file: String,
    /// The configuration key that names the live one.
    pub setting: String,
}

/// What a backup of a node of a cluster is of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterInfo {
    /// The name of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it holds the storage of one node, and not the state of the cluster: always true.
    #[serde(default)]
    pub node_storage: bool,
}

/// Where the data came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceInfo {
    /// `local`, `s3`, `azure`.
    pub backend: String,
    /// The path or URL, without credentials.
    pub location: String,
    /// A random name of the instance that made the backup, to distinguish instances with the same
    /// path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl SourceInfo {
    /// Whether both are known to be the same storage: the same path, or server's name, may be
    /// another one on another host.
    #[must_use]
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.location == other.location
            && self.instance.is_some()
            && self.instance == other.instance
    }
}

/// What moment a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consistency {
    /// How the snapshot of the data was taken: `hard-links` or `settled-listing`.
    pub method: String,
    /// The moment, RFC 3339.
    pub moment: String,
    /// Whether Arc flushed its memory before it; absent where `backup.arc_url` was not set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flushed: Option<bool>,
}

#[allow(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Go writes a string that is not set as `""`.
fn blank_as_none<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// Go writes an empty slice as `null`.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(scope: &[&str], sections: &[&str]) -> Manifest {
        Manifest {
            scope: scope.iter().map(|&name| name.to_owned()).collect(),
            source: Some(SourceInfo {
                backend: "local".to_owned(),
                location: "/data".to_owned(),
                instance: Some("one".to_owned()),
            }),
            sections: (sections.iter())
                .map(|&name| SectionTotals {
                    name: name.to_owned(),
                    files: 1,
                    bytes: 1,
                })
                .collect(),
            ..Manifest::default()
        }
    }

    /// Guards against: the only copy of a dying disk that goes when one database is backed up.
    #[test]
    fn a_backup_of_some_databases_supersedes_none_of_more() {
        let whole = of(&[], &["data", "metadata"]);
        let iot = of(&["iot"], &["data"]);
        let both = of(&["iot", "web"], &["data"]);
        for (newer, older, supersedes) in [
            (&whole, &whole, true),
            (&whole, &iot, true),
            (&iot, &whole, false),
            (&iot, &iot, true),
            (&both, &iot, true),
            (&iot, &both, false),
            (&iot, &of(&[], &["data"]), false),
        ] {
            assert_eq!(newer.supersedes(older), supersedes, "{newer:?} {older:?}");
        }
    }

    /// Guards against: the only copy of a database that goes when a backup has nothing of it, as
    /// the database is lost.
    #[test]
    fn a_backup_supersedes_none_of_a_database_that_it_has_no_file_of() {
        let with = |scope: &[&str], databases: &[(&str, u64)]| Manifest {
            databases: (databases.iter())
                .map(|&(name, file_count)| DatabaseTotals {
                    name: name.to_owned(),
                    file_count,
                    ..DatabaseTotals::default()
                })
                .collect(),
            ..of(scope, &["data"])
        };
        let web = with(&["web"], &[("web", 2)]);
        let edge = with(&[], &[("spoke1/telemetry", 1)]);
        for (newer, older, supersedes) in [
            (with(&["iot", "web"], &[("iot", 1)]), &web, false),
            (
                with(&["iot", "web"], &[("iot", 1), ("web", 0)]),
                &web,
                false,
            ),
            (with(&["iot", "web"], &[("iot", 1), ("web", 1)]), &web, true),
            (with(&[], &[("iot", 1)]), &web, false),
            (with(&[], &[("spoke1/other", 1)]), &edge, true),
            (with(&[], &[("spoke2/telemetry", 1)]), &edge, false),
        ] {
            assert_eq!(newer.supersedes(older), supersedes, "{newer:?} {older:?}");
        }
    }
}
