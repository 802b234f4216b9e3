//! The manifest: its description in the document, and the answer itself.

use std::borrow::Cow;
use std::collections::HashMap;

use poem_openapi::Object;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use serde_json::{Map, Value, json};

use super::damaged_file::DamagedFile;
use super::labels::BackupPin;
use super::state::BackupState;
use super::verification::LastVerified;
use crate::repository::{self, Loaded, Note};

/// A backup's manifest.
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
    /// `full`, or `incremental` where unchanged files are those of an earlier backup.
    backup_type: String,
    /// The earlier backup whose unchanged files an incremental one reused.
    base_backup_id: Option<String>,
    /// Files whose bytes lie in the folder of another backup, by that backup's id.
    stored_in: Option<HashMap<String, StoredSchema>>,
    /// The schedule that it was made for.
    schedule: Option<String>,
    /// Where it was copied from; absent in a backup that was made in its target.
    copied_from: Option<CopiedFromSchema>,
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
    /// Whether it has checksums: false for a backup that Arc before 27.01 made.
    has_checksums: bool,
    /// All its files, databases and configuration too; absent in a backup that Arc made.
    files: Option<u64>,
    /// Their size in bytes.
    bytes: Option<u64>,
    /// The bytes that this backup itself stored: all of them, less those that it reused of an
    /// earlier backup.
    new_bytes: u64,
    /// Its labels, sorted.
    labels: Vec<String>,
    /// A note for people; absent where it has none.
    note: Option<String>,
    /// Whether a pin keeps it.
    locked: bool,
    /// That pin; absent where none keeps it.
    pin: Option<BackupPin>,
    /// When it was last verified, and with what result; absent when it never was.
    last_verified: Option<LastVerified>,
    /// When every byte of it was last read.
    last_full: Option<LastVerified>,
    /// The verification that found the fault of a damaged one.
    last_failed: Option<LastVerified>,
    /// When a restore of it was last rehearsed, and with what result; absent when it never was.
    last_rehearsed: Option<LastVerified>,
    /// The version of the layout; absent in a backup that Arc made.
    format: Option<u32>,
    /// The list of the data files that Arc reads, `manifest-files.json`; absent in a backup of an
    /// earlier release, or of Arc.
    file_list: Option<InventorySchema>,
    /// Its inventory.
    inventory: Option<InventorySchema>,
    /// What wrote it: `arc-backup 0.1.0`.
    tool: Option<String>,
    /// When its last file was written, RFC 3339.
    completed_at: Option<String>,
    /// How long it took.
    duration_seconds: Option<f64>,
    /// Where the data came from, without credentials.
    source: Option<SourceSchema>,
    /// The moment of the snapshot, and how it was taken.
    consistency: Option<ConsistencySchema>,
    /// Totals of each section.
    sections: Option<Vec<SectionSchema>>,
    /// Each file in `metadata/`, with its configuration key.
    databases_included: Option<Vec<DatabaseFileSchema>>,
    /// What the configuration names and this backup does not hold.
    not_included: Option<Vec<String>>,
    /// The names of the variables that are in the place of secrets in `arc.toml`.
    config_redacted: Option<Vec<String>>,
    /// Whether one of the SQLite databases is the Iceberg catalog.
    has_iceberg_catalog: Option<bool>,
    /// Other files of the data: schema anchors, Iceberg metadata, …
    auxiliary_files: Option<u64>,
    /// Recovery states of compaction jobs.
    compaction_state_files: Option<u64>,
    /// Rows of the Parquet files, of those whose rows are known; absent where those of none are.
    total_rows: Option<u64>,
    /// Parquet files whose rows are not known.
    files_without_rows: Option<u64>,
    /// Parquet files that were damaged in the source already. The backup has them as they are.
    damaged_files: Option<u64>,
    /// The first of them, at most 1,000.
    damaged_sample: Option<Vec<DamagedFile>>,
    /// Links, FIFOs, sockets and devices that the backup does not hold.
    special_files: Option<u64>,
    /// The first of them.
    special_sample: Option<Vec<String>>,
    /// Files with unsupported names, which the backup does not hold.
    unaddressable_files: Option<u64>,
    /// The first of them.
    unaddressable_sample: Option<Vec<String>>,
    /// Files that an interrupted backup, or the base of an incremental one, had stored already.
    reused_files: Option<u64>,
    /// Their bytes.
    reused_bytes: Option<u64>,
    /// Of an incremental backup: reused files that were read again.
    rehashed: Option<RehashedSchema>,
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
    /// The databases that were asked for, sorted; absent where it has all of them.
    scope: Option<Vec<String>>,
    /// All targets that hold it, or a leg of it.
    targets: Vec<String>,
    /// All targets that hold a part of the same backup.
    run_targets: Option<Vec<String>>,
    /// The SHA-256 of the inventory of each of these parts, by target; absent where Arc made it.
    run_inventories: Option<HashMap<String, String>>,
    /// Whether this part is the one in the default target.
    is_default_target: Option<bool>,
    /// The instance that made it, as Arc 27.01 names it.
    owner_instance_id: Option<String>,
    /// The cluster that the instance is a node of; absent where it is none.
    cluster: Option<ClusterSchema>,
    /// Files of the cold tier, which it holds too; 0 where that was empty, absent where it was not
    /// listed.
    cold_files: Option<u64>,
    /// Their size in bytes.
    cold_size_bytes: Option<u64>,
    /// Files of the cold tier that it does not hold, as they could not be read.
    cold_files_excluded: Option<u64>,
    /// An Iceberg warehouse outside the storage root, with its files in the backup.
    iceberg_warehouse: Option<WarehouseSchema>,
}

/// Where a copy came from.
#[derive(Object)]
#[oai(rename = "CopiedFrom")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct CopiedFromSchema {
    /// The target.
    target: String,
    /// When the copy was made, RFC 3339.
    at: String,
}

/// Files of a backup whose bytes lie in another one.
#[derive(Object)]
#[oai(rename = "StoredTotals")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct StoredSchema {
    /// How many.
    files: u64,
    /// Their size in bytes.
    bytes: u64,
}

/// What a backup of a node of a cluster is of.
#[derive(Object)]
#[oai(rename = "BackupCluster")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct ClusterSchema {
    /// The name of the cluster.
    name: Option<String>,
    /// Whether it holds the storage of one node, and not the state of the cluster: always true.
    node_storage: bool,
}

/// An Iceberg warehouse in a backup.
#[derive(Object)]
#[oai(rename = "IcebergWarehouse")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct WarehouseSchema {
    /// Where it was when the backup was made.
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

/// A list of a backup's files: its inventory, or the list that Arc reads.
#[derive(Object)]
#[oai(rename = "InventoryReference")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct InventorySchema {
    /// Its files.
    entries: u64,
    /// The sum of the sizes in it, in bytes.
    bytes: u64,
    /// The SHA-256 of its lines, without compression.
    sha256: String,
    /// `zstd`, where the file is compressed.
    compression: Option<String>,
}

/// Which of the reused files of an incremental backup were read again, and which are next.
#[derive(Object)]
#[oai(rename = "RehashedFiles")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct RehashedSchema {
    /// How many files were read again.
    files: u64,
    /// Their size in bytes.
    bytes: u64,
    /// The position of 2^32 at which the next backup goes on.
    next: u32,
    /// How many positions before that one have been read in this round.
    covered: u64,
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
    /// A random name of the instance that made the backup: it distinguishes several with the same
    /// path.
    instance: Option<String>,
}

/// The moment of a backup's snapshot.
#[derive(Object)]
#[oai(rename = "Consistency")]
#[allow(dead_code, reason = "describes what `ManifestBody` answers")]
struct ConsistencySchema {
    /// How the snapshot was taken.
    method: String,
    /// The moment, RFC 3339.
    moment: String,
    /// Whether Arc wrote its memory to files before it; absent where `backup.arc_url` was not set.
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
    /// Their rows, as far as these are known.
    rows: Option<u64>,
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
    /// Their rows, as far as these are known.
    rows: Option<u64>,
}

/// A manifest as the file has it, with unknown fields.
pub(in crate::api) struct ManifestBody(pub(in crate::api) Value);

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

/// The manifest as the file has it, with the target, the state of the backup, and its
/// verifications.
///
/// Go writes an empty list as `null`: it becomes an empty list. A field that every manifest should
/// have is added where it is missing.
#[must_use]
pub(crate) fn manifest_answer(target: &str, loaded: &Loaded, note: &Note) -> Value {
    let mut value = loaded.raw.clone();
    if let Value::Object(fields) = &mut value {
        for (name, default) in [
            ("version", json!("")),
            ("backup_type", json!("")),
            ("databases", json!([])),
            ("has_metadata", json!(false)),
            ("has_config", json!(false)),
        ] {
            fill(fields, name, default);
        }
        for database in fields["databases"].as_array_mut().into_iter().flatten() {
            if let Value::Object(database) = database {
                fill(database, "measurements", json!([]));
            }
        }
        fields.insert("target".to_owned(), target.into());
        // The manifest of a run has them already.
        fill(fields, "targets", json!([target]));
        fields.insert(
            "state".to_owned(),
            repository::BackupState::of(note).as_str().into(),
        );
        fields.insert("has_checksums".to_owned(), loaded.has_checksums.into());
        if let Some(inventory) = &loaded.manifest.inventory {
            fields.insert("files".to_owned(), inventory.entries.into());
            fields.insert("bytes".to_owned(), inventory.bytes.into());
        }
        let locked =
            (note.pin.as_ref()).filter(|pin| repository::is_in_force(pin, jiff::Timestamp::now()));
        let new_bytes = repository::new_bytes(&loaded.manifest);
        fields.insert("new_bytes".to_owned(), new_bytes.into());
        fields.insert("labels".to_owned(), json!(note.labels));
        fields.insert("locked".to_owned(), locked.is_some().into());
        if let Some(text) = &note.note {
            fields.insert("note".to_owned(), text.as_str().into());
        }
        if let Some(pin) = locked.and_then(|pin| BackupPin::from(pin.clone()).to_json()) {
            fields.insert("pin".to_owned(), pin);
        }
        for (name, verification) in [
            ("last_verified", note.last_verified.as_ref()),
            ("last_full", note.last_full.as_ref()),
            ("last_failed", note.fault()),
            ("last_rehearsed", note.last_rehearsed.as_ref()),
        ] {
            let verification = verification.cloned().map(LastVerified::from);
            if let Some(verification) = verification.and_then(|one| one.to_json()) {
                fields.insert(name.to_owned(), verification);
            }
        }
    }
    value
}

fn fill(fields: &mut Map<String, Value>, name: &str, default: Value) {
    let field = fields.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = default;
    }
}
