//! Removing the leftovers of interrupted operations on demand.

pub(crate) mod startup;

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use arc_backup_core::{Activity, Discard, Discarded, Error as CoreError, ErrorKind, LockGuard};
use jiff::Timestamp;

use crate::files::Scratch;
use crate::operations::OperationKind;
use crate::operations::cancel;
use crate::operations::legs::dead;
use crate::operations::lock_watch;
use crate::operations::restore::staging;
use crate::operations::{ArcBackup, Operation};
use crate::repository::Holder;
use crate::repository::{Mode, Repository, Swept};
use crate::{Error, Result};

/// The leftovers of interrupted operations.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// The leftovers in each target, by its name.
    pub targets: Vec<(String, Swept)>,
    /// The number of leftover snapshots that were found, or removed.
    pub snapshots: u64,
    /// The number of staged files that were found, or removed.
    pub staged: u64,
    /// The sizes of unfinished backups; empty if they are removed.
    pub sizes: Vec<Leftover>,
    /// Failures to examine or remove leftovers beside the live data.
    pub faults: Vec<String>,
}

/// The size of an unfinished backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// The target.
    pub target: String,
    /// The backup.
    pub backup_id: String,
    /// The number of files.
    pub files: u64,
    /// Their size in bytes.
    pub bytes: u64,
    /// When the operation began that left them, where that is known.
    pub since: Option<Timestamp>,
}

impl ArcBackup {
    /// Finds the leftovers in the targets and beside the live data; with `apply`, removes them.
    ///
    /// # Errors
    /// Returns [`Error::Busy`] if an operation runs, and [`Error::Cancelled`] if another process
    /// cancels the sweep.
    pub async fn sweep(&self, apply: bool) -> Result<Sweep> {
        match self.sweep_all(apply).await {
            Err(error) => Err(self.with_progress(error).await),
            done => done,
        }
    }

    async fn sweep_all(&self, apply: bool) -> Result<Sweep> {
        self.check_place()?;
        let _starting = self.slots.starting.lock().await;
        if let Some(holder) = self.busy() {
            return Err(holder.into());
        }
        let now = Timestamp::now().strftime("%Y%m%d-%H%M%S");
        let operation = Operation {
            operation: OperationKind::Sweep,
            operation_id: format!("{now}-{}", crate::random::random_hex::<4>()?),
            ..Operation::default()
        };
        let holder = Holder::this(operation.operation.as_str(), &operation.operation_id);
        let folder = self.settings.backup.state_folder();
        let _instance = if apply {
            let slot = self.slots.take(operation.operation, &holder)?;
            let runs = |id: &str| self.slots.readers.is_held(id);
            cancel::remove_stale(folder, &operation.operation_id, runs);
            self.slots.readers.remove_dead(|id| self.scratch.remove(id));
            Some(slot)
        } else {
            None
        };
        tokio::select! {
            biased;
            swept = self.sweep_targets(apply, &holder) => swept,
            reason = cancel::requested(folder, &operation) => Err(Error::Cancelled(reason)),
        }
    }

    async fn sweep_targets(&self, apply: bool, holder: &Holder) -> Result<Sweep> {
        let mut all = Vec::new();
        // Only where it is needed: a sweep must work on a full disk.
        let scratch = OnceLock::new();
        let folder = || {
            if scratch.get().is_none() {
                let _ = scratch.set(self.scratch.for_reading()?);
            }
            Ok((scratch.get()).map_or_else(PathBuf::new, |made: &Scratch| made.path().to_owned()))
        };
        // The default target last: what it holds of a backup proves that its other legs are dead.
        let is_default = |one: &&Repository| one.name() == self.settings.backup.default_target;
        let (last, first) = (self.repositories.iter()).partition::<Vec<_>, _>(is_default);
        for repository in first.into_iter().chain(last) {
            let of_one = sweep_one(&self.repositories, repository, apply, holder, &folder);
            let swept = match of_one.await {
                // A busy target has an exit code of its own.
                Err(error @ Error::Busy(_)) => return Err(error),
                // A dead target must not prevent the sweep of the others.
                Err(error) => Swept {
                    faults: vec![error.to_string()],
                    ..Swept::default()
                },
                Ok(swept) => swept,
            };
            all.push((repository.name().to_owned(), swept));
        }
        let place = |name: &str| self.repositories.iter().position(|one| one.name() == name);
        all.sort_by_key(|(name, _): &(String, Swept)| place(name));
        let sizes = match apply {
            true => Vec::new(),
            false => self.leftovers(&all).await,
        };
        let mut sweep = Sweep {
            targets: all,
            sizes,
            ..Sweep::default()
        };
        let discard = if apply {
            Discard::Remove
        } else {
            Discard::Count
        };
        let runs = |id: &str| self.slots.readers.is_held(id);
        if apply && let Err(error) = self.scratch.clean(runs) {
            sweep.faults.push(error.to_string());
        }
        let snapshots = self.discard_snapshots(discard, &Activity::default()).await;
        sweep.snapshots = snapshots.count;
        let staged = staging::discard_all_staged(&self.settings, &self.sources, discard).await;
        let staged = staged.unwrap_or_else(|error| {
            sweep.faults.push(error.to_string());
            Discarded::default()
        });
        sweep.staged = staged.count;
        let faults = snapshots.faults.into_iter().chain(staged.faults);
        sweep.faults.extend(faults.map(|error| error.to_string()));
        Ok(sweep)
    }
}

impl ArcBackup {
    /// Returns the sizes of the unfinished backups. Those that cannot be listed are omitted.
    async fn leftovers(&self, swept: &[(String, Swept)]) -> Vec<Leftover> {
        let mut sizes = Vec::new();
        for (target, swept) in swept {
            let Ok(repository) = self.repository(Some(target)) else {
                continue;
            };
            let journals = match swept.unfinished.is_empty() {
                true => Vec::new(),
                false => repository.open_journals().await.unwrap_or_default(),
            };
            for backup_id in &swept.unfinished {
                let mut of_it = (journals.iter()).filter(|(id, _)| id.to_string() == *backup_id);
                let since = of_it.next().map(|(_, journal)| journal.started_at);
                // Of a deleted backup, only what no other needs.
                let shared = swept
                    .unneeded
                    .iter()
                    .find(|one| one.backup_id == *backup_id);
                if let Some(one) = shared {
                    sizes.push(Leftover {
                        target: target.clone(),
                        backup_id: backup_id.clone(),
                        files: one.files,
                        bytes: one.bytes,
                        since,
                    });
                    continue;
                }
                match repository.size_of_leftovers(backup_id).await {
                    Ok((files, bytes)) => sizes.push(Leftover {
                        target: target.clone(),
                        backup_id: backup_id.clone(),
                        files,
                        bytes,
                        since,
                    }),
                    Err(error) => tracing::warn!(%error, "cannot count leftovers"),
                }
            }
        }
        sizes
    }
}

async fn sweep_one(
    repositories: &[Repository],
    repository: &Repository,
    apply: bool,
    holder: &Holder,
    scratch: &(dyn Fn() -> Result<PathBuf> + Send + Sync),
) -> Result<Swept> {
    let sweep = async || {
        let dead = dead::find(repositories, repository, apply).await?;
        // First, as it reads the journals of interrupted deletions.
        let mode = match apply {
            true => Mode::Remove,
            false => Mode::Estimate,
        };
        let shared = repository.sweep_retained(mode, Box::new(scratch)).await;
        let mut swept = repository.sweep_except(apply, &dead.kept).await?;
        match shared {
            Ok(shared) => {
                swept.add_unneeded(shared.unneeded);
                swept.faults.extend(shared.faults);
            }
            Err(error) => swept.faults.push(error.to_string()),
        }
        if !apply {
            let dead = dead.dead.iter().map(ToString::to_string);
            swept.unfinished.extend(dead);
        }
        swept.faults.extend(dead.faults);
        match repository.sweep_orphans(apply).await {
            Ok(found) => {
                swept.unfinished.extend(found.unfinished);
                swept.left.extend(found.left);
                swept.faults.extend(found.faults);
                // Both report the same missing permission to delete.
                swept.faults.dedup();
            }
            Err(error) => swept.faults.push(error.to_string()),
        }
        Ok(swept)
    };
    if !apply {
        return sweep().await;
    }
    let lock = repository.lock(holder).await?;
    let swept = tokio::select! {
        biased;
        swept = async {
            repository.check_no_readers().await?;
            sweep().await
        } => swept,
        lost = lost(&*lock, lock_watch::interval(&**repository.sink())) => Err(lost.into()),
    };
    match (lock.release().await, swept) {
        (Err(error), Ok(mut swept)) => {
            swept.faults.push(error.to_string());
            Ok(swept)
        }
        (_, swept) => swept,
    }
}

/// Checks a lock until it is lost. Each check also keeps the lock alive.
async fn lost(lock: &dyn LockGuard, every: Duration) -> CoreError {
    loop {
        tokio::time::sleep(every).await;
        match lock.check().await {
            Err(error) if error.kind() == ErrorKind::Busy => return error,
            // A missing answer does not prove that the lock is lost.
            Err(error) => tracing::warn!(%error, "cannot check the lock"),
            Ok(()) => {}
        }
    }
}
