//! Planning an undo: everything that is decided before the first change.

use std::path::{Path, PathBuf};

use arc_backup_core::{
    Activity, ColdHeld, ExtraFiles, InvalidOperationId, OperationId, Scope, Section, Sink,
    StagedBefore, Staging,
};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::operations::undo::changes::Merged;
use crate::operations::undo::decide::Places;
use crate::operations::undo::interrupted::Interrupted;
use crate::operations::undo::kept::{self, KeptFile};
use crate::operations::undo::pending::{self, MovedPending};
use crate::operations::undo::sections::{FileFigures, FilesUndo};
use crate::operations::undo::stack::{self, ToUndo};
use crate::operations::{ArcBackup, RestoreInProgress, UndoRequest};
use crate::repository::{Repository, own};
use crate::source::{Aside, section_of};
use crate::{Error, Result};
use arc_backup_core::Source;

/// What an undo will do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UndoPlan {
    /// The operation that is taken back.
    pub operation_id: String,
    /// The backup that it restored.
    pub backup_id: String,
    /// Data files that return.
    pub returned_files: u64,
    /// Their bytes.
    pub returned_bytes: u64,
    /// Data files that the restore brought, and that go.
    pub removed_files: u64,
    /// Files that are as they were before the restore.
    pub unchanged_files: u64,
    /// Databases and configuration files that return.
    pub returned: Vec<String>,
    /// Those that the restore brought, and that go.
    pub removed: Vec<String>,
    /// How many files stand in the way.
    pub refused_files: u64,
    /// The first of them, each with its reason.
    pub refused: Vec<(String, String)>,
    /// Whether Arc must be restarted afterwards.
    pub restart_required: bool,
}

/// Where an undo plans: of an operation, or for a caller that only asks.
pub(super) struct Planner<'a> {
    pub(super) settings: &'a Settings,
    pub(super) sources: &'a [Arc<dyn Source>],
    pub(super) repository: &'a Repository,
    pub(super) scratch: &'a Path,
    /// The id that live files are set aside under.
    pub(super) operation_id: OperationId,
    pub(super) cancel: CancellationToken,
    pub(super) activity: Activity,
}

/// The sections of a restore that is taken back.
pub(super) struct Planned {
    pub(super) files: Vec<FilesUndo>,
    pub(super) kept: Vec<KeptFile>,
    /// Databases that Arc had staged, which return.
    pub(super) pending: Vec<MovedPending>,
    /// What stands in the way, of databases and configuration.
    pub(super) refused: Vec<(String, String)>,
}

impl Planner<'_> {
    fn source(&self, section: &Section) -> Result<&Arc<dyn Source>> {
        let mut sources = self.sources.iter();
        let found = sources.find(|source| section_of(&***source) == *section);
        found.ok_or_else(|| {
            Error::Failed(format!(
                "the restore changed the section `{section}`, which the configuration no longer has: set it as it was then"
            ))
        })
    }

    fn target(&self) -> (Arc<dyn Sink>, arc_backup_core::Key) {
        (self.repository.target_sink().clone(), own("before-restore"))
    }

    fn aside(&self, storage: &Arc<dyn Sink>, id: &OperationId) -> Aside {
        Aside::new(storage.clone(), id, Some(self.target()), &self.activity)
    }

    /// What a source is given to put files back.
    pub(super) fn staging(&self) -> Staging {
        Staging {
            operation_id: self.operation_id.clone(),
            scratch: self.scratch.to_owned(),
            stage: self.operation_id.clone(),
            staged_before: StagedBefore::Nothing,
            is_new: false,
            cancel: self.cancel.clone(),
            activity: self.activity.clone(),
            extra_files: ExtraFiles::SetAside,
            cold_held: ColdHeld::default(),
            aside: Some(self.target()),
            earlier: Vec::new(),
            untouched: Arc::default(),
            scope: Scope::whole(),
        }
    }

    /// The source that puts databases, or `arc.toml`, back.
    pub(super) fn source_of(&self, section: &Section) -> Result<&dyn Source> {
        self.source(section).map(|source| &**source)
    }

    /// Decides what becomes of all that the restore changed. Changes nothing. `marker` is of what
    /// was interrupted while it changed live data.
    pub(super) async fn plan(
        &self,
        found: &ToUndo,
        marker: Option<&RestoreInProgress>,
    ) -> Result<Planned> {
        let mut planned = Planned {
            files: Vec::new(),
            kept: Vec::new(),
            pending: pending::moved_by(self.settings, &found.runs),
            refused: Vec::new(),
        };
        for name in found.sections() {
            let section = Section::parse(&name).unwrap_or_else(|_| Section::Other(name.clone()));
            let changes: Vec<PathBuf> = (found.runs.iter())
                .map(|run| run.changes(self.settings, &name))
                .collect();
            if matches!(section, Section::Metadata | Section::Config) {
                for change in Merged::of(changes.iter().map(PathBuf::as_path))? {
                    let change = change?;
                    match kept::decide(self.settings, &section, &change, &found.runs) {
                        Ok(file) => planned.kept.extend(file),
                        Err(reason) => {
                            let path = format!("{section}/{}", change.key);
                            planned.refused.push((path, reason));
                        }
                    }
                }
                continue;
            }
            let Some(storage) = self.source(&section)?.files() else {
                return Err(Error::Failed(format!(
                    "the section `{section}` can't be taken back"
                )));
            };
            let asides = |records: &[super::Record]| {
                let aside = |record: &super::Record| Ok(self.aside(&storage, &record.id()?));
                records.iter().map(aside).collect::<Result<Vec<_>>>()
            };
            let places = Places {
                runs: asides(&found.runs)?,
                undos: asides(&found.undos)?,
                is_finished: found.is_finished(),
                is_taken_back: found.undos.iter().any(|undo| undo.is_taken_back),
                interrupted: match found.is_finished() {
                    true => None,
                    false => Interrupted::of(found, marker, &changes)?,
                },
                activity: self.activity.clone(),
                cancel: self.cancel.clone(),
                storage: storage.clone(),
            };
            let own = self.aside(&storage, &self.operation_id);
            let files = FilesUndo::plan(&name, places, own, &changes, self.scratch).await?;
            planned.files.push(files);
        }
        Ok(planned)
    }
}

impl Planned {
    /// What stands in the way: how many files, and the first of them.
    pub(super) fn in_the_way(&self) -> (u64, Vec<(String, String)>) {
        let mut first = self.refused.clone();
        let mut count = first.len() as u64;
        for files in &self.files {
            let FileFigures {
                refused_files,
                refused,
                ..
            } = &files.figures;
            count += refused_files;
            first.extend(refused.iter().cloned());
        }
        (count, first)
    }

    /// The plan, for people.
    pub(super) fn shown(&self, found: &ToUndo) -> UndoPlan {
        let (refused_files, refused) = self.in_the_way();
        let mut plan = UndoPlan {
            operation_id: found.last().operation_id.clone(),
            backup_id: found.last().backup_id.clone(),
            refused_files,
            refused,
            returned: (self.pending.iter())
                .map(|moved| moved.place.display().to_string())
                .collect(),
            restart_required: !self.kept.is_empty(),
            ..UndoPlan::default()
        };
        for FilesUndo { figures, .. } in &self.files {
            plan.returned_files += figures.returned_files;
            plan.returned_bytes += figures.returned_bytes;
            plan.removed_files += figures.removed_files;
            plan.unchanged_files += figures.unchanged_files;
        }
        for file in &self.kept {
            let place = file.place.display().to_string();
            match file.action {
                kept::KeptAction::PutBack(_) => plan.returned.push(place),
                kept::KeptAction::SetAside => plan.removed.push(place),
            }
        }
        plan
    }
}

impl ArcBackup {
    /// The target of an undo: that of the backup, or else the default one.
    pub(crate) fn undo_target(&self, undo: &UndoRequest) -> Result<Repository> {
        self.repository(undo.target.as_deref()).cloned()
    }

    /// Plans an undo, and changes nothing.
    ///
    /// # Errors
    /// As [`find_undo`](Self::find_undo); or those of the storage. What stands in the way is in the
    /// plan.
    pub async fn plan_undo(&self, operation_id: &str) -> Result<UndoPlan> {
        let undo = self.find_undo(operation_id).await?;
        let marker = self.restore_in_progress().await;
        let found = stack::find(&self.settings, operation_id, marker.as_ref())?;
        let found = found.ok_or_else(|| Error::UnknownOperation(operation_id.to_owned()))?;
        let scratch = self.scratch.for_reading()?;
        let preview = format!("preview-{}", crate::random::random_hex::<8>()?);
        let cancel = CancellationToken::new();
        let _ended = cancel.clone().drop_guard();
        let planner = Planner {
            settings: &self.settings,
            sources: &self.sources,
            repository: &self.undo_target(&undo)?,
            scratch: scratch.path(),
            operation_id: OperationId::parse(&preview).map_err(InvalidOperationId::into_error)?,
            cancel,
            activity: Activity::default(),
        };
        Ok(planner.plan(&found, marker.as_ref()).await?.shown(&found))
    }
}
