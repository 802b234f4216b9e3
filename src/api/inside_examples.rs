//! Examples of answers of the endpoints that look inside a backup.

use poem_openapi::types::ToJSON;
use serde_json::Value;

use super::error::{ErrorBody, error_body};
use super::types::{
    DiffBody, DiffFiles, DiffOf, DiffPart, DiffPaths, DiffTotals, FileBody, FilesBody,
};

const ID: &str = "backup-20260211-143022-a1b2c3d4";
const FILE: &str =
    "data/iot/temperature/2026/02/11/14/temperature_20260211_140000_104000000.parquet";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(super) fn answer(operation: &str, status: &str) -> Option<Value> {
    match (operation, status) {
        ("list_files", "200") => FilesBody {
            files: vec![FileBody {
                path: FILE.to_owned(),
                size: 1237,
                sha256: Some(SHA256.to_owned()),
            }],
            count: 1,
            ..FilesBody::default()
        }
        .to_json(),
        ("get_file" | "list_files", "404") => ErrorBody {
            detail: Some(format!("the backup has no file {FILE:?}")),
            ..error_body("File not found")
        }
        .to_json(),
        ("get_file", "416") => error_body("the file has 1237 bytes").to_json(),
        ("diff_backups", "200") => compared().to_json(),
        _ => None,
    }
}

/// The live data a day after a backup.
fn compared() -> DiffBody {
    let of = |files, bytes| DiffFiles {
        files,
        bytes,
        rows: None,
    };
    let totals = |unchanged| DiffTotals {
        added: of(24, 29_688),
        removed: of(0, 0),
        changed: of(0, 0),
        changed_bytes_before: 0,
        unknown: of(0, 0),
        unchanged: of(unchanged, unchanged * 1237),
    };
    DiffBody {
        a: DiffOf {
            backup_id: Some(ID.to_owned()),
            target: Some("local".to_owned()),
            live: None,
        },
        b: DiffOf {
            backup_id: None,
            target: None,
            live: Some("/var/lib/arc/data".to_owned()),
        },
        selection: None,
        same: false,
        totals: totals(1200),
        parts: vec![DiffPart {
            section: "data".to_owned(),
            database: Some("iot".to_owned()),
            measurement: Some("temperature".to_owned()),
            totals: totals(240),
        }],
        files: DiffPaths {
            added: vec![
                "data/iot/temperature/2026/02/12/00/temperature_20260212_000000_104000000.parquet"
                    .to_owned(),
            ],
            ..DiffPaths::default()
        },
        warnings: Vec::new(),
    }
}
