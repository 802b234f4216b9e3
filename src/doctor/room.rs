//! Room on local disk for the next backups.

use std::path::Path;

use indicatif::{HumanBytes, HumanCount};

use super::check::{Check, DoctorStatus};
use super::reading::{self, Needs};
use crate::operations::{ArcBackup, Room, taken};

/// The least free room, where it is not known how much is needed.
const LITTLE: u64 = 64 << 20;
/// What the list of a backup's files takes in the state folder while it is made, for each file.
const LIST_BYTES: u64 = 600;
/// The share of a file system that is to stay free: one tenth.
const RESERVE: u64 = 10;

const MAKE_ROOM: &str = "remove leftovers of interrupted operations (`arc-backup sweep --apply`), delete old backups, add room, or \
    back up to another target";

/// Room in each target on local disk, for the state folder, and beside data on local disk.
pub(super) fn checks(engine: &ArcBackup, needs: Option<Needs>) -> Vec<Check> {
    let mut checks = Vec::new();
    let databases: u64 = (engine.settings().databases.iter())
        .filter_map(|database| Some(std::fs::metadata(&database.path).ok()?.len()))
        .sum();
    let backup = needs.map(|needs| Needs {
        bytes: needs.bytes.saturating_add(databases),
        ..needs
    });
    for (target, repository) in engine.targets() {
        if let Some(root) = repository.sink().properties().local_path {
            let subject = format!("target {}", target.name);
            let setting = format!("{}.local_path", target.key);
            let what = "a full backup takes";
            checks.extend(check(&subject, &root, &setting, what, backup, MAKE_ROOM));
        }
    }
    // Databases are copied there first, and the list of all files is made there.
    let state = needs.map(|needs| Needs {
        files: 0,
        bytes: databases.saturating_add(needs.files.saturating_mul(LIST_BYTES)),
        ..needs
    });
    checks.extend(check(
        "state",
        engine.settings().backup.state_folder(),
        "backup.state_path",
        "a backup takes, while it is made,",
        state,
        "add room, or set `backup.state_path` to a file on another disk",
    ));
    if let Some(root) = engine.storage().properties().local_path {
        let remedy = "free or add room: Arc writes there, and so does a restore";
        checks.extend(check(
            reading::SUBJECT,
            &root,
            "storage.local_path",
            "",
            None,
            remedy,
        ));
    }
    checks
}

fn check(
    subject: &str,
    folder: &Path,
    setting: &str,
    what: &str,
    needs: Option<Needs>,
    remedy: &str,
) -> Option<Check> {
    let room = match Room::at(folder) {
        Ok(room) => room?,
        Err(error) => {
            let text = crate::Error::io("look at", folder, error).to_string();
            return Some(Check::bad(subject, "room", text).look_at(setting, remedy));
        }
    };
    let free = format!(
        "{} of {} free",
        HumanBytes(room.free_bytes),
        HumanBytes(room.total_bytes)
    );
    let (status, text) = match needs {
        None if room.free_bytes < LITTLE => (DoctorStatus::Warn, free),
        None => (DoctorStatus::Ok, free),
        Some(needs) => {
            let (status, why) = judge(&room, &needs);
            (status, format!("{free}; {what} {}{why}", needs.describe()))
        }
    };
    Some(match status {
        DoctorStatus::Ok => Check::good(subject, "room", text),
        DoctorStatus::Warn => Check::warn(subject, "room", text).look_at(setting, remedy),
        DoctorStatus::Fault => Check::bad(subject, "room", text).look_at(setting, remedy),
    })
}

/// Whether the next backup has room, and the one after it.
fn judge(room: &Room, needs: &Needs) -> (DoctorStatus, String) {
    let bytes = taken(needs.files, needs.bytes);
    let files = needs.files;
    let free_files = room.free_files.unwrap_or(u64::MAX);
    let inodes = |what: &str| {
        format!(
            ": it has {} files, and {what} {} can be made there (inodes)",
            HumanCount(files),
            HumanCount(free_files)
        )
    };
    if room.free_bytes < bytes {
        (DoctorStatus::Fault, ": the next backup fails".to_owned())
    } else if free_files < files {
        (DoctorStatus::Fault, inodes("only"))
    } else if room.free_bytes < bytes.saturating_mul(2) {
        (
            DoctorStatus::Warn,
            ": there is room for one more backup, and not for the one after it".to_owned(),
        )
    } else if free_files < files.saturating_mul(2) {
        (DoctorStatus::Warn, inodes("no more than"))
    } else if room.free_bytes - bytes < room.total_bytes / RESERVE {
        (
            DoctorStatus::Warn,
            format!(
                ": less than {} % are free after the next one",
                100 / RESERVE
            ),
        )
    } else {
        (DoctorStatus::Ok, String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a backup that fails at night on a disk that was too small in the evening.
    #[test]
    fn room_is_judged_by_what_the_next_backups_take() {
        let room = |free_bytes: u64, free_files: Option<u64>| Room {
            folder: "/".into(),
            device: 1,
            free_bytes,
            total_bytes: 1 << 30,
            free_files,
        };
        let needs = Needs {
            files: 10,
            bytes: 100 << 20,
            is_whole: true,
        };
        for (free_mib, free_files, status) in [
            (99, None, DoctorStatus::Fault),
            (150, None, DoctorStatus::Warn),
            // A hundred and two is a tenth.
            (201, None, DoctorStatus::Warn),
            (203, None, DoctorStatus::Ok),
            (900, Some(9), DoctorStatus::Fault),
            (900, Some(19), DoctorStatus::Warn),
            (900, Some(20), DoctorStatus::Ok),
        ] {
            let judged = judge(&room(free_mib << 20, free_files), &needs);
            assert_eq!(judged.0, status, "{free_mib} MiB: {}", judged.1);
        }
    }
}
