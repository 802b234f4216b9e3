//! What is answered when a request succeeds.

use poem_openapi::payload::Json;
use poem_openapi::types::ToJSON;
use poem_openapi::{ApiResponse, Object};
use serde_json::{Map, Value, json};

use crate::operations::{
    ArcBackup, ListAnswer, Operation, RestoreInProgress, RestorePreview, TargetError,
};
use crate::repository::{BackupState, Damaged, Incomplete, Loaded, Note, Summary, Unreadable};

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
    Accepted(
        Json<Accepted>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
        /// After how many seconds to ask there; or ask with `?wait=30s`.
        #[oai(header = "Retry-After")]
        u64,
    ),
}

/// An operation was asked to end, and ends by itself.
#[derive(Debug, Object)]
#[oai(rename = "CancelRequested", skip_serializing_if_is_none)]
pub(super) struct CancelRequested {
    /// `Cancel requested`.
    pub(super) message: String,
    /// `running`.
    pub(super) status: String,
    /// What runs: `backup`, `restore`, `verify`, `delete` or `sweep`.
    pub(super) operation: String,
    /// Its id.
    pub(super) operation_id: String,
    /// The backup that it makes or reads; absent for a sweep.
    pub(super) backup_id: Option<String>,
    /// Always empty.
    pub(super) warnings: Vec<String>,
}

/// The answer of a cancel.
#[derive(ApiResponse)]
pub(super) enum Cancelled {
    /// It ends within `backup.stop_timeout`; poll the status.
    #[oai(status = 202)]
    Accepted(
        Json<CancelRequested>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
    ),
}
/// Where an operation is reported.
pub(super) fn location(operation_id: &str) -> String {
    format!("/api/v1/backup/operations/{operation_id}")
}

/// After how many seconds the status of an operation is asked for first.
pub(super) const POLL_AFTER_SECS: u64 = 1;

/// A deletion has ended.
#[derive(Debug, Object)]
pub(super) struct DeletedBody {
    /// `Backup deleted`.
    pub(super) message: String,
    /// Which.
    pub(super) backup_id: String,
    /// What the operator should know: that no good backup is left in the target.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(super) warnings: Vec<String>,
}

/// The answers of a deletion.
#[derive(ApiResponse)]
pub(super) enum Deleted {
    /// Everything of it is gone.
    #[oai(status = 200)]
    Gone(Json<DeletedBody>),
    /// It takes longer than 25 s, and goes on; poll the status.
    #[oai(status = 202)]
    GoesOn(
        Json<Accepted>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
        /// After how many seconds to ask there; or ask with `?wait=30s`.
        #[oai(header = "Retry-After")]
        u64,
    ),
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
    /// What to give as `start_after` for the next page; absent on the last.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<String>,
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
        next: answer.next,
    }
}

/// The manifest, as it stands in the file, with the target that holds it, its state, and what its
/// note says of verifications.
///
/// A list that is `null`, as Go writes an empty one, is an empty list; a field that every manifest should have is there.
#[must_use]
pub fn manifest_answer(target: &str, loaded: &Loaded, note: &Note) -> Value {
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
        fields.insert("state".to_owned(), BackupState::of(note).as_str().into());
        fields.insert("has_checksums".to_owned(), loaded.sealed.into());
        if let Some(inventory) = &loaded.manifest.inventory {
            fields.insert("files".to_owned(), inventory.entries.into());
            fields.insert("bytes".to_owned(), inventory.bytes.into());
        }
        for (name, verification) in [
            ("last_verified", note.last_verified.as_ref()),
            ("last_full", note.last_full.as_ref()),
            ("last_failed", note.fault()),
        ] {
            if let Some(verification) = verification.and_then(ToJSON::to_json) {
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
    /// How many there are on all pages.
    pub(super) total: u64,
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
