//! Waiting until Arc's compaction is idle, as it works on the files that a restore replaces.
//!
//! A job that has read its inputs before a restore writes its output after it; one that has written
//! its output deletes its inputs after it. Either way the live files are no longer the restored
//! ones. So a restore waits until no job runs, as far as that can be seen: by Arc's own answer,
//! where `backup.arc_url` is set; else by the states of jobs in the storage and the processes of an
//! Arc on this machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use arc_backup_core::{Key, ListOptions, Listed, Scope, Section, database_of};
use futures::StreamExt;

use crate::arc::{ArcClient, ArcProcess, CompactionStatus};
use crate::config::Settings;
use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::{Error, Result};

/// How long a restore waits for a job.
const JOB_TIMEOUT: Duration = Duration::from_secs(300);
/// The pause between two looks.
const POLL_INTERVAL: Duration = Duration::from_millis(500);
/// How long one answer of Arc's may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The same, where the answer is only shown.
const PREVIEW_TIMEOUT: Duration = Duration::from_secs(2);
/// The age from which a job state that the backup holds too is of no running job: Arc resumes jobs
/// only when it starts.
const ORPHANED_AGE: Duration = Duration::from_secs(600);
/// The age from which any job state is of no running job.
const STALE_AGE: Duration = Duration::from_secs(24 * 3600);

/// How many looks in a row must find no job, after one was found.
const QUIET_LOOKS: u32 = 3;
/// How many answers in a row may be unclear, after Arc said that it compacts.
const UNCLEAR_ANSWERS: u32 = 5;

/// Whether a compaction job runs.
enum Quiescence {
    /// None does. Arc's own answer, where it was asked.
    Quiet(Option<CompactionStatus>),
    /// One does.
    Busy(Job),
}

/// A job that runs.
struct Job {
    /// Which one, for people.
    what: String,
    /// How Arc is seen to run.
    seen: String,
}

/// The compaction of Arc, as far as a restore can see it.
pub(crate) struct RunningArc<'a> {
    context: &'a Context,
    /// What is restored: jobs of other databases change none of it.
    scope: Scope,
    /// The files in the backup that are states of compaction jobs.
    known: BTreeSet<Key>,
    /// Arc's answer before the restore was planned.
    before: Option<CompactionStatus>,
}

impl<'a> RunningArc<'a> {
    /// Waits until no compaction job runs, before the restore is planned. Fails when that takes too
    /// long.
    pub(crate) async fn await_quiet(
        context: &'a Context,
        inventory: &Inventory,
        scope: &Scope,
    ) -> Result<Self> {
        Self::await_idle(context, scope, states_of(inventory)?).await
    }

    /// The same before an undo, which is of no backup.
    pub(crate) async fn await_quiet_before_undo(context: &'a Context) -> Result<Self> {
        Self::await_idle(context, &Scope::whole(), BTreeSet::new()).await
    }

    async fn await_idle(context: &'a Context, scope: &Scope, known: BTreeSet<Key>) -> Result<Self> {
        let mut arc = Self {
            context,
            scope: scope.clone(),
            known,
            before: None,
        };
        match arc.wait(ORPHANED_AGE).await? {
            Quiescence::Quiet(status) => arc.before = status,
            Quiescence::Busy(Job { what, seen }) => {
                return Err(Error::Failed(format!(
                    "{what}, and Arc runs ({seen}): it would change the same files; wait until the job has ended, or \
                     stop Arc, and try again"
                )));
            }
        }
        Ok(arc)
    }

    /// What shows that Arc may have compacted since the restore was planned. Called right before
    /// the first change.
    pub(crate) async fn compacted_since(&self) -> Result<Option<String>> {
        use CompactionStatus::{Idle, Unknown};
        Ok(match self.look(ORPHANED_AGE).await? {
            Quiescence::Busy(job) => Some(job.what),
            Quiescence::Quiet(now) => match (&self.before, now) {
                (Some(Idle(before)), Some(Idle(now))) => {
                    (now != *before).then(|| "Arc has compacted, or was restarted".to_owned())
                }
                (Some(Idle(_)), Some(Unknown(error))) => {
                    Some(format!("Arc may have compacted: {error}"))
                }
                _ => None,
            },
        })
    }

    /// Waits before the last look at the live files, all of which are restored by now: that look
    /// finds the output of a job that had begun unseen. Warns of what cannot be known.
    pub(crate) async fn settle(&self) -> Result<()> {
        let why = match self.wait(Duration::ZERO).await? {
            Quiescence::Quiet(status) => {
                let why = match &status {
                    Some(status) if status.is_idle() => return Ok(()),
                    None => "`backup.arc_url` is not set, so that it cannot be asked whether it compacts"
                        .to_owned(),
                    Some(CompactionStatus::Unknown(error) | CompactionStatus::Unreachable(error)) => {
                        format!("it is not known whether it compacts: {error}")
                    }
                    Some(_) => return Ok(()),
                };
                let Some(seen) = self.seen(status.as_ref()) else {
                    return Ok(());
                };
                format!(
                    "Arc runs ({seen}), and {why}; a job that began before this restore may still change the restored files"
                )
            }
            Quiescence::Busy(Job { what, seen }) => format!(
                "everything is restored, but Arc runs ({seen}), and {what}: it may still change the restored files"
            ),
        };
        self.context.warn(format!(
            "{why}. Check the data when compaction is idle, and run the same restore again if necessary: it changes only \
             files that differ. It is safest to stop Arc first"
        ));
        Ok(())
    }

    async fn wait(&self, orphaned: Duration) -> Result<Quiescence> {
        let context = self.context;
        let begun = Instant::now();
        let before = context.running.snapshot().phase;
        // One job follows another: where Arc does not say that it is idle, several looks must find
        // none.
        let mut quiet = QUIET_LOOKS;
        loop {
            context.check_cancelled()?;
            let found = self.look(orphaned).await?;
            if let Quiescence::Quiet(status) = &found
                && !status.as_ref().is_some_and(CompactionStatus::is_idle)
                && quiet < QUIET_LOOKS
            {
                quiet += 1;
                self.pause().await;
                continue;
            }
            let Quiescence::Busy(Job { what, seen }) = &found else {
                context.running.update(|operation| operation.phase = before);
                return Ok(found);
            };
            if begun.elapsed() > JOB_TIMEOUT {
                return Ok(found);
            }
            tracing::debug!(job = what, seen, "waiting for Arc's compaction");
            context.running.phase(Phase::WaitingForCompaction);
            quiet = 0;
            self.pause().await;
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.context.running.cancel.cancelled() => {}
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
    }

    /// Looks once; where Arc said that it compacts and then gives no clear answer, several times.
    /// Job states that the backup holds too count as running until they are as old as `orphaned`.
    async fn look(&self, orphaned: Duration) -> Result<Quiescence> {
        let mut status = self.ask().await?;
        if matches!(status, Some(CompactionStatus::Active)) {
            for _ in 0..UNCLEAR_ANSWERS {
                self.pause().await;
                status = self.ask().await?;
                if !matches!(status, Some(CompactionStatus::Unknown(_))) {
                    break;
                }
            }
            if matches!(
                status,
                Some(CompactionStatus::Active | CompactionStatus::Unknown(_))
            ) {
                return Ok(Quiescence::Busy(Job {
                    what: "Arc says that it compacts".to_owned(),
                    seen: "it answers".to_owned(),
                }));
            }
        }
        if !status.as_ref().is_some_and(CompactionStatus::is_idle)
            && let Some(arc) = self.process()
            && let Some(job) = arc.compaction_job()
        {
            return Ok(Quiescence::Busy(Job {
                what: format!("its process {job} compacts"),
                seen: format!("process {}", arc.pid),
            }));
        }
        let Some(state) = self.pending_state(orphaned).await? else {
            return Ok(Quiescence::Quiet(status));
        };
        let what = format!("a compaction job has not ended (`{state}`)");
        let leftover = match &status {
            // An idle Arc runs no job; a job that was killed has left the state.
            Some(CompactionStatus::Idle(jobs)) => {
                let again = self.ask().await?;
                let is_same = matches!(&again, Some(CompactionStatus::Idle(now)) if now == jobs);
                is_same.then_some("Arc says that it is idle")
            }
            Some(CompactionStatus::Disabled) => Some("Arc's compaction is disabled"),
            _ => None,
        };
        let why = match (leftover, self.seen(status.as_ref())) {
            (None, Some(seen)) => return Ok(Quiescence::Busy(Job { what, seen })),
            (Some(why), _) => why.to_owned(),
            (None, None) => match &status {
                Some(CompactionStatus::Unreachable(error)) => {
                    format!("Arc is not seen to run: {error}")
                }
                _ => "Arc is not seen to run".to_owned(),
            },
        };
        self.context.warn(format!(
            "{what}; not waiting for it: {why}; if Arc is running, it may overwrite restored files"
        ));
        Ok(Quiescence::Quiet(status))
    }

    /// The process that has a database of Arc's open.
    fn process(&self) -> Option<ArcProcess<'_>> {
        ArcProcess::find(&self.context.settings.databases)
    }

    /// How Arc is seen to run, for people; `None` where it is not, which does not prove that it
    /// does not.
    fn seen(&self, status: Option<&CompactionStatus>) -> Option<String> {
        if let Some(process) = self.process() {
            return Some(process.to_string());
        }
        match status {
            None | Some(CompactionStatus::Unreachable(_)) => None,
            Some(_) => Some("`backup.arc_url`".to_owned()),
        }
    }

    /// The state of a job in the storage. One that cannot be read, or is a day old, is ignored with
    /// a warning.
    async fn pending_state(&self, orphaned: Duration) -> Result<Option<Key>> {
        let storage = &self.context.storage;
        let mut listing = storage.list(ListOptions {
            prefix: format!("{}/", crate::source::JOB_STATES),
            ..ListOptions::default()
        });
        while let Some(item) = listing.next().await {
            let meta = match item {
                Ok(Listed::Object(meta)) => meta,
                Ok(Listed::Other { .. }) => continue,
                Err(fault) if self.scope.ignores(&fault) => continue,
                Err(fault) => return Err(fault.into()),
            };
            // A state that belongs to no database may be of any job.
            if database_of(&meta.key).is_some() && !self.scope.concerns_job(&meta.key) {
                continue;
            }
            let age = meta.modified.and_then(|modified| modified.elapsed().ok());
            let age = age.unwrap_or_default();
            if !meta.key.ends_with(".json") || self.known.contains(&meta.key) && age >= orphaned {
                continue;
            }
            let reason = match crate::source::is_readable_state(&**storage, &meta).await? {
                // The job has just ended.
                None => continue,
                Some(false) => "it cannot be read as one",
                Some(true) if age > STALE_AGE => "older than a day",
                Some(true) => return Ok(Some(meta.key)),
            };
            self.context.warn(format!(
                "ignoring the compaction state `{}` ({reason})",
                meta.key
            ));
        }
        Ok(None)
    }

    /// Arc's own answer; `None` where `backup.arc_url` is not set.
    async fn ask(&self) -> Result<Option<CompactionStatus>> {
        let Some(arc) = &self.context.arc else {
            return Ok(None);
        };
        let status = tokio::select! {
            status = arc.compaction(ANSWER_TIMEOUT) => Some(status),
            () = self.context.running.cancel.cancelled() => None,
        };
        self.context.check_cancelled()?;
        Ok(status)
    }
}

/// Whether Arc runs, as far as that can be seen, and how it was.
pub(crate) enum Seen {
    Runs(String),
    Stopped(String),
    Unknown,
}

/// Looks once whether Arc runs: whether a process has its databases open, and whether
/// `backup.arc_url` answers.
pub(crate) async fn look_for_arc(settings: &Settings) -> Seen {
    if let Some(process) = ArcProcess::find(&settings.databases) {
        return Seen::Runs(process.to_string());
    }
    let Some(arc) = settings.backup.arc.as_ref().map(ArcClient::new) else {
        return Seen::Unknown;
    };
    match arc.compaction(PREVIEW_TIMEOUT).await {
        CompactionStatus::Unreachable(error) => Seen::Stopped(error.to_string()),
        status if status.is_answer() => Seen::Runs(format!("`{}` answers", arc.url())),
        _ => Seen::Unknown,
    }
}

/// The files in a backup that are states of compaction jobs.
fn states_of(inventory: &Inventory) -> Result<BTreeSet<Key>> {
    let mut states = BTreeSet::new();
    for record in inventory.records()? {
        let record = record?;
        if record.section() == Section::Data && crate::source::is_job_state(&record.entry.key) {
            states.insert(record.entry.key);
        }
    }
    Ok(states)
}
