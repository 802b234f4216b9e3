//! What a list says of one backup.

use std::cmp::Reverse;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BackupState, LastVerified, Loaded, Note, Pin};
use crate::manifest::{Manifest, Run, Skipped};
use crate::omitted::Omitted;

/// What a list says of one backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The backup's id.
    pub backup_id: String,
    /// When the backup began, RFC 3339, UTC.
    pub created_at: String,
    /// `full`, or `incremental` where unchanged files are those of an earlier backup.
    pub backup_type: String,
    /// The earlier backup whose unchanged files an incremental one reused.
    pub base_backup_id: Option<String>,
    /// The schedule that it was made for.
    pub schedule: Option<String>,
    /// Parquet files of databases.
    pub total_files: u64,
    /// Their size in bytes.
    pub total_size_bytes: u64,
    /// Their rows, of those whose rows are known.
    pub total_rows: Option<u64>,
    /// Those of them whose rows are not known.
    pub files_without_rows: u64,
    /// Parquet files that were damaged in the source already.
    pub damaged_files: u64,
    /// How many databases.
    pub database_count: u64,
    /// The databases that were asked for, sorted; empty where it has all of them.
    pub scope: Vec<String>,
    /// What one of all databases lacks, as it was asked for without.
    pub omitted: Omitted,
    /// The target that holds it; of a run, the default one.
    pub target: String,
    /// All targets that hold it, or a leg of it.
    pub targets: Vec<String>,
    /// Whether legs of it could not be read, so that the figures are those of the others.
    pub partial_view: bool,
    /// What says that it is only a leg, where it is one.
    pub leg: Option<Leg>,
    /// The instance that made it: a random name. Absent in a backup that Arc itself made.
    pub instance: Option<String>,
    /// The instance that made it, as Arc 27.01 names it. Absent in backups of earlier releases.
    pub owner_instance_id: Option<String>,
    /// Whether that is known to be another instance than this one. A target does not know: the
    /// engine says so.
    pub is_foreign: bool,
    /// Where its data came from: the kind of storage, and the path or URL without credentials.
    pub source_location: Option<String>,
    /// Files with unsupported names, which the backup does not hold.
    pub unaddressable_files: u64,
    /// Files that Arc skipped when it made the backup.
    pub skipped: Skipped,
    /// What is known of it: `ok`, `unverified` or `damaged`.
    pub state: BackupState,
    /// Whether its note can't be read: it may be damaged or pinned.
    pub note_unreadable: bool,
    /// Whether it has checksums: false for a backup that Arc before 27.01 made.
    pub has_checksums: bool,
    /// All its files, databases and configuration too; absent in a backup that Arc itself made.
    pub files: Option<u64>,
    /// Their size in bytes.
    pub bytes: Option<u64>,
    /// The bytes that this backup itself stored: all of them, less those that it reused of an
    /// earlier backup.
    pub new_bytes: u64,
    /// Its labels, sorted.
    pub labels: Vec<String>,
    /// A note for people.
    pub note: Option<String>,
    /// Its pin; absent where it has none. See [`is_locked`](Self::is_locked).
    pub pin: Option<Pin>,
    /// When it was last verified, and what came of it; absent when it never was.
    pub last_verified: Option<LastVerified>,
    /// When every byte of it was last read, where that was not the last time.
    pub last_full: Option<LastVerified>,
    /// The verification that found the fault of a damaged one, where that was not the last time.
    pub last_failed: Option<LastVerified>,
    /// When a restore of it was last rehearsed, and what came of it.
    pub last_rehearsed: Option<LastVerified>,
}

/// What the manifest of a leg says of its run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Leg {
    /// The run.
    pub run: Run,
    /// Whether it is the one in the default target.
    pub is_default: bool,
    /// Why it is no leg of the run, if it is none: it is that of another target.
    pub fault: Option<String>,
}

impl Leg {
    /// What the manifest of a backup in `target` says; `None` where it is whole by itself.
    #[must_use]
    pub fn of(target: &str, manifest: &Manifest) -> Option<Self> {
        let run = manifest.run()?;
        Some(Self {
            is_default: manifest.is_default_leg(),
            fault: manifest.check_leg(target, &run).err(),
            run,
        })
    }
}

impl Summary {
    /// Whether it has the data of all databases. It may lack SQLite databases and configuration:
    /// see [`omitted`](Self::omitted).
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.scope.is_empty()
    }

    /// Whether a pin keeps it at this moment.
    #[must_use]
    pub fn is_locked(&self, now: Timestamp) -> bool {
        self.pin.as_ref().is_some_and(|pin| is_in_force(pin, now))
    }

    /// What a manifest says of a backup in `target`, which nobody has verified or labelled.
    pub(super) fn of(target: &str, loaded: &Loaded) -> Self {
        let manifest = &loaded.manifest;
        let inventory = manifest.inventory.as_ref();
        Self {
            backup_id: manifest.backup_id.clone(),
            created_at: manifest.created_at.clone(),
            backup_type: manifest.backup_type.clone(),
            base_backup_id: manifest.base_backup_id.clone(),
            schedule: manifest.schedule.clone(),
            total_files: manifest.total_files,
            total_size_bytes: manifest.total_size_bytes,
            total_rows: manifest.total_rows,
            files_without_rows: manifest.files_without_rows,
            damaged_files: manifest.damaged_files,
            database_count: manifest.databases.len() as u64,
            scope: manifest.scope.clone(),
            omitted: Omitted::of(manifest),
            target: target.to_owned(),
            targets: vec![target.to_owned()],
            partial_view: false,
            leg: Leg::of(target, manifest),
            instance: (manifest.source.as_ref()).and_then(|source| source.instance.clone()),
            owner_instance_id: manifest.owner_instance_id.clone(),
            is_foreign: false,
            source_location: (manifest.source.as_ref())
                .map(|source| format!("{} {}", source.backend, source.location)),
            unaddressable_files: manifest.unaddressable_files,
            skipped: Skipped::of(manifest),
            state: BackupState::Unverified,
            note_unreadable: false,
            has_checksums: loaded.has_checksums,
            files: inventory.map(|inventory| inventory.entries),
            bytes: inventory.map(|inventory| inventory.bytes),
            new_bytes: new_bytes(manifest),
            labels: Vec::new(),
            note: None,
            pin: None,
            last_verified: None,
            last_full: None,
            last_failed: None,
            last_rehearsed: None,
        }
    }

    /// The same, with what its note says.
    #[must_use]
    pub(super) fn with_note(self, note: Note) -> Self {
        let is_other = |other: &LastVerified| Some(other) != note.last_verified.as_ref();
        Self {
            state: BackupState::of(&note),
            last_full: note.last_full.as_ref().filter(|one| is_other(one)).cloned(),
            last_failed: note.fault().filter(|one| is_other(one)).cloned(),
            last_verified: note.last_verified,
            last_rehearsed: note.last_rehearsed,
            labels: note.labels,
            note: note.note,
            pin: note.pin,
            ..self
        }
    }
}

/// Whether a pin keeps its backup at this moment. One whose end can't be read does.
pub(crate) fn is_in_force(pin: &Pin, now: Timestamp) -> bool {
    let until = pin.until.as_ref().and_then(|until| until.parse().ok());
    until.is_none_or(|until: Timestamp| now < until)
}

/// The bytes that a backup itself stored.
pub(crate) fn new_bytes(manifest: &Manifest) -> u64 {
    let all = (manifest.inventory.as_ref())
        .map_or(manifest.total_size_bytes, |inventory| inventory.bytes);
    // What a full one reused where it was made, it took over from an interrupted backup; a copy of
    // one shares it with another backup.
    match manifest.base_backup_id.is_some() || manifest.copied_from.is_some() {
        true => all.saturating_sub(manifest.reused_bytes),
        false => all,
    }
}

/// Sorts backups newest first; those of one moment by id, and by target. It is by the moment, not
/// the text: Go trims zeros from fractions of seconds.
pub(crate) fn sort_newest_first(backups: &mut [Summary]) {
    backups.sort_by_cached_key(|one| {
        let moment = one.created_at.parse::<Timestamp>().ok();
        Reverse((moment, one.backup_id.clone(), Reverse(one.target.clone())))
    });
}

#[cfg(test)]
impl Summary {
    /// One for tests, of a file.
    pub(crate) fn example(backup_id: &str, target: &str, state: BackupState) -> Self {
        Self {
            backup_id: backup_id.to_owned(),
            created_at: String::new(),
            backup_type: "full".to_owned(),
            base_backup_id: None,
            schedule: None,
            total_files: 1,
            total_size_bytes: 1,
            total_rows: None,
            files_without_rows: 0,
            damaged_files: 0,
            database_count: 1,
            scope: Vec::new(),
            omitted: Omitted::default(),
            target: target.to_owned(),
            targets: vec![target.to_owned()],
            partial_view: false,
            leg: None,
            instance: None,
            owner_instance_id: None,
            is_foreign: false,
            source_location: None,
            unaddressable_files: 0,
            skipped: Skipped::default(),
            state,
            note_unreadable: false,
            has_checksums: true,
            files: None,
            bytes: None,
            new_bytes: 1,
            labels: Vec::new(),
            note: None,
            pin: None,
            last_verified: None,
            last_full: None,
            last_failed: None,
            last_rehearsed: None,
        }
    }
}
