//! What every operation is given.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use arc_backup_core::{LockGuard, OperationId, Sink, Source};

use crate::Result;
use crate::arc::ArcClient;
use crate::config::Settings;
use crate::files::Scratch;
use crate::manifest::BackupId;
use crate::operations::Running;
use crate::operations::descriptors::copies_at_once;
use crate::operations::history::History;
use crate::operations::scratch::ScratchFolders;
use crate::operations::time_limit::TimeAllowed;
use crate::pipeline::Plan;
use crate::repository::Repository;

/// How many files are copied at once on local disk.
const CONCURRENCY: usize = 8;

/// What every operation is given.
pub(crate) struct Context {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    /// Arc's data storage.
    pub(crate) storage: Arc<dyn Sink>,
    pub(crate) repository: Repository,
    pub(crate) id: BackupId,
    pub(crate) operation_id: OperationId,
    pub(crate) running: Arc<Running>,
    pub(crate) scratch_folders: ScratchFolders,
    pub(crate) scratch: OnceLock<Scratch>,
    /// The Arc of `backup.arc_url`, asked with the configured token, or that of the request.
    pub(crate) arc: Option<ArcClient>,
    /// Absent where the target can only be read.
    pub(crate) lock: Option<Arc<dyn LockGuard>>,
    /// How long it may take.
    pub(crate) time: TimeAllowed,
    pub(crate) history: History,
}

impl Context {
    /// The operation's scratch folder, made when it is first needed: a deletion must go on a disk that is full.
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
        }
    }

    /// How many files are copied at once: as configured, or what suits the stores; and no more than may be open.
    fn concurrency(&self) -> usize {
        let wanted = self.settings.backup.concurrency;
        let by_default = || {
            [self.repository.sink(), &self.storage]
                .iter()
                .filter_map(|sink| sink.properties().concurrency)
                .fold(CONCURRENCY, usize::max)
        };
        let (limit, most) = copies_at_once();
        match wanted {
            Some(wanted) if wanted > most => {
                self.warn(format!(
                    "`backup.concurrency` is {wanted}, and {most} files are copied at once: this process may have {limit} files open \
                     (`ulimit -n`)"
                ));
                most
            }
            Some(wanted) => wanted,
            None => by_default().min(most),
        }
    }

    /// Fails when the operation is to end. Whoever asks goes on with something.
    pub(crate) fn check_cancelled(&self) -> Result<()> {
        self.running.progress.activity().note();
        match self.running.cancel.is_cancelled() {
            true => Err(self.running.cancelled()),
            false => Ok(()),
        }
    }

    /// Tells the operator of something that is no failure.
    pub(crate) fn warn(&self, text: String) {
        self.running.update(|operation| operation.add_warning(text));
    }
}
