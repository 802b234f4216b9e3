//! The context of a running operation.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_backup_core::{LockGuard, OperationId, Secrets, Sink, Source};
use jiff::Timestamp;

use crate::arc::ArcClient;
use crate::config::Settings;
use crate::files::Scratch;
use crate::manifest::BackupId;
use crate::operations::Running;
use crate::operations::descriptors::copies_at_once;
use crate::operations::history::History;
use crate::operations::restore::new_instance::NewInstance;
use crate::operations::scratch::ScratchFolders;
use crate::operations::time_limit::TimeAllowed;
use crate::pipeline::{Plan, inspect_nothing};
use crate::repository::{Holder, Journal, Repository};
use crate::{Error, Result};

/// The number of concurrent copies on local disk.
const CONCURRENCY: usize = 8;

/// The context of a running operation: its settings, storages, locks and limits.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    /// Arc's data storage.
    pub(crate) storage: Arc<dyn Sink>,
    /// The state folder of this instance, also where a restore makes another one.
    pub(crate) state_folder: PathBuf,
    /// The instance that a restore makes, in a folder or in another storage.
    pub(crate) new_instance: Option<NewInstance>,
    pub(crate) repository: Repository,
    pub(crate) id: BackupId,
    pub(crate) operation_id: OperationId,
    /// Whether a backup has the secrets of `arc.toml`; `None`: only on local disk.
    pub(crate) secrets: Option<Secrets>,
    pub(crate) running: Arc<Running>,
    pub(crate) scratch_folders: ScratchFolders,
    pub(crate) scratch: OnceLock<Scratch>,
    /// The Arc of `backup.arc_url`, with the configured token or that of the request.
    pub(crate) arc: Option<ArcClient>,
    /// The target's lock, or a lease there; `None` if the target can only be read.
    pub(crate) lock: Option<Arc<dyn LockGuard>>,
    /// The time limit.
    pub(crate) time: TimeAllowed,
    pub(crate) history: History,
    /// All configured targets.
    pub(crate) repositories: Vec<Repository>,
    /// The target of the default leg, where this is the context of another leg.
    pub(crate) default_target: Option<String>,
    /// The targets of the other legs, where this is the context of the default leg.
    pub(crate) other_legs: Vec<String>,
}

impl Context {
    /// Returns the context of one leg of a backup, with a scratch folder of its own. The first leg
    /// is the default one.
    pub(crate) fn for_leg(&self, repository: &Repository, number: usize) -> Result<Self> {
        let folder = self.scratch()?.join(format!("leg-{number}"));
        let scratch =
            Scratch::create(folder.clone()).map_err(|e| Error::io("create", &folder, e))?;
        Ok(Self {
            settings: self.settings.clone(),
            sources: self.sources.clone(),
            storage: self.storage.clone(),
            state_folder: self.state_folder.clone(),
            new_instance: None,
            repository: repository.clone(),
            id: self.id.clone(),
            operation_id: self.operation_id.clone(),
            secrets: self.secrets,
            running: self.running.clone(),
            scratch_folders: self.scratch_folders.clone(),
            scratch: OnceLock::from(scratch),
            arc: self.arc.clone(),
            lock: self.lock.clone(),
            time: self.time,
            history: self.history.clone(),
            repositories: self.repositories.clone(),
            default_target: (number > 0).then(|| self.repository.name().to_owned()),
            other_legs: match number {
                0 => (self.repository.legs().iter().skip(1))
                    .map(|leg| leg.name().to_owned())
                    .collect(),
                _ => Vec::new(),
            },
        })
    }

    /// Returns the scratch folder. It is created on first use: a deletion must work on a full disk.
    pub(crate) fn scratch(&self) -> Result<&Path> {
        if self.scratch.get().is_none() {
            let made = self.scratch_folders.for_operation(&self.operation_id)?;
            let _ = self.scratch.set(made);
        }
        Ok(self.scratch.get().map_or(Path::new("."), Scratch::path))
    }

    pub(crate) fn plan(&self) -> Plan {
        Plan {
            progress: self.running.progress.clone(),
            cancel: self.running.cancel.child_token(),
            concurrency: self.concurrency(),
            inspect: inspect_nothing,
        }
    }

    /// Returns the number of concurrent copies: the configured one, or the stores' default, within
    /// the limit on open files.
    fn concurrency(&self) -> usize {
        let wanted = self.settings.backup.concurrency;
        let by_default = || {
            let parts = self.repository.parts();
            (parts.iter().map(|part| part.sink()))
                .chain([&self.storage])
                .filter_map(|sink| sink.properties().concurrency)
                .fold(CONCURRENCY, usize::max)
        };
        let (limit, most) = copies_at_once(self.running.kind());
        match wanted {
            Some(wanted) if wanted > most => {
                self.warn(format!(
                    "`backup.concurrency` is {wanted}, but only {most} files are copied at once: this process may have {limit} \
                     files open (`ulimit -n`)"
                ));
                most
            }
            Some(wanted) => wanted,
            None => by_default().min(most),
        }
    }

    /// Fails if the operation was cancelled. Each call counts as progress.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        self.running.progress.activity().note();
        match self.running.cancel.is_cancelled() {
            true => Err(self.running.cancelled()),
            false => Ok(()),
        }
    }

    /// Adds a warning for the operator.
    pub(crate) fn warn(&self, text: String) {
        self.running.update(|operation| operation.add_warning(text));
    }

    /// Returns the journal of the operation, which changes its backup.
    pub(crate) fn journal(&self, operation: &str) -> Journal {
        let holder = Holder::this(operation, &self.operation_id);
        Journal {
            operation: holder.operation,
            backup_id: self.id.to_string(),
            operation_id: holder.operation_id,
            pid: holder.pid,
            host: holder.host,
            started_at: Timestamp::now(),
            scope: self.running.snapshot().scope,
            default_target: self.default_target.clone(),
            legs: self.other_legs.clone(),
        }
    }
}
