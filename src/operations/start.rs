//! Starting an operation, and what goes on around it while it runs.

use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock, PoisonError};
use std::time::Duration;

use arc_backup_core::{Discard, ErrorKind};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::context::Context;
use super::instance_lock::InstanceLock;
use super::operation::{Operation, Status};
use super::running::{Running, Who};
use super::{ArcBackup, Holder, Request, backup, delete, fence, restore, verify};
use crate::manifest::BackupId;
use crate::repository::Journal;
use crate::{Error, Result};

/// How often a running operation is written to the history, for other processes to see.
const HISTORY_INTERVAL: Duration = Duration::from_secs(1);

/// How long giving a lock back may take.
const RELEASE_PATIENCE: Duration = Duration::from_secs(10);
/// How long a request waits for the slot before it is told that it is taken: busy is said within a second.
const SLOT_PATIENCE: Duration = Duration::from_millis(500);

impl ArcBackup {
    /// Starts an operation; it goes on by itself. Its progress is published before this returns.
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder; [`Error::NotFound`] and [`Error::Damaged`] when there is no such backup to work with.
    pub async fn start(self: &Arc<Self>, request: Request, mut who: Who) -> Result<Arc<Running>> {
        // Another start may be waiting for a dead target's answer.
        let Ok(_slot) = tokio::time::timeout(SLOT_PATIENCE, self.slot.lock()).await else {
            let holder = self.busy();
            return Err(Error::Busy(Box::new(
                holder.unwrap_or_else(|| Holder::this("operation", "starting")),
            )));
        };
        self.check_open()?;
        if let Some(holder) = self.busy() {
            return Err(Error::Busy(Box::new(holder)));
        }
        let started = Timestamp::now();
        let operation_id = format!(
            "{}-{}",
            started.strftime("%Y%m%d-%H%M%S"),
            crate::random_hex::<4>()?
        );
        let holder = Holder::this(request.name(), &operation_id);
        let instance = InstanceLock::take(&self.lock_path(), &holder)?;
        self.settle_interrupted()?;
        self.scratch.clean()?;
        let (repository, id) = match &request {
            Request::Backup { target, id, .. } => {
                let id = id.clone().map_or_else(|| BackupId::new(started), Ok)?;
                (self.repository(target.as_deref())?, id)
            }
            Request::Restore(id, options, target) => (
                &self
                    .find_to_restore(id, target.as_deref(), options.allow_incomplete)
                    .await?,
                id.clone(),
            ),
            Request::Verify(id, _, target) => {
                (self.locate(id, target.as_deref()).await?.0, id.clone())
            }
            Request::Delete(id, target) => (
                self.locate_anything(id, target.as_deref()).await?,
                id.clone(),
            ),
        };
        let read_only = matches!(request, Request::Restore(..) | Request::Verify(..));
        let lock = match repository.lock(&holder).await {
            Ok(lock) => Some(lock),
            // A disaster's credentials may only read, or its file system has no locks: then the instance's own lock is what there is.
            Err(Error::Storage(error))
                if read_only
                    && matches!(
                        error.kind(),
                        ErrorKind::PermissionDenied | ErrorKind::Unsupported
                    ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        let operation = Operation {
            operation: request.name().to_owned(),
            operation_id: operation_id.clone(),
            backup_id: id.to_string(),
            target: Some(repository.name().to_owned()),
            started_at: started.to_string(),
            actor: who.actor.clone(),
            origin: who.origin.to_owned(),
            ..Operation::default()
        };
        let token = who.token.take();
        let running = Running::new(operation, started, who);
        if let Err(error) = self.history.write(&running.snapshot()) {
            // Deleting is what gives a full disk its room back.
            if !matches!(request, Request::Delete(..)) {
                return Err(error);
            }
            tracing::warn!(%error, "the deletion is not kept in the history");
        }
        let context = Context {
            settings: self.settings.clone(),
            sources: self.sources.clone(),
            storage: self.storage.clone(),
            repository: repository.clone(),
            id,
            scratch_folders: self.scratch.clone(),
            scratch: OnceLock::new(),
            operation_id,
            running: running.clone(),
            token,
            lock,
        };
        self.check_open()?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(running.clone());
        let engine = self.clone();
        tokio::spawn(async move { engine.run(request, context, instance).await });
        Ok(running)
    }

    fn check_open(&self) -> Result<()> {
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::Cancelled("the service is ending".to_owned()));
        }
        Ok(())
    }

    async fn run(self: Arc<Self>, request: Request, mut context: Context, instance: InstanceLock) {
        let running = context.running.clone();
        let timeout = self.settings.backup.timeout;
        let watchdog = {
            let (engine, running) = (self.clone(), running.clone());
            tokio::spawn(async move {
                let ends = tokio::time::Instant::now() + timeout;
                loop {
                    tokio::time::sleep(HISTORY_INTERVAL).await;
                    if tokio::time::Instant::now() >= ends {
                        running.cancel(&format!(
                            "it took longer than `backup.timeout` ({} s)",
                            timeout.as_secs()
                        ));
                    }
                    if let Err(error) = engine.history.write(&running.snapshot()) {
                        tracing::warn!(%error, "progress is not kept");
                    }
                }
            })
        };
        // A panic must end as a failed operation, not as one that runs for ever.
        let views = self.clone();
        let work = tokio::spawn(async move {
            let ended = CancellationToken::new();
            let work = async {
                let _ends_the_watch = ended.clone().drop_guard();
                // After the start has been answered: it may be a million names.
                context.running.phase("cleaning up");
                for error in views.discard_views(Discard::Remove).await.faults {
                    // It takes room, and no more; the next operation tries again.
                    tracing::warn!(%error, "what an interrupted backup held on to can't be removed");
                }
                match request {
                    Request::Backup {
                        metadata, config, ..
                    } => backup::run(&context, metadata, config).await,
                    Request::Restore(_, options, _) => restore::run(&context, &options).await,
                    Request::Verify(_, mode, _) => verify::run(&context, mode).await,
                    Request::Delete(..) => delete::run(&context).await,
                }
            };
            let repository = &context.repository;
            let every = fence::interval(&**repository.sink());
            let watch = fence::watch(
                context.lock.as_deref(),
                repository,
                &context.running,
                every,
                &ended,
            );
            let (result, ()) = futures::join!(work, watch);
            if let Some(lock) = context.lock.take() {
                match tokio::time::timeout(RELEASE_PATIENCE, lock.release()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the lock was not given back"),
                    Err(_) => tracing::warn!("the lock was not given back: it ends by itself"),
                }
            }
            result
        });
        let result = match work.await {
            // Whatever was under way, it is told why it was cancelled.
            Ok(Err(Error::Storage(error))) if error.kind() == ErrorKind::Cancelled => {
                let reason = running.cancel_reason();
                Err(Error::Cancelled(
                    reason.unwrap_or_else(|| "cancelled".to_owned()),
                ))
            }
            Ok(result) => result,
            Err(error) => Err(Error::Failed(format!("internal fault: {error}"))),
        };
        watchdog.abort();
        let _ = watchdog.await;
        let mut ended = running.snapshot();
        ended.completed_at = Some(Timestamp::now().to_string());
        ended.phase = None;
        match &result {
            Ok(()) => ended.status = Status::Completed,
            Err(error) => {
                tracing::error!(target: "arc_backup::ended", operation = %ended.operation, id = %ended.operation_id, %error, "failed");
                ended.status = Status::Failed;
                ended.error = Some(error.to_string());
            }
        }
        ended.bytes_per_second = None;
        ended.eta_seconds = None;
        if let Err(error) = self.history.write(&ended) {
            tracing::error!(%error, "the end of an operation is not kept");
            ended.warnings.push(error.to_string());
        }
        // The slot is free before the status stops saying `running`: who sees the end may start the next at once.
        drop(instance);
        let gate = self.slot.lock().await;
        running.update(|operation| *operation = ended);
        running.finish();
        drop(gate);
    }
}

impl Context {
    pub(super) fn journal(&self, operation: &str) -> Journal {
        let holder = Holder::this(operation, &self.operation_id);
        Journal {
            operation: holder.operation,
            backup_id: self.id.to_string(),
            operation_id: holder.operation_id,
            pid: holder.pid,
            host: holder.host,
            started_at: Timestamp::now(),
        }
    }
}
