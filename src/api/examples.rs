//! Examples of requests and answers, made of the same types as the answers are.

use poem_openapi::types::ToJSON;
use serde_json::{Value, json};

use super::error::{ErrorBody, error_body};
use super::inside_examples;
use super::schedule_examples;
use super::types::{
    Accepted, BackupList, BackupOrigin, BackupPin, BackupState, CancelRequested, CheckReport,
    CheckStatus, DatabaseChanges, DeletedBody, DoctorCheck, DoctorReport, DoctorStatus, HealthBody,
    Labelled, LastVerified, Operation, OperationsBody, PinnedBackup, PlannedBackup, PrunePlan,
    RestoreDestination, RestorePlan, RestorePreview, RoomNeeded, Status, Summary, TargetCheck,
};
use super::undo_examples;

const ID: &str = "backup-20260211-143022-a1b2c3d4";
const OPERATION_ID: &str = "20260211-143022-5f0c1d2e";
const STARTED: &str = "2026-02-11T14:30:22.104Z";
const INSTANCE: &str = "6b1f0c9a1e5f0c9a1e7d204b3a86e512";
const SHA256: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

pub(super) fn request_example(operation: &str) -> Option<Value> {
    Some(match operation {
        "create_backup" => json!({"include_metadata": true, "include_config": true}),
        "restore_backup" => json!({
            "backup_id": ID,
            "restore_data": true,
            "restore_metadata": true,
            "restore_config": false,
            "confirm": true
        }),
        "label_backup" => json!({"add_labels": ["env=prod"], "note": "before the upgrade"}),
        "verify_backup" => json!({"mode": "sample", "percent": 5.0}),
        "rehearse_backup" => json!({"percent": 10.0}),
        "copy_backup" => json!({"to": "offsite"}),
        "export_backup" => json!({"to": "/mnt/usb/monday.tar.zst"}),
        "import_backup" => json!({"file": "/mnt/usb/monday.tar.zst", "target": "offsite"}),
        "extract_files" => json!({"to": "/tmp/look", "scope": {"include": ["iot.temperature"]}}),
        "prune_backups" => json!({"keep_daily": 7, "keep_monthly": 12, "dry_run": true}),
        "pin_backup" => json!({"reason": "before the upgrade of Arc", "until": "30d"}),
        _ => return undo_examples::request(operation),
    })
}

pub(super) fn answer(operation: &str, status: &str) -> Option<Value> {
    let example = schedule_examples::answer(operation, status)
        .or_else(|| inside_examples::answer(operation, status))
        .or_else(|| undo_examples::answer(operation, status));
    if example.is_some() {
        return example;
    }
    match (operation, status) {
        ("create_backup", "202") => accepted("Backup started", None),
        ("restore_backup", "200") => planned_restore().to_json(),
        ("restore_backup", "202") => accepted("Restore started", Some(true)),
        ("verify_backup", "202") => accepted("Verification started", None),
        ("rehearse_backup", "202") => accepted("Rehearsal started", None),
        ("copy_backup", "202") => accepted("Copy started", None),
        ("export_backup", "202") => accepted("Export started", None),
        ("import_backup", "202") => accepted("Import started", None),
        ("extract_files", "202") => accepted("Extraction started", None),
        ("cancel_operation", "202") => CancelRequested {
            message: "Cancel requested".to_owned(),
            status: "running".to_owned(),
            operation: "backup".to_owned(),
            operation_id: OPERATION_ID.to_owned(),
            backup_id: Some(ID.to_owned()),
            warnings: Vec::new(),
        }
        .to_json(),
        ("label_backup", "200") => Labelled {
            backup_id: ID.to_owned(),
            targets: vec!["local".to_owned()],
            labels: vec!["env=prod".to_owned()],
            note: Some("before the upgrade".to_owned()),
        }
        .to_json(),
        ("delete_backup", "202") => accepted("Backup is being deleted", None),
        ("delete_backup", "200") => DeletedBody {
            message: "Backup deleted".to_owned(),
            backup_id: ID.to_owned(),
            targets: vec!["local".to_owned()],
            dry_run: false,
            freed_files: 1204,
            freed_bytes: 5_371_002_880,
            retained_files: 0,
            retained_bytes: 0,
            needed_by: Vec::new(),
            warnings: Vec::new(),
        }
        .to_json(),
        ("prune_backups", "202") => accepted("Prune started", None),
        ("prune_backups", "200") => pruned().to_json(),
        ("pin_backup", "200") => pinned(true).to_json(),
        ("unpin_backup", "200") => pinned(false).to_json(),
        ("list_backups", "200") => BackupList {
            backups: vec![Summary {
                backup_id: ID.to_owned(),
                created_at: STARTED.to_owned(),
                backup_type: "full".to_owned(),
                base_backup_id: None,
                schedule: Some("nightly".to_owned()),
                total_files: 1200,
                total_size_bytes: 5_368_709_120,
                total_rows: Some(86_400_000),
                files_without_rows: None,
                damaged_files: None,
                database_count: 2,
                scope: Vec::new(),
                target: "local".to_owned(),
                targets: vec!["local".to_owned()],
                partial_view: false,
                instance: Some(INSTANCE.to_owned()),
                owner_instance_id: Some("6a1f9d0e-3b2c-4d5e-8f90-112233445566".to_owned()),
                source_location: Some("local /var/lib/arc/data".to_owned()),
                unaddressable_files: None,
                skipped_files: None,
                skipped_metadata_files: None,
                state: BackupState::Ok,
                has_checksums: true,
                files: Some(1202),
                bytes: Some(5_368_820_395),
                new_bytes: 5_368_820_395,
                labels: vec!["env=prod".to_owned()],
                note: Some("before the upgrade".to_owned()),
                locked: false,
                pin: None,
                last_verified: Some(LastVerified {
                    at: "2026-02-12T03:00:41.215Z".to_owned(),
                    mode: "full".to_owned(),
                    ok: true,
                    operation_id: "20260212-030000-0b7d93f4".to_owned(),
                    share: None,
                    covered: None,
                }),
                last_full: None,
                last_failed: None,
                last_rehearsed: None,
            }],
            count: 1,
            damaged: Vec::new(),
            unreadable: Vec::new(),
            incomplete: None,
            incomplete_runs: Vec::new(),
            errors: Vec::new(),
            unreachable_targets: Vec::new(),
            foreign_backups: None,
            next: None,
        }
        .to_json(),
        ("check_backups", "200") => checked(CheckStatus::Ok, 11_520).to_json(),
        ("check_backups", "503") => checked(CheckStatus::Critical, 108_000).to_json(),
        ("check_backups", "400") => {
            error_body("max_age must be a duration such as 90s, 30m, 26h, 7d or 1d12h").to_json()
        }
        ("check_backups", "403") => denied("Permission denied: read required"),
        ("get_status", "200") => running().to_json(),
        ("list_operations", "200") => OperationsBody {
            operations: vec![ended()],
            count: 1,
            total: 1,
        }
        .to_json(),
        ("get_operation", "200") => ended().to_json(),
        ("get_backup", "200") => Some(manifest()),
        ("run_doctor", "200") => DoctorReport {
            ok: false,
            status: DoctorStatus::Fault,
            checks: vec![DoctorCheck {
                subject: "target offsite".to_owned(),
                check: "put".to_owned(),
                ok: false,
                status: DoctorStatus::Fault,
                state: None,
                detail: "cannot write `.arc-backup/probe-5f0c1d2e`: access denied".to_owned(),
                setting: Some("backup.targets.offsite.s3_access_key".to_owned()),
                remedy: Some("grant s3:PutObject to the key".to_owned()),
            }],
        }
        .to_json(),
        ("get_health", "200") => HealthBody {
            status: "ok".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            schedules: Some("2, 0 paused, 0 overdue".to_owned()),
        }
        .to_json(),
        ("run_schedule", "202") => accepted("Backup started", None),
        ("cancel_operation", "409") => error_body("No operation is running").to_json(),
        ("get_operation", "404") => error_body("Operation not found").to_json(),
        ("restore_backup", "400") => {
            error_body("Restore is a destructive operation. Set confirm: true to proceed.").to_json()
        }
        ("create_backup", "422") => error_body(
            "This Idempotency-Key was used for another request",
        )
        .to_json(),
        ("create_backup" | "verify_backup" | "rehearse_backup", "400") => ErrorBody {
            detail: Some("expected value at line 1 column 1".to_owned()),
            ..error_body("Invalid request body")
        }
        .to_json(),
        ("list_backups", "400") => {
            error_body(r#"unknown target "offsite"; known targets: local"#).to_json()
        }
        ("list_operations", "400") => error_body("limit must be from 1 to 10000").to_json(),
        ("get_status" | "cancel_operation" | "run_doctor" | "get_health", "400") => ErrorBody {
            detail: Some("known: p".to_owned()),
            ..error_body("Unknown query parameter \"verbose\"")
        }
        .to_json(),
        ("label_backup", "400") => error_body(
            "\"my label\" is not a label: expected 1 to 64 letters, digits and _ . : = / -, the first a letter or digit",
        )
        .to_json(),
        (_, "400") => error_body("Invalid backup ID format").to_json(),
        (_, "401") => denied("Authentication required"),
        (_, "403") => denied("Permission denied: admin required"),
        (_, "404") => error_body("Backup not found").to_json(),
        (_, "408") => error_body("Request body did not arrive within 30 s").to_json(),
        (_, "409") => ErrorBody {
            status: Some("running".to_owned()),
            operation: Some("backup".to_owned()),
            operation_id: Some(OPERATION_ID.to_owned()),
            pid: Some(4711),
            host: Some("arc-1".to_owned()),
            started_at: Some(STARTED.to_owned()),
            phase: Some("copying".to_owned()),
            total_files: Some(1200),
            processed_files: Some(450),
            total_bytes: Some(5_368_709_120),
            processed_bytes: Some(2_147_483_648),
            ..error_body("A backup or restore operation is already in progress")
        }
        .to_json(),
        (_, "413") => error_body("Request body is larger than 1 MiB").to_json(),
        (_, "422") => ErrorBody {
            detail: Some("manifest.json does not have the SHA-256 that it names".to_owned()),
            ..error_body(format!("Backup {ID} is damaged"))
        }
        .to_json(),
        (_, "500") => error_body(
            "cannot open the history `./data/backups/.arc-backup/history.db` (`backup.state_path`): disk I/O error",
        )
        .to_json(),
        (_, "502") => error_body(
            "target `offsite`: access denied (cannot lock `.arc-backup/lock`)",
        )
        .to_json(),
        (_, "503") => error_body(
            "target `offsite`: connection refused (cannot lock `.arc-backup/lock`)",
        )
        .to_json(),
        (_, "507") => error_body(
            "target `local`: no space left on device (cannot write `.arc-backup/lock`)",
        )
        .to_json(),
        _ => None,
    }
}

fn accepted(message: &str, restart_required: Option<bool>) -> Option<Value> {
    Accepted {
        message: message.to_owned(),
        status: "running".to_owned(),
        backup_id: ID.to_owned(),
        operation_id: OPERATION_ID.to_owned(),
        databases: Vec::new(),
        scope: Vec::new(),
        selection: None,
        restart_required,
        restore: restart_required.map(|_| Box::new(restore_preview())),
        warnings: Vec::new(),
    }
    .to_json()
}

fn planned_restore() -> RestorePreview {
    RestorePreview {
        plan_id: Some("plan-5f0c9a1e7d204b3a".to_owned()),
        ..restore_preview()
    }
}

fn restore_preview() -> RestorePreview {
    let origin = BackupOrigin {
        backend: "local".to_owned(),
        location: "/var/lib/arc/data".to_owned(),
        instance: Some(INSTANCE.to_owned()),
    };
    RestorePreview {
        backup_id: ID.to_owned(),
        target: "local".to_owned(),
        created_at: STARTED.to_owned(),
        age_seconds: Some(86_400),
        source: Some(origin.clone()),
        destination: RestoreDestination {
            storage: origin,
            databases: vec!["/var/lib/arc/arc.db".to_owned()],
            config: None,
            warehouse: None,
        },
        databases: vec!["iot".to_owned(), "metrics".to_owned()],
        sqlite_databases: vec!["arc.db".to_owned()],
        plan: Some(RestorePlan {
            unchanged_files: 1100,
            written_files: 101,
            replaced_files: 1,
            extra_files: 12,
            set_aside_files: 13,
            bytes_to_write: 412_876_800,
            bytes_to_read: 412_876_800,
            databases: vec![DatabaseChanges {
                name: "iot".to_owned(),
                unchanged_files: 1100,
                written_files: 100,
                bytes_to_write: 412_463_104,
                replaced_files: 0,
                extra_files: 12,
            }],
            room: vec![RoomNeeded {
                path: "/var/lib/arc/data".to_owned(),
                bytes: 412_463_104,
            }],
            ..RestorePlan::default()
        }),
        arc_running: Some(false),
        restart_required: true,
        ..RestorePreview::default()
    }
}

fn denied(text: &str) -> Option<Value> {
    ErrorBody {
        success: Some(false),
        ..error_body(text)
    }
    .to_json()
}

fn running() -> Operation {
    Operation {
        operation: "backup".to_owned(),
        operation_id: OPERATION_ID.to_owned(),
        backup_id: ID.to_owned(),
        status: Status::Running,
        target: Some("local".to_owned()),
        targets: None,
        phase: Some("copying".to_owned()),
        total_files: 1200,
        processed_files: 450,
        total_bytes: 5_368_709_120,
        processed_bytes: 2_147_483_648,
        bytes_per_second: Some(536_870_912),
        eta_seconds: Some(6),
        started_at: STARTED.to_owned(),
        actor: "admin".to_owned(),
        origin: "rest".to_owned(),
        ..Operation::default()
    }
}

fn ended() -> Operation {
    Operation {
        status: Status::Completed,
        phase: None,
        processed_files: 1200,
        processed_bytes: 5_368_709_120,
        bytes_per_second: None,
        eta_seconds: None,
        completed_at: Some("2026-02-11T14:30:32.870Z".to_owned()),
        ..running()
    }
}

fn pruned() -> PrunePlan {
    let backup = |id: &str, keep: bool, reason: &str| PlannedBackup {
        backup_id: id.to_owned(),
        created_at: Some(STARTED.to_owned()),
        state: BackupState::Ok,
        scope: Vec::new(),
        schedule: None,
        locked: false,
        targets: vec!["local".to_owned()],
        keep,
        reasons: vec![reason.to_owned()],
        freed_files: (!keep).then_some(1202),
        freed_bytes: (!keep).then_some(5_368_820_395),
    };
    PrunePlan {
        target: "local".to_owned(),
        made_at: "2026-02-12T03:00:41.215Z".to_owned(),
        backups: vec![
            backup(ID, true, "daily snapshot"),
            backup("backup-20260211-023022-0b7d93f4", false, "no rule keeps it"),
        ],
        keep_count: 1,
        delete_count: 1,
        freed_files: Some(1202),
        freed_bytes: Some(5_368_820_395),
        warnings: Vec::new(),
    }
}

fn pinned(is_pinned: bool) -> PinnedBackup {
    PinnedBackup {
        backup_id: ID.to_owned(),
        targets: vec!["local".to_owned()],
        locked: is_pinned,
        pin: is_pinned.then(|| BackupPin {
            at: STARTED.to_owned(),
            by: "admin".to_owned(),
            reason: Some("before the upgrade of Arc".to_owned()),
            until: Some("2026-03-13T14:30:22.104Z".to_owned()),
        }),
    }
}

fn checked(status: CheckStatus, age_seconds: u64) -> CheckReport {
    let age = crate::times::long(std::time::Duration::from_secs(age_seconds));
    let newest = format!("newest backup {ID} {age} old (limit 26h)");
    let detail = format!("{newest}, verified 2d ago");
    let ok = status == CheckStatus::Ok;
    CheckReport {
        status,
        ok,
        line: format!(
            "{}: target local: {detail}",
            if ok { "OK" } else { "CRITICAL" }
        ),
        checked_at: "2026-02-12T20:30:22.104Z".to_owned(),
        faults: Vec::new(),
        targets: vec![TargetCheck {
            target: "local".to_owned(),
            status,
            ok,
            detail,
            faults: if ok { Vec::new() } else { vec![newest] },
            backups: 14,
            newest: Some(ID.to_owned()),
            newest_at: Some(STARTED.to_owned()),
            age_seconds: Some(age_seconds),
            last_verified_at: Some("2026-02-10T03:00:41.215Z".to_owned()),
        }],
    }
}

fn manifest() -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "backup_id": ID,
        "created_at": STARTED,
        "backup_type": "full",
        "databases": [{
            "name": "iot",
            "measurements": [{"name": "temperature", "file_count": 1200, "size_bytes": 5_368_709_120_u64, "rows": 86_400_000}],
            "file_count": 1200,
            "size_bytes": 5_368_709_120_u64,
            "rows": 86_400_000
        }],
        "total_files": 1200,
        "total_size_bytes": 5_368_709_120_u64,
        "total_rows": 86_400_000,
        "has_metadata": true,
        "has_config": true,
        "target": "local",
        "targets": ["local"],
        "format": crate::manifest::FORMAT,
        "file_list": {"entries": 1200, "bytes": 5_368_709_120_u64, "sha256": SHA256},
        "inventory": {
            "entries": 1202, "bytes": 5_368_820_395_u64, "sha256": SHA256, "compression": "zstd"
        },
        "sha256": SHA256,
        "state": "ok",
        "has_checksums": true,
        "files": 1202,
        "bytes": 5_368_820_395_u64,
        "new_bytes": 5_368_820_395_u64,
        "labels": ["env=prod"],
        "locked": false
    })
}
