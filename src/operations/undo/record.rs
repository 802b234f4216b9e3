//! The record of a restore, written before its first change, in the state folder.

use std::path::{Path, PathBuf};

use arc_backup_core::{OperationId, Restore, Section};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::files::{create_folder, temporary_of, write_atomically};
use crate::operations::context::Context;
use crate::operations::undo::changes;
use crate::operations::{ExtraFilesPolicy, OperationKind};
use crate::{Error, Result};

/// The folder of all records, in the state folder.
const FOLDER: &str = "restores";
/// The record itself, in the folder of its operation. It is written last: a folder without one
/// counts as none.
const RECORD: &str = "record.json";

/// What a restore, or an undo, is about to change, or has changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The operation.
    pub(crate) operation_id: String,
    /// `restore` or `undo`.
    pub(crate) kind: OperationKind,
    /// The backup that is restored, or whose restore is taken back.
    pub(crate) backup_id: String,
    /// The target that holds the backup.
    pub(crate) target: String,
    /// When the operation began, RFC 3339.
    pub(crate) started_at: String,
    /// What became of live files that the backup does not hold.
    #[serde(default)]
    pub(crate) extra_files: ExtraFilesPolicy,
    /// The interrupted operations that it completes, in the order in which they ran.
    #[serde(default)]
    pub(crate) earlier: Vec<String>,
    /// The sections whose changes are recorded, in the order in which they are changed.
    pub(crate) sections: Vec<String>,
    /// The sections that it changes, and that can't be taken back.
    #[serde(default)]
    pub(crate) unrecorded: Vec<String>,
    /// Whether it changes files of Arc's cold tier, which can't be taken back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) changes_cold: bool,
    /// Undo: the operation that it takes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
    /// Undo: whether what it takes back was interrupted. That half can't be brought back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) undoes_interrupted: bool,
    /// 0 of a restore, 1 of its undo, 2 of the undo of that, and so on.
    #[serde(default)]
    pub(crate) level: u32,
    /// Undo: whether all that it was to put back is back. What is live afterwards is not compared
    /// with the restore any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_taken_back: bool,
    /// Whether it has ended, with all that it was to change.
    #[serde(default)]
    pub(crate) is_finished: bool,
    /// Whether what it set aside was removed: it can't be taken back, and what came before it
    /// neither.
    #[serde(default)]
    pub(crate) is_removed: bool,
}

impl Record {
    /// The record of a restore that is about to change live data.
    pub(crate) fn new(context: &Context, earlier: Vec<String>) -> Self {
        Self {
            operation_id: context.operation_id.to_string(),
            kind: context.running.kind(),
            backup_id: context.id.to_string(),
            target: context.repository.name().to_owned(),
            started_at: context.running.started().to_string(),
            extra_files: ExtraFilesPolicy::SetAside,
            earlier,
            sections: Vec::new(),
            unrecorded: Vec::new(),
            changes_cold: false,
            undoes: None,
            undoes_interrupted: false,
            level: 0,
            is_taken_back: false,
            is_finished: false,
            is_removed: false,
        }
    }

    /// The record of an operation; `None` where there is none.
    ///
    /// # Errors
    /// Where it can't be read.
    pub(crate) fn of(settings: &Settings, operation_id: &str) -> Result<Option<Self>> {
        read(settings, operation_id)
    }

    /// Removes the record of an operation.
    pub(crate) fn remove(settings: &Settings, operation_id: &str) -> Result<()> {
        remove(settings, operation_id)
    }

    /// Whether it has led back to the state from before what it took back.
    pub(crate) fn leads_back(&self) -> bool {
        self.is_finished && self.level % 2 == 1
    }

    /// Writes what a section is about to change.
    pub(crate) async fn add(
        &mut self,
        settings: &Settings,
        section: &Section,
        restore: &dyn Restore,
    ) -> Result<()> {
        match restore.changes() {
            None => self.unrecorded.push(section.to_string()),
            Some(planned) => {
                let folder = self.make_folder(settings)?;
                let path = changes_path(&folder, section.as_str());
                self.changes_cold |= changes::write(&path, planned).await?;
                self.sections.push(section.to_string());
            }
        }
        Ok(())
    }

    /// The folder of the record, which is made where it is not there.
    pub(crate) fn make_folder(&self, settings: &Settings) -> Result<PathBuf> {
        let folder = folder_of(settings, &self.operation_id);
        create_folder(&folder).map_err(|error| Error::io("create", &folder, error))?;
        Ok(folder)
    }

    /// Makes the record durable: from now on it counts.
    pub(crate) fn write(&self, settings: &Settings) -> Result<()> {
        let text = serde_json::to_vec(self).expect("plain data is valid JSON");
        let path = self.make_folder(settings)?.join(RECORD);
        Ok(write_atomically(&path, &text)?)
    }

    /// Notes that all that an undo was to put back is back.
    pub(crate) fn mark_taken_back(&mut self, settings: &Settings) -> Result<()> {
        self.is_taken_back = true;
        self.write(settings)
    }

    /// Notes that the operation has ended.
    pub(crate) fn finish(&mut self, settings: &Settings) -> Result<()> {
        self.is_finished = true;
        self.write(settings)
    }

    /// The file of the changes of a section.
    pub(crate) fn changes(&self, settings: &Settings, section: &str) -> PathBuf {
        changes_path(&folder_of(settings, &self.operation_id), section)
    }

    /// The id, as the places of files set aside have it.
    ///
    /// # Errors
    /// Where the record was written by something else.
    pub(crate) fn id(&self) -> Result<OperationId> {
        OperationId::parse(&self.operation_id).map_err(|error| Error::Storage(error.into_error()))
    }

    /// When the operation began.
    pub(crate) fn started(&self) -> Option<Timestamp> {
        self.started_at.parse().ok()
    }
}

fn folder_of(settings: &Settings, operation_id: &str) -> PathBuf {
    settings
        .backup
        .state_folder()
        .join(FOLDER)
        .join(operation_id)
}

fn changes_path(folder: &Path, section: &str) -> PathBuf {
    folder.join(format!("{section}.jsonl.zst"))
}

/// The record of an operation; `None` where there is none.
///
/// # Errors
/// Where it can't be read.
pub(crate) fn read(settings: &Settings, operation_id: &str) -> Result<Option<Record>> {
    // It is a part of a path.
    if OperationId::parse(operation_id).is_err() {
        return Ok(None);
    }
    let path = folder_of(settings, operation_id).join(RECORD);
    let text = match std::fs::read(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        read => read.map_err(|error| Error::io("read", &path, error))?,
    };
    let record: Record = serde_json::from_slice(&text)
        .map_err(|error| Error::Failed(format!("`{}` can't be read: {error}", path.display())))?;
    Ok(Some(record))
}

/// All records, in the order in which the operations began.
///
/// # Errors
/// Where one can't be read: what it has changed is unknown.
pub(crate) fn all(settings: &Settings) -> Result<Vec<Record>> {
    let folder = settings.backup.state_folder().join(FOLDER);
    let children = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        children => children.map_err(|error| Error::io("list", &folder, error))?,
    };
    let mut records = Vec::new();
    for child in children {
        let child = child.map_err(|error| Error::io("list", &folder, error))?;
        if let Some(name) = child.file_name().to_str() {
            records.extend(read(settings, name)?);
        }
    }
    records.sort_by_key(|record| (record.started(), record.operation_id.clone()));
    Ok(records)
}

/// Removes what killed operations left here: temporary files, and what was written of a record that
/// does not count. One operation runs at a time; `own` is its id.
pub(crate) fn remove_leftovers(settings: &Settings, own: &str) {
    let folder = settings.backup.state_folder().join(FOLDER);
    for child in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
        let path = child.path();
        if child.file_name() == own || !path.is_dir() {
            continue;
        }
        let record = path.join(RECORD);
        let removed = match record.try_exists() {
            Ok(true) => std::fs::remove_file(temporary_of(&record)),
            Ok(false) => std::fs::remove_dir_all(&path),
            Err(error) => Err(error),
        };
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, folder = %path.display(), "leftovers of a killed restore stay");
        }
    }
}

/// Removes the record of an operation. The record itself goes first: a part of it counts as none.
pub(crate) fn remove(settings: &Settings, operation_id: &str) -> Result<()> {
    if OperationId::parse(operation_id).is_err() {
        return Ok(());
    }
    let folder = folder_of(settings, operation_id);
    let is_absent = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    match std::fs::remove_file(folder.join(RECORD)) {
        Err(error) if !is_absent(&error) => return Err(Error::io("remove", &folder, error)),
        _ => {}
    }
    match std::fs::remove_dir_all(&folder) {
        Err(error) if !is_absent(&error) => Err(Error::io("remove", &folder, error)),
        _ => Ok(()),
    }
}

/// Notes that what the operation set aside is being removed.
pub(crate) fn mark_removed(settings: &Settings, operation_id: &str) -> Result<()> {
    match read(settings, operation_id)? {
        Some(mut record) => {
            record.is_removed = true;
            record.write(settings)
        }
        None => Ok(()),
    }
}

/// Removes the records of removed operations that no earlier record needs: an earlier operation can
/// be taken back only while nothing later stands on it.
pub(crate) fn forget_removed(settings: &Settings) -> Result<()> {
    for record in all(settings)? {
        if !record.is_removed {
            break;
        }
        remove(settings, &record.operation_id)?;
    }
    Ok(())
}
