//! The manifest, as the document describes it and as it is answered.

use std::borrow::Cow;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde_json::Value;

use crate::repository::{BackupState, LastVerified};

/// A manifest, for the document; the answer is the file itself.
#[derive(Object)]
#[oai(rename = "Manifest")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct ManifestSchema {
    /// The version of the program that wrote it.
    version: String,
    /// The backup's id.
    backup_id: String,
    /// When the backup began, RFC 3339, UTC.
    created_at: String,
    /// `full`.
    backup_type: String,
    /// Databases with their measurements.
    databases: Vec<DatabaseSchema>,
    /// Parquet files of databases.
    total_files: u64,
    /// Their size in bytes.
    total_size_bytes: u64,
    /// Whether it holds SQLite databases.
    has_metadata: bool,
    /// Whether it holds `arc.toml`.
    has_config: bool,
    /// The target that holds it.
    target: String,
    /// What is known of it: `ok`, `unverified` or `damaged`.
    state: BackupState,
    /// Whether it has checksums: false for a backup that Arc itself made.
    has_checksums: bool,
    /// All its files, databases and configuration too; absent in a backup that Arc made.
    files: Option<u64>,
    /// Their size in bytes.
    bytes: Option<u64>,
    /// When it was last verified, and what came of it; absent when it never was.
    last_verified: Option<LastVerified>,
    /// When every byte of it was last read.
    last_full: Option<LastVerified>,
    /// The verification that found the fault of a damaged one.
    last_failed: Option<LastVerified>,
    /// The version of the layout; absent in a backup that Arc made.
    format: Option<u32>,
    /// What the inventory is.
    inventory: Option<InventorySchema>,
    /// What wrote it: `arc-backup 0.1.0`.
    tool: Option<String>,
    /// When its last file was written, RFC 3339.
    completed_at: Option<String>,
    /// How long it took.
    duration_seconds: Option<f64>,
    /// Where the data came from, without credentials.
    source: Option<SourceSchema>,
    /// What moment the data is of, and how that was reached.
    consistency: Option<ConsistencySchema>,
    /// Totals of each section.
    sections: Option<Vec<SectionSchema>>,
    /// Each file in `metadata/`, with its configuration key.
    databases_included: Option<Vec<DatabaseFileSchema>>,
    /// What the configuration names and this backup does not hold.
    not_included: Option<Vec<String>>,
    /// Whether one of the SQLite databases is the Iceberg catalog.
    has_iceberg_catalog: Option<bool>,
    /// Other files of the data: schema anchors, Iceberg metadata, …
    auxiliary_files: Option<u64>,
    /// Recovery states of compaction jobs.
    compaction_state_files: Option<u64>,
    /// Links, FIFOs, sockets and devices that the backup does not hold.
    special_files: Option<u64>,
    /// The first of them.
    special_sample: Option<Vec<String>>,
    /// Files whose names no key can carry.
    unaddressable_files: Option<u64>,
    /// The first of them.
    unaddressable_sample: Option<Vec<String>>,
    /// Files whose bytes an earlier backup holds.
    reused_files: Option<u64>,
    /// Their bytes.
    reused_bytes: Option<u64>,
    /// In an incomplete copy: files that could not be read, and are not in it.
    missing_files: Option<u64>,
    /// The first of them, at most 10,000, each with the reason; the path of a folder ends in `/`.
    missing: Option<Vec<MissingSchema>>,
    /// SHA-256 over the file's own bytes, with these 64 digits read as zeros.
    sha256: Option<String>,
    /// By Arc: files that it skipped, and the backup does not hold.
    skipped_files: Option<u64>,
    /// By Arc: the first of them.
    skipped_sample: Option<Vec<String>>,
    /// By Arc: files whose names are too long for a key, and the backup does not hold.
    skipped_overlong_keys: Option<u64>,
    /// By Arc: Iceberg metadata files that it skipped.
    skipped_metadata_files: Option<u64>,
    /// By Arc: the databases that the backup is of, where it is not of all.
    scope: Option<Vec<String>>,
    /// By Arc: every target that the same backup has a part in.
    run_targets: Option<Vec<String>>,
    /// By Arc: whether this part lies in the default target.
    is_default_target: Option<bool>,
    /// By Arc: the instance that the backup is of.
    owner_instance_id: Option<String>,
    /// By Arc: files of the cold tier, which are in it too.
    cold_files: Option<u64>,
    /// By Arc: their size in bytes.
    cold_size_bytes: Option<u64>,
    /// By Arc: an Iceberg warehouse outside the storage root.
    iceberg_warehouse: Option<WarehouseSchema>,
}

/// An Iceberg warehouse in a backup by Arc.
#[derive(Object)]
#[oai(rename = "IcebergWarehouse")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct WarehouseSchema {
    /// Where it lies in the backup.
    path: Option<String>,
    /// Where the configuration has it.
    configured_path: Option<String>,
    /// Its files.
    file_count: Option<u64>,
    /// Their size in bytes.
    size_bytes: Option<u64>,
    /// Files of it that Arc skipped.
    skipped_files: Option<u64>,
}

/// The inventory of a backup.
#[derive(Object)]
#[oai(rename = "InventoryReference")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct InventorySchema {
    /// Its lines.
    entries: u64,
    /// The sum of the sizes in it, in bytes.
    bytes: u64,
    /// The SHA-256 of `inventory.jsonl`.
    sha256: String,
}

/// Where the data of a backup came from.
#[derive(Object)]
#[oai(rename = "BackupSource")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct SourceSchema {
    /// `local`, `s3`, `azure`, or a type of a third party.
    backend: String,
    /// The path or URL, without credentials.
    location: String,
    /// A random name of the instance that made the backup: which of several that have the same
    /// path.
    instance: Option<String>,
}

/// What moment a backup is of.
#[derive(Object)]
#[oai(rename = "Consistency")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct ConsistencySchema {
    /// How the snapshot was taken.
    method: String,
    /// The moment, RFC 3339.
    moment: String,
    /// Whether Arc wrote what it held in memory before it; absent where `backup.arc_url` was not
    /// set.
    flushed: Option<bool>,
}

/// Totals of one section of a backup.
#[derive(Object)]
#[oai(rename = "SectionTotals")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct SectionSchema {
    /// The section: `data`, `metadata`, `config`, …
    name: String,
    /// Its files.
    files: u64,
    /// Their bytes.
    bytes: u64,
}

/// A file in a backup's `metadata/`.
#[derive(Object)]
#[oai(rename = "DatabaseFile")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct DatabaseFileSchema {
    /// Its name there.
    file: String,
    /// The configuration key that names the live one.
    setting: String,
}

/// A file that an incomplete copy lacks.
#[derive(Object)]
#[oai(rename = "MissingFile")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct MissingSchema {
    /// Its path, as an inventory has it.
    path: String,
    /// Why it could not be read.
    detail: String,
}

/// A database in a backup.
#[derive(Object)]
#[oai(rename = "Database")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct DatabaseSchema {
    /// Its name.
    name: String,
    /// Its Parquet files.
    file_count: u64,
    /// Their size in bytes.
    size_bytes: u64,
    /// Its measurements.
    measurements: Vec<MeasurementSchema>,
}

/// A measurement in a backup.
#[derive(Object)]
#[oai(rename = "Measurement")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct MeasurementSchema {
    /// Its name.
    name: String,
    /// Its Parquet files.
    file_count: u64,
    /// Their size in bytes.
    size_bytes: u64,
}

/// Answers a manifest as it stands in the file, unknown fields and all.
pub(super) struct ManifestBody(pub(super) Value);

impl Type for ManifestBody {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        ManifestSchema::name()
    }

    fn schema_ref() -> MetaSchemaRef {
        ManifestSchema::schema_ref()
    }

    fn register(registry: &mut Registry) {
        ManifestSchema::register(registry);
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl ToJSON for ManifestBody {
    fn to_json(&self) -> Option<Value> {
        Some(self.0.clone())
    }
}
