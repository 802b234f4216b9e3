//! Starting an operation, and running it to its end.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_backup_core::{BlockingJob, Discard, InvalidOperationId, LockGuard, OperationId};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::arc::ArcClient;
use crate::operations::attempt::Attempt;
use crate::operations::context::Context;
use crate::operations::ending::StopTimes;
use crate::operations::legs::{leases, locks};
use crate::operations::running::{Running, Who};
use crate::operations::slots::Slot;
use crate::operations::time_limit::{TimeAllowed, TimedRequest};
use crate::operations::watch::{WATCH_INTERVAL, record, watch};
use crate::operations::{ArcBackup, Request};
use crate::operations::{
    LastGood, OperationKind, Phase, audit, backup, cancel, copy, delete, export, extract, import,
    labels, prune, rehearse, restore, undo, verify,
};
use crate::operations::{Operation, Status};
use crate::repository::Holder;
use crate::secret::Secret;
use crate::{Error, Result};

/// Timeout for releasing a lock, unless the operation was cancelled.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for the last entry in the history, unless the operation was cancelled.
const RECORD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an aborted operation may take to end.
const ABORT_TIMEOUT: Duration = Duration::from_millis(500);
/// Timeout for the slot: a busy answer takes less than a second.
const SLOT_TIMEOUT: Duration = Duration::from_millis(500);

impl ArcBackup {
    /// Starts an operation, which then runs in the background. Its status is visible before this
    /// returns.
    ///
    /// An operation that fails before it runs has an entry in the history. A refused request has
    /// none: see [`Error::is_refusal`].
    ///
    /// # Errors
    /// [`Error::Busy`] names the holder of the lock. [`Error::NotFound`] and [`Error::Damaged`]
    /// mean that there is no such backup to work with. [`Error::Target`] means that the target
    /// cannot be used. [`Error::Cancelled`] means that the operation did not start within its time
    /// limit, or was cancelled before.
    pub async fn start(
        self: &Arc<Self>,
        request: impl Into<TimedRequest>,
        mut who: Who,
    ) -> Result<Arc<Running>> {
        let TimedRequest { request, limit } = request.into();
        // An invalid request is refused as such even if another operation runs.
        for target in request.targets() {
            self.repository(Some(target))?;
        }
        self.check_open()?;
        self.check_place()?;
        self.check_data(&request)?;
        Self::check_data_scope(&request)?;
        if let Request::Backup(options) = &request {
            labels::check(options)?;
        }
        let time = TimeAllowed::new(limit, self.settings.backup.timeout);
        let token = who.token.take();
        let attempt = Attempt::new(self, &request, &who)?;
        let cancelled = async {
            let folder = self.settings.backup.state_folder();
            tokio::select! {
                reason = self.ending.requested() => reason,
                reason = cancel::requested(folder, &attempt.operation) => reason,
            }
        };
        let begun = tokio::select! {
            biased;
            begun = time.within(self.begin(request, who, token, &attempt, time)) => {
                begun.unwrap_or_else(|| Err(Error::Cancelled(format!(
                    "the operation could not begin within {time}: run `doctor` to see which storage does not answer"
                )))).map_err(|error| match error {
                    error if error.is_cancelled() && self.ending.is_cancelled() => {
                        (error, Status::Cancelled)
                    }
                    error => (error, Status::Failed),
                })
            }
            reason = cancelled => Err((Error::Cancelled(reason), Status::Cancelled)),
        };
        match begun {
            Ok(running) => Ok(running),
            Err((error, status)) => {
                self.record_attempt(attempt, &error, status).await;
                Err(self.with_progress(error).await)
            }
        }
    }

    async fn begin(
        self: &Arc<Self>,
        mut request: Request,
        who: Who,
        token: Option<Secret>,
        attempt: &Attempt,
        time: TimeAllowed,
    ) -> Result<Arc<Running>> {
        let kind = request.kind();
        // Another start may be waiting for a dead target.
        let Some(_starting) = self.slots.begin(kind, SLOT_TIMEOUT).await else {
            let holder = self.busy();
            return Err(holder
                .unwrap_or_else(|| Holder::this("operation", "starting"))
                .into());
        };
        self.check_open()?;
        if let Some(holder) = self.busy().filter(|_| !kind.is_reader()) {
            return Err(holder.into());
        }
        let operation_id = attempt.operation.operation_id.clone();
        let id = attempt.id.clone();
        let holder = Holder {
            backup_id: Some(attempt.operation.backup_id.clone()).filter(|id| !id.is_empty()),
            started_at: Some(attempt.started),
            ..Holder::this(kind.as_str(), &operation_id)
        };
        let slot = self.slots.take(kind, &holder);
        if !matches!(slot, Err(Error::Busy(_))) {
            attempt.has_slot();
        }
        let slot = slot?;
        self.check_databases(&request).await?;
        self.clean_up_after_crashes(&slot, &operation_id).await?;
        let mut instance = None;
        let repository = match &mut request {
            Request::Backup(options) => {
                self.repository_for(options.target.as_deref(), &options.scope)?
            }
            Request::Restore(id, options, target) => {
                let found = self.find_and_check(id, options, target.as_deref()).await?;
                options.clone_from(&found.2);
                let scope = options.backup_scope();
                (self.check_selected(&found.0, id, &found.1, scope)).await?;
                instance = Some(self.instance_for(id, options, &found.1.manifest)?);
                found.0
            }
            Request::Rehearse(id, _, target) => self.locate(id, target.as_deref()).await?.0,
            Request::Verify(id, options, target) => {
                let (repository, found) = self.locate(id, target.as_deref()).await?;
                if let Ok(loaded) = &found {
                    (self.check_selected(&repository, id, loaded, &options.scope)).await?;
                }
                repository
            }
            Request::Delete(id, target, _) => self.locate_to_delete(id, target.as_deref()).await?,
            Request::Copy(options) => copy::locate(self, options).await?,
            Request::Export(options) => export::locate(self, options).await?,
            Request::Import(options) => self.repository(options.target.as_deref())?.clone(),
            Request::Extract(options) => extract::locate(self, options).await?,
            Request::Prune(options) => self.repository_to_prune(options).await?,
            Request::Undo(undo) => self.undo_target(undo)?,
        };
        // The operation reads the list of files itself: a kill would leave this copy of it.
        self.inventories.forget(&id);
        let (lock, warnings) = match request.source() {
            Some(source) => copy::locks(source, &repository, &holder).await?,
            None if kind.is_reader() => leases::take(&repository, &holder).await?,
            None => {
                let read_only = kind.changes_live_data();
                let lock = locks::take(&repository, &holder, read_only).await?;
                (lock, Vec::new())
            }
        };
        let shown = request.source().unwrap_or(&repository);
        let operation = Operation {
            target: Some(shown.name().to_owned()),
            targets: locks::names_of_legs(shown),
            scope: request.databases(),
            selection: request.selection(),
            ..attempt.operation.clone()
        };
        let running = Running::new(operation, attempt.started, who);
        for warning in warnings {
            running.update(|operation| operation.add_warning(warning));
        }
        let begun = async {
            // Nobody can begin to read there any more: the lock says that this deletes.
            if kind.is_deleter() {
                repository.check_no_readers().await?;
            }
            if let Request::Delete(id, _, LastGood::Keep) = &request {
                self.check_not_last_good(&repository, id).await?;
            }
            self.record_start(&request, &running).await
        };
        if let Err(error) = begun.await {
            if let Some(lock) = lock {
                self.release_lock(&*lock, &running).await;
            }
            return Err(error);
        }
        let instance = instance.unwrap_or_else(|| self.own_instance());
        let arc =
            (instance.settings.backup.arc.as_ref()).map(|arc| ArcClient::new(arc).or_token(token));
        let context = Context {
            settings: instance.settings,
            sources: instance.sources,
            storage: instance.storage,
            state_folder: self.settings.backup.state_folder().to_owned(),
            new_instance: instance.new,
            repository: repository.with_activity(running.progress.activity()),
            id,
            scratch_folders: self.scratch.clone(),
            scratch: OnceLock::new(),
            operation_id: OperationId::parse(&operation_id)
                .map_err(InvalidOperationId::into_error)?,
            secrets: match request {
                Request::Backup(ref options) => options.secrets,
                _ => None,
            },
            running: running.clone(),
            arc,
            lock,
            time,
            history: self.history.clone(),
            repositories: self.repositories.clone(),
            default_target: None,
            other_legs: Vec::new(),
        };
        audit::started(&running.snapshot());
        self.running.add(running.clone());
        let engine = self.clone();
        tokio::spawn(async move { engine.run(request, context, slot).await });
        Ok(running)
    }

    /// Cleans up after operations that crashed. One that writes removes all of their files, as no
    /// other such operation runs; another one those of readers, whose slots show that they died.
    async fn clean_up_after_crashes(&self, slot: &Slot, operation_id: &str) -> Result<()> {
        if slot.is_reader() {
            self.mark_crashed_now().await?;
            self.slots.readers.remove_dead(|id| self.scratch.remove(id));
            return Ok(());
        }
        let runs = |id: &str| self.slots.readers.is_held(id);
        cancel::remove_stale(self.settings.backup.state_folder(), operation_id, runs);
        self.slots.readers.remove_dead(|id| self.scratch.remove(id));
        self.mark_crashed().await?;
        self.scratch.clean(runs)
    }

    /// Records the start in the history. Fails if the operation must not start.
    async fn record_start(&self, request: &Request, running: &Running) -> Result<()> {
        if let Err(error) = self.history.write(running.snapshot()).await {
            // A deletion frees space on a full disk.
            if !matches!(request, Request::Delete(..) | Request::Prune(..)) {
                return Err(error);
            }
            tracing::warn!(%error, "cannot record the deletion in the history");
        }
        self.check_open()
    }

    async fn release_lock(&self, lock: &dyn LockGuard, running: &Running) {
        let times = StopTimes::new(self.settings.backup.stop_timeout);
        let too_late = async {
            tokio::select! {
                () = tokio::time::sleep(RELEASE_TIMEOUT) => {}
                () = running.cancelled_for(times.lock) => {}
            }
        };
        tokio::select! {
            biased;
            released = lock.release() => {
                if let Err(error) = released {
                    tracing::warn!(%error, "cannot release the lock");
                }
            }
            () = too_late => tracing::warn!("the lock was not released in time: it expires by itself"),
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.ending.is_cancelled() {
            return Err(Error::Cancelled("the service is shutting down".to_owned()));
        }
        Ok(())
    }

    async fn run(self: Arc<Self>, request: Request, context: Context, slot: Slot) {
        let running = context.running.clone();
        let lock = context.lock.clone();
        let repository = context.repository.clone();
        let time = context.time;
        let times = StopTimes::new(self.settings.backup.stop_timeout);
        let ended = CancellationToken::new();
        // In tasks of their own: a panic must fail the operation, and the work must not block the
        // others.
        let mut work = tokio::spawn(self.clone().work(request, context));
        let record = tokio::spawn(record(self.history.clone(), running.clone(), ended.clone()));
        let watch = tokio::spawn(watch(
            self.settings.clone(),
            repository,
            lock.clone(),
            running.clone(),
            time,
            ended.clone(),
        ));
        let mut is_aborted = false;
        let result = tokio::select! {
            biased;
            done = &mut work => match done {
                Ok(result) => result.map_err(|error| running.cause_of(error)),
                Err(error) => Err(error.into()),
            },
            () = running.cancelled_for(times.operation) => {
                let under_way = running.waits_for();
                is_aborted = true;
                work.abort();
                // An abort does not reach a thread that waits for a disk.
                match tokio::time::timeout(ABORT_TIMEOUT, &mut work).await {
                    // It ended at the last moment.
                    Ok(Ok(result)) => result,
                    _ if running.is_published() => {
                        running.update(|operation| {
                            operation.add_warning(format!(
                                "it was aborted after the backup had been published ({under_way})"
                            ));
                        });
                        Ok(())
                    }
                    _ => Err(self.aborted(&running, &under_way)),
                }
            }
        };
        ended.cancel();
        let _ = watch.await;
        // An abort does not stop threads that write. No other operation may start before they end.
        let is_reader = slot.is_reader();
        let writes = !matches!(
            running.kind(),
            OperationKind::Verify
                | OperationKind::Rehearse
                | OperationKind::Export
                | OperationKind::Extract
        );
        let must_wait = is_aborted && writes && BlockingJob::under_way() > 0;
        let (mut held, mut reading) = (None, None);
        if must_wait {
            held = Some((lock, slot));
        } else {
            if let Some(lock) = lock {
                self.release_lock(&*lock, &running).await;
            }
            // A reader keeps nobody out: it has its slot until its end is recorded, so that nobody
            // takes it for crashed.
            reading = Some(slot).filter(Slot::is_reader);
        }
        let mut last = running.snapshot();
        last.completed_at = Some(Timestamp::now().to_string());
        last.phase = None;
        match result {
            Ok(()) => last.status = Status::Completed,
            Err(error) => {
                last.status = running.status_of(&error);
                last.error = Some(error.to_string());
                running.set_failure(error);
            }
        }
        audit::ended(&last);
        last.bytes_per_second = None;
        last.eta_seconds = None;
        let written = async {
            // In this order: the last entry must be that of the ended operation.
            let _ = record.await;
            self.history.write(last.clone()).await
        };
        // A process that holds the history must not delay the end of a cancelled operation.
        let timeout = async {
            tokio::select! {
                () = tokio::time::sleep(RECORD_TIMEOUT) => {}
                () = running.cancelled_for(times.history) => {}
            }
        };
        let written = tokio::select! {
            biased;
            written = written => written,
            () = timeout => Err(Error::Failed("another process holds the history".to_owned())),
        };
        if let Err(error) = written {
            tracing::error!(%error, "cannot record the end of an operation");
            last.add_warning(error.to_string());
        }
        drop(reading);
        if let Some((lock, slot)) = held {
            let running = running.clone();
            let engine = self.clone();
            tokio::spawn(async move {
                tracing::warn!(
                    "threads of an aborted operation are still running: its locks are held until they end"
                );
                while BlockingJob::under_way() > 0 {
                    if let Some(lock) = &lock {
                        let _ = lock.check().await;
                    }
                    tokio::time::sleep(WATCH_INTERVAL).await;
                }
                if let Some(lock) = lock {
                    engine.release_lock(&*lock, &running).await;
                }
                drop(slot);
            });
        }
        // The slot is free before the status changes from `running`: a client that sees the end may
        // start the next operation at once.
        let gate = match is_reader {
            true => None,
            false => Some(self.slots.starting.lock().await),
        };
        running.update(|operation| *operation = last);
        running.finish();
        drop(gate);
    }

    /// Does the work of an operation.
    async fn work(self: Arc<Self>, request: Request, context: Context) -> Result<()> {
        let running = context.running.clone();
        // The snapshot of a backup that runs beside it is no leftover.
        if !running.kind().is_reader() {
            // After the answer to the start: there may be a million hard links.
            context.running.phase(Phase::CleaningUp);
            let activity = context.running.progress.activity();
            let discarded = async { Ok(self.discard_snapshots(Discard::Remove, activity).await) };
            for error in context.or_cancelled(discarded).await?.faults {
                // A leftover snapshot only takes disk space; the next operation attempts it again.
                tracing::warn!(%error, "cannot remove a leftover snapshot");
            }
        }
        match request {
            Request::Backup(options) => {
                let removed = undo::remove_expired(&self, &context);
                context.or_cancelled(removed).await?;
                let made = match context.repository.legs().is_empty() {
                    true => backup::run(&context, &options).await?,
                    false => backup::legs::run(&context, &options).await?,
                };
                made.report(&running)
            }
            Request::Restore(_, options, _) => {
                restore::run(&context, &options).await?.report(&running)
            }
            Request::Verify(_, options, _) => {
                let verified = verify::run(&context, &options);
                context.or_cancelled(verified).await?.report(&running)
            }
            Request::Rehearse(_, options, _) => {
                let rehearsed = rehearse::run(&context, options);
                context.or_cancelled(rehearsed).await?.report()
            }
            Request::Delete(..) => delete::run(&context).await,
            Request::Prune(options) => prune::run(&self, &context, &options).await,
            Request::Copy(options) => {
                copy::run(&context, &options).await?.report(&running);
                Ok(())
            }
            Request::Export(options) => context.or_cancelled(export::run(&context, &options)).await,
            Request::Import(options) => import::run(&context, &options).await?.report(&running),
            Request::Extract(options) => {
                context.or_cancelled(extract::run(&context, &options)).await
            }
            Request::Undo(undo) => undo::run(&context, &undo).await,
        }
    }

    /// Returns the error of an operation that did not end in time after it was cancelled.
    fn aborted(&self, running: &Running, under_way: &str) -> Error {
        let Error::Cancelled(reason) = running.cancelled() else {
            return running.cancelled();
        };
        let is_restore = running.kind().changes_live_data();
        // Only in the state folder: the disk of the data may hang.
        let marker =
            is_restore.then(|| crate::operations::restore::marker::state_marker(&self.settings));
        let left = match marker.flatten() {
            Some(marker) => {
                format!("the live data is partly restored: {}", marker.remedy())
            }
            _ => "the next operation removes or resumes its leftovers".to_owned(),
        };
        Error::Cancelled(format!(
            "{reason}; it did not end within {} s (`backup.stop_timeout`), while {under_way}, and was aborted: {left}",
            self.settings.backup.stop_timeout.as_secs(),
        ))
    }
}
