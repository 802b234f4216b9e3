//! What the document says of fields and parameters beyond their types: formats, patterns, bounds
//! and sets of words.
//!
//! It is added here and not to the types: poem-openapi would check it itself, with other
//! messages than Arc's.

use arc_backup_core::SourceDamage;
use serde_json::{Map, Value, json};

use super::parameters::{OFFSET_LIMIT, PAGE, PAGE_LIMIT};
use crate::operations::labels::{MAX_LABELS, MAX_NOTE};
use crate::operations::{OperationKind, Origin, Phase, ProblemKind};

const BACKUP_ID: &str = "^backup-[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$";
const BACKUP_ID_OR_NONE: &str = "^(backup-[0-9]{8}-[0-9]{6}-[0-9a-f]{8})?$";
const OPERATION_ID: &str = "^[0-9]{8}-[0-9]{6}-[0-9a-f]{8}$";
const SHA256: &str = "^[0-9a-f]{64}$";
const LABEL: &str = "^[A-Za-z0-9][A-Za-z0-9_.:=/-]{0,63}$";
const WITHIN: &str = "^(0|([0-9]{1,4}[ymdh]){1,4})$";
const SCHEDULE: &str = "^[a-z0-9_-]{1,64}$";
const DURATION: &str = "^[0-9]{1,6}[smhd]?$";

/// The operations that the history holds.
const OPERATIONS: [OperationKind; 11] = [
    OperationKind::Backup,
    OperationKind::Restore,
    OperationKind::Verify,
    OperationKind::Rehearse,
    OperationKind::Delete,
    OperationKind::Copy,
    OperationKind::Export,
    OperationKind::Import,
    OperationKind::Extract,
    OperationKind::Prune,
    OperationKind::Undo,
];
/// The names that a field may have.
fn names<T: Copy>(all: &[T], name: fn(T) -> &'static str) -> Value {
    json!({"enum": all.iter().copied().map(name).collect::<Vec<_>>()})
}

/// Adds to the document what the types do not say.
pub(super) fn add_to(document: &mut Value) {
    if let Some(schemas) = document["components"]["schemas"].as_object_mut() {
        for (name, schema) in schemas {
            describe_fields(name, schema);
        }
    }
    for operation in operations(document) {
        let id = operation["operationId"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let parameters = operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut);
        for parameter in parameters.into_iter().flatten() {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            add(&mut parameter["schema"], of_parameter(&id, &name));
        }
        if let Some(unauthorized) = operation["responses"].get_mut("401") {
            unauthorized["headers"] = json!({"WWW-Authenticate": {
                "description": "`Bearer`.", "required": true, "schema": {"type": "string"},
            }});
        }
    }
    for operation in operations(document) {
        let responses = operation["responses"].as_object_mut();
        for response in responses.into_iter().flat_map(Map::values_mut) {
            spell_headers(response);
        }
    }
    correct(document);
}

/// Spells the names of headers as they are known; poem-openapi has them in capitals.
fn spell_headers(response: &mut Value) {
    let Some(headers) = response.get_mut("headers").and_then(Value::as_object_mut) else {
        return;
    };
    for name in [
        "Location",
        "Retry-After",
        "ETag",
        "Content-Length",
        "Content-Range",
        "Accept-Ranges",
    ] {
        if let Some(header) = headers.remove(&name.to_uppercase()) {
            headers.insert(name.to_owned(), header);
        }
    }
}

/// The operations of the document, each with what it says of itself.
pub(super) fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    (document["paths"].as_object_mut().into_iter())
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
        .flat_map(Map::values_mut)
}

fn describe_fields(name: &str, schema: &mut Value) {
    let is_request = matches!(
        name,
        "CopyBackup"
            | "CreateBackup"
            | "DataScope"
            | "LabelBackup"
            | "PinBackup"
            | "PruneBackups"
            | "RehearseBackup"
            | "RestoreBackup"
            | "UndoRestore"
            | "VerifyBackup"
    );
    let required: &[&str] = match name {
        "RestoreBackup" => &["backup_id", "confirm"],
        "CopyBackup" => &["to"],
        "UndoRestore" => &["operation_id"],
        _ => &[],
    };
    let fields = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (field, schema) in fields.into_iter().flatten() {
        add(schema, of_field(name, field));
        // A field that is null is taken as one that is absent.
        if is_request && !required.contains(&&**field) {
            add(schema, json!({"nullable": true}));
            if let Some(words) = schema.get_mut("enum").and_then(Value::as_array_mut) {
                words.push(Value::Null);
            }
        }
    }
    if !required.is_empty() {
        schema["required"] = json!(required);
    } else if is_request {
        // So is a body.
        schema["nullable"] = true.into();
    }
}

fn of_field(schema: &str, field: &str) -> Value {
    match (schema, field) {
        // What another process or a broken file says of itself: an id may be a word there.
        ("ErrorBody" | "RestoreInProgress", "backup_id" | "operation_id") => json!({}),
        // Of an attempt that did not find out which backup is meant, none is known.
        // And a prune is over many.
        ("Operation" | "Accepted", "backup_id") => json!({"pattern": BACKUP_ID_OR_NONE}),
        (_, "backup_id") => json!({"pattern": BACKUP_ID}),
        (_, "operation_id" | "undoes") => json!({"pattern": OPERATION_ID}),
        (_, "base_backup_id") => json!({"pattern": BACKUP_ID}),
        ("CreateBackup" | "LabelBackup", "labels" | "add_labels" | "remove_labels") => json!({
            "maxItems": MAX_LABELS, "items": {"type": "string", "pattern": LABEL},
        }),
        ("CreateBackup" | "LabelBackup", "note") => json!({"maxLength": MAX_NOTE}),
        (_, "sha256") => json!({"pattern": SHA256}),
        // Every moment is called so.
        (_, name) if name.ends_with("_at") || ["at", "moment"].contains(&name) => {
            json!({"format": "date-time"})
        }
        (_, "share" | "covered") => json!({"minimum": 0, "maximum": 1}),
        ("Accepted" | "CancelRequested" | "ErrorBody", "status") => json!({"enum": ["running"]}),
        ("TargetCheck", "newest") => json!({"pattern": BACKUP_ID}),
        ("HealthBody", "status") => json!({"enum": ["ok"]}),
        ("IdleBody", "status") => json!({"enum": ["idle"]}),
        ("VerifyBackup", "mode") => json!({"enum": ["full", "quick", "sample"]}),
        ("LastVerified", "mode") => {
            json!({"enum": ["full", "quick", "sample", "reuse", "rehearsal"]})
        }
        ("CreateBackup", "databases") => json!({
            "minItems": 1, "maxItems": 256, "uniqueItems": true,
            "items": {"type": "string", "pattern": "^[^_./\\\\][^/\\\\]*$"},
        }),
        ("Operation", "operation") => {
            // And what a row of the history is that cannot be read.
            let kinds = [&OPERATIONS[..], &[OperationKind::Unknown]].concat();
            names(&kinds, OperationKind::as_str)
        }
        ("AlsoRunning", "operation") => {
            let kinds = [&OPERATIONS[..], &[OperationKind::Sweep]].concat();
            names(&kinds, OperationKind::as_str)
        }
        ("SetAsideFiles", "operation") => json!({"enum": ["restore", "undo"]}),
        ("Operation", "phase") => names(Phase::ALL, Phase::as_str),
        ("Operation", "origin") => names(Origin::ALL, Origin::as_str),
        ("Problem", "kind") => names(ProblemKind::ALL, ProblemKind::as_str),
        ("RestoreInProgress", "phase") => json!({"enum": ["staging", "applying"]}),
        // `replace` is refused: on a standalone instance by its name, on a cluster as any restore.
        ("RestoreBackup", "mode") => json!({"enum": ["merge", "replace"]}),
        ("RestoreBackup", "confirm") => json!({"enum": [true]}),
        // Of the two ways to say it, only the inline one can be nullable.
        ("RestoreBackup", "extra_files") => json!({
            "type": "string", "enum": ["set_aside", "keep", "remove"], "allOf": null,
        }),
        ("BackupPin", "until") => json!({"format": "date-time"}),
        ("PinBackup", "reason") => json!({"maxLength": 1000}),
        ("PruneBackups", name) if name.starts_with("keep_") && name != "keep_within" => {
            json!({"minimum": 0})
        }
        ("PruneBackups", "keep_within") => json!({"pattern": WITHIN}),
        (_, "timeout") => json!({"pattern": DURATION}),
        ("DamagedFile", "damage") => names(&SourceDamage::ALL, SourceDamage::as_str),
        ("VerifyBackup" | "RehearseBackup", "percent") => {
            json!({"minimum": 0, "exclusiveMinimum": true, "maximum": 100})
        }
        ("Schedule", "name") => json!({"pattern": SCHEDULE}),
        ("Schedule", "type") => json!({"enum": ["full", "incremental"]}),
        ("Schedule" | "SchedulePreview", "next_runs") => {
            json!({"items": {"type": "string", "format": "date-time"}})
        }
        ("Schedule", "running") => json!({"pattern": OPERATION_ID}),
        _ => json!({}),
    }
}

fn of_parameter(operation: &str, name: &str) -> Value {
    match name {
        // By default all.
        "limit" if operation == "list_backups" => json!({"minimum": 1, "maximum": PAGE_LIMIT}),
        "id" => json!({"pattern": BACKUP_ID}),
        "name" => json!({"pattern": SCHEDULE}),
        "operation_id" => json!({"pattern": OPERATION_ID}),
        "backup_id" => json!({"pattern": BACKUP_ID}),
        "operation" => {
            let names = OPERATIONS.map(OperationKind::as_str);
            json!({"items": {"type": "string", "enum": names}})
        }
        "status" => json!({"items": {"$ref": "#/components/schemas/Status"}}),
        "label" => json!({"items": {"type": "string", "pattern": LABEL}}),
        "older_than" => json!({"example": "30d"}),
        "wait" => json!({"pattern": "^[0-9]+[smhd]?$", "example": "30s"}),
        "since" | "until" => json!({"example": "24h"}),
        "limit" => json!({"minimum": 1, "maximum": PAGE_LIMIT, "default": PAGE}),
        "offset" => json!({"maximum": OFFSET_LIMIT, "default": 0}),
        _ => json!({}),
    }
}

/// Adds keywords to a schema; `null` removes one.
fn add(schema: &mut Value, keywords: Value) {
    let (Some(schema), Value::Object(keywords)) = (schema.as_object_mut(), keywords) else {
        return;
    };
    for (keyword, value) in keywords {
        if value.is_null() {
            schema.remove(&keyword);
        } else {
            schema.insert(keyword, value);
        }
    }
}

/// Corrects what poem-openapi derives: a default of `null` fits no field that is not nullable, and
/// the formats of numbers without a sign are not known to others.
fn correct(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(correct),
        Value::Object(fields) => {
            if fields.get("default") == Some(&Value::Null) {
                fields.remove("default");
            }
            // Generated clients take a format that they do not know for 32 bits, and then fail at 2
            // GiB.
            let known = match fields.get("format").and_then(Value::as_str) {
                Some("uint8" | "uint16") => Some("int32"),
                Some("uint32" | "uint64") => Some("int64"),
                _ => None,
            };
            if let Some(known) = known {
                fields.insert("format".to_owned(), known.into());
                fields.entry("minimum").or_insert_with(|| 0.into());
            }
            fields.values_mut().for_each(correct);
        }
        _ => {}
    }
}
