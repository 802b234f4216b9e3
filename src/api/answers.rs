//! What is answered when a request succeeds.

use std::borrow::Cow;

use poem_openapi::payload::Json;
use poem_openapi::registry::{MetaSchemaRef, Registry};
use poem_openapi::types::{ToJSON, Type};
use poem_openapi::{ApiResponse, Object};
use serde_json::{Map, Value, json};

use crate::operations::{
    ArcBackup, ListAnswer, Operation, RestoreInProgress, RestorePreview, TargetError,
};
use crate::repository::{Damaged, Incomplete, Loaded, Summary, Unreadable};

/// An operation was accepted, and goes on by itself.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct Accepted {
    /// What was accepted.
    pub(super) message: String,
    /// `running`.
    pub(super) status: String,
    /// The backup.
    pub(super) backup_id: String,
    /// The operation, for `GET /api/v1/backup/operations/{operation_id}`.
    pub(super) operation_id: String,
    /// Whether Arc must be restarted afterwards.
    pub(super) restart_required: Option<bool>,
    /// Restore: where the backup comes from, where it goes, and what changes.
    pub(super) restore: Option<Box<RestorePreview>>,
    /// Fields that were not understood.
    pub(super) warnings: Vec<String>,
}

/// 202.
#[derive(ApiResponse)]
pub(super) enum Started {
    /// It runs; poll the status.
    #[oai(status = 202)]
    Accepted(Json<Accepted>),
}

/// A deletion has ended.
#[derive(Debug, Object)]
pub(super) struct DeletedBody {
    /// `Backup deleted`.
    pub(super) message: String,
    /// Which.
    pub(super) backup_id: String,
}

/// The answers of a deletion.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// Everything of it is gone.
    #[oai(status = 200)]
    Gone(Json<DeletedBody>),
    /// It takes longer than 25 s, and goes on; poll the status.
    #[oai(status = 202)]
    GoesOn(Json<Accepted>),
}

/// The backups of all targets, newest first.
#[derive(Debug, Object)]
#[oai(rename = "BackupList")]
pub struct ListBody {
    /// The backups.
    pub backups: Vec<Summary>,
    /// How many.
    pub count: u64,
    /// Folders that have the name of a backup and are none.
    pub damaged: Vec<Damaged>,
    /// Backups that can't be read now, which says nothing of their bytes.
    pub unreadable: Vec<Unreadable>,
    /// With `all`: what could be read of sources with files that could not, newest first.
    #[oai(skip_serializing_if_is_none)]
    pub incomplete: Option<Vec<Incomplete>>,
    /// Targets that can't be listed.
    pub errors: Vec<TargetError>,
}

/// The answer of a list.
#[must_use]
pub fn list_answer(answer: ListAnswer) -> ListBody {
    ListBody {
        count: answer.backups.len() as u64,
        backups: answer.backups,
        damaged: answer.damaged,
        unreadable: answer.unreadable,
        incomplete: answer.incomplete,
        errors: answer.errors,
    }
}

/// The manifest, as it stands in the file, with the target that holds it and whether it has checksums.
///
/// A list that is `null`, as Go writes an empty one, is an empty list; a field that every manifest should have is there.
#[must_use]
pub fn manifest_answer(target: &str, loaded: &Loaded) -> Value {
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
        fields.insert("verified".to_owned(), loaded.sealed.into());
    }
    value
}

fn fill(fields: &mut Map<String, Value>, name: &str, default: Value) {
    let field = fields.entry(name).or_insert(Value::Null);
    if field.is_null() {
        *field = default;
    }
}

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
    /// Whether it has checksums: false for a backup that Arc itself made.
    verified: bool,
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
    /// A random name of the instance that made the backup: which of several that have the same path.
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
    /// Whether Arc wrote what it held in memory before it; absent where `backup.arc_url` was not set.
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

/// A file of a backup.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct FileBody {
    /// Its path in the backup.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) size: u64,
    /// Its SHA-256; absent in a backup that Arc made.
    pub(super) sha256: Option<String>,
}

/// A page of a backup's files.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(super) struct FilesBody {
    /// The files, in byte order of their paths.
    pub(super) files: Vec<FileBody>,
    /// How many are on this page.
    pub(super) count: u64,
    /// What to give as `start_after` for the next page; absent on the last.
    pub(super) next: Option<String>,
}

/// Operations, newest first.
#[derive(Debug, Object)]
pub(super) struct OperationsBody {
    /// The operations.
    pub(super) operations: Vec<Operation>,
    /// How many are on this page.
    pub(super) count: u64,
}

/// The service answers.
#[derive(Debug, Object)]
pub(super) struct HealthBody {
    /// `ok`.
    pub(super) status: String,
    /// The version of the program.
    pub(super) version: String,
}

/// Nothing has run.
#[derive(Debug, Object)]
#[oai(skip_serializing_if_is_none)]
pub(crate) struct IdleBody {
    /// `idle`.
    pub(super) status: String,
    /// A restore that was interrupted while it changed live data, and has not been completed.
    pub(super) restore_in_progress: Option<Box<RestoreInProgress>>,
}

/// The answer where the history knows of no operation. A restore may be interrupted all the same: the history may be lost.
pub(crate) async fn idle_answer(engine: &ArcBackup) -> IdleBody {
    IdleBody {
        status: "idle".to_owned(),
        restore_in_progress: engine.restore_in_progress().await.map(Box::new),
    }
}

/// The operation that runs or ran last, or `idle`.
#[derive(Debug, poem_openapi::Union)]

pub(super) enum StatusBody {
    /// One runs, or ran.
    Operation(Box<Operation>),
    /// None has run.
    Idle(IdleBody),
}
