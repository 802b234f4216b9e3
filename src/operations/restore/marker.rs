//! The restore marker, which says that live data may be neither old nor new.
//!
//! It lies in the state folder (`restore-in-progress.json`) and beside the data, and counts wherever it is found.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_backup_core::{Access, OperationId, Sink};
use jiff::{SignedDuration, Timestamp};

use self::place::{BesideData, read_file, remove_file, write_file};
use crate::config::Settings;
use crate::operations::context::Context;
use crate::operations::{ArcBackup, InterruptedRun, RestoreInProgress, RestoreOptions};
use crate::source::{CONFIG, check_config_place};
use crate::{Error, Result};

mod place;

const MARKER: &str = "restore-in-progress.json";
/// The phase in which live data changes.
pub(crate) const APPLYING: &str = "applying";
/// Timeout for reading the restore marker beside the data, where the operation can go on without
/// the answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for writing the restore marker there, and for reading it where a restore needs the
/// answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);
/// How long whoever only shows it waits.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);
/// How long what a store said is taken for true, by whoever only shows it.
const ANSWER_LIVES: Duration = Duration::from_secs(30);

/// How long what a restore has staged is kept when backups are made.
const STAGED_LIVES: SignedDuration = SignedDuration::from_hours(7 * 24);

pub(crate) fn marker_path(settings: &Settings) -> PathBuf {
    settings.backup.state_folder().join(MARKER)
}

/// The marker in the state folder of a restore that was interrupted after its first change, or, where it can't be read, may have
/// been.
pub(crate) fn state_marker(settings: &Settings) -> Option<RestoreInProgress> {
    read_file(&marker_path(settings))
}

/// The marker, wherever it is.
pub(crate) async fn marker(context: &Context) -> Option<RestoreInProgress> {
    let beside = marker_beside(context, ANSWER_TIMEOUT).await.ok().flatten();
    merge(state_marker(&context.settings), beside)
}

/// That beside the data. Where the storage does not say whether there is one, that is a warning: an operation that needs the storage
/// fails there by itself.
async fn marker_beside(
    context: &Context,
    timeout: Duration,
) -> std::result::Result<Option<RestoreInProgress>, String> {
    let read = read_beside(&context.storage, timeout).await;
    read.map_err(|reason| {
        let text = format!(
            "the data storage does not say whether a restore was interrupted while it changed live data: {reason}"
        );
        context.warn(text.clone());
        text
    })
}

async fn read_beside(
    storage: &Arc<dyn Sink>,
    timeout: Duration,
) -> std::result::Result<Option<RestoreInProgress>, String> {
    match tokio::time::timeout(timeout, BesideData(storage).read()).await {
        Ok(read) => read.map_err(|error| error.to_string()),
        Err(_) => Err(format!(
            "{}: no answer within {} s",
            storage.location(),
            timeout.as_secs()
        )),
    }
}

/// Two markers as one. Where they are of two restores, the later one, which has to cover what the other has left.
fn merge(
    state: Option<RestoreInProgress>,
    beside: Option<RestoreInProgress>,
) -> Option<RestoreInProgress> {
    let (mut marker, other) = match (state, beside) {
        (Some(state), Some(beside)) if state.operation_id == beside.operation_id => {
            // The one beside the data may lack the last step.
            let is_behind = state.done.len() < beside.done.len();
            return Some(if is_behind { beside } else { state });
        }
        (Some(state), Some(beside)) => {
            let is_later = |a: &RestoreInProgress, b: &RestoreInProgress| {
                let written = |marker: &RestoreInProgress| marker.written_at.parse::<Timestamp>();
                match (&a.unreadable, &b.unreadable) {
                    (None, None) => written(a).ok() >= written(b).ok(),
                    (unreadable, _) => unreadable.is_none(),
                }
            };
            match is_later(&state, &beside) {
                true => (state, beside),
                false => (beside, state),
            }
        }
        (state, beside) => return state.or(beside),
    };
    for section in &other.sections {
        if !other.done.contains(section) && !marker.sections.contains(section) {
            marker.sections.push(section.clone());
        }
    }
    let mut runs = other.earlier;
    if other.unreadable.is_none() {
        runs.push(InterruptedRun {
            operation_id: other.operation_id,
            extra_files: other.extra_files,
        });
    }
    for run in runs {
        let is_known = |known: &InterruptedRun| known.operation_id == run.operation_id;
        if run.operation_id != marker.operation_id && !marker.earlier.iter().any(is_known) {
            marker.earlier.push(run);
        }
    }
    Some(marker)
}

/// What a store said last of the marker beside the data, for whoever only shows it.
#[derive(Debug, Default)]
pub(crate) struct LastAnswer(Mutex<Option<Answer>>);

#[derive(Debug)]
struct Answer {
    at: Instant,
    /// For how long it is taken for true.
    lives: Duration,
    /// The operation of this process that had run last, and whether it had ended: it may have changed the marker.
    after: Option<(String, bool)>,
    marker: Option<RestoreInProgress>,
}

impl ArcBackup {
    /// What a restore that was interrupted after its first change says of itself, in the state folder and beside the data. A
    /// storage that gives no answer is waited for a short time, and asked again only after a while.
    pub async fn restore_in_progress(&self) -> Option<RestoreInProgress> {
        self.look_for_interrupted_restore().await;
        let beside = {
            let last = self.marker_answer.0.lock();
            let last = last.unwrap_or_else(PoisonError::into_inner);
            let last = last
                .as_ref()
                .filter(|last| last.after == self.last_operation());
            last.and_then(|last| last.marker.clone())
        };
        merge(state_marker(&self.settings), beside)
    }

    /// Looks whether the marker of an interrupted restore lies beside the data, unless what was found just before is still true.
    async fn look_for_interrupted_restore(&self) {
        let access = self.storage.properties().access;
        let after = self.last_operation();
        {
            let last = self.marker_answer.0.lock();
            let last = last.unwrap_or_else(PoisonError::into_inner);
            if (last.as_ref())
                .is_some_and(|last| last.after == after && last.at.elapsed() < last.lives)
            {
                return;
            }
        }
        let read = read_beside(&self.storage, LOOK_TIMEOUT).await;
        let mut last = self
            .marker_answer
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        // Local disk is asked each time, unless it hangs.
        let lives = match access {
            Access::Direct if read.is_ok() => Duration::ZERO,
            _ => ANSWER_LIVES,
        };
        let marker = read.unwrap_or_else(|reason| {
            tracing::warn!(
                "the data storage does not say whether a restore was interrupted: {reason}"
            );
            last.take().and_then(|last| last.marker)
        });
        *last = Some(Answer {
            at: Instant::now(),
            lives,
            after,
            marker,
        });
    }

    fn last_operation(&self) -> Option<(String, bool)> {
        let running = self.current()?;
        Some((running.snapshot().operation_id, running.is_done()))
    }
}

/// What a restore writes of itself, and of those that it goes on with.
pub(crate) struct Mark<'a> {
    context: &'a Context,
    options: &'a RestoreOptions,
    interrupted: Option<RestoreInProgress>,
    /// Why it is not known whether there is one beside the data: what may be there must not be written over, and then removed.
    unknown: Option<String>,
    /// The name that an interrupted restore of the same backup has staged files under.
    resumed: Option<OperationId>,
    /// Whether one is beside the data, to be removed there.
    is_beside: AtomicBool,
}

impl<'a> Mark<'a> {
    /// That of a restore that begins: what is there now is of one that was interrupted.
    pub(crate) async fn new(context: &'a Context, options: &'a RestoreOptions) -> Self {
        // A restore of data needs the answer, and a store that drops one request answers the next.
        // The store's own timeout ends the wait for a dead one.
        let timeout = match context.storage.properties().access {
            Access::Network if options.data => WRITE_TIMEOUT,
            _ => ANSWER_TIMEOUT,
        };
        // A restore that is cancelled here has changed nothing.
        let asked = tokio::select! {
            asked = marker_beside(context, timeout) => asked,
            () = context.running.cancel.cancelled() => Err("it was cancelled".to_owned()),
        };
        let (beside, unknown) = match asked {
            Ok(beside) => (beside, None),
            Err(reason) => (None, Some(reason)),
        };
        Self {
            context,
            options,
            resumed: resumed_stage(context, options),
            unknown,
            is_beside: beside.is_some().into(),
            interrupted: merge(state_marker(&context.settings), beside),
        }
    }

    /// The name that files are staged under.
    pub(crate) fn stage(&self) -> OperationId {
        let own = &self.context.operation_id;
        self.resumed.as_ref().unwrap_or(own).clone()
    }

    /// Whether an interrupted restore of the same backup may have staged files under it.
    pub(crate) fn resumes_staging(&self) -> bool {
        self.resumed.is_some()
    }

    /// Whether the next restore will find what is staged: by a marker that this one writes, or that
    /// is there.
    pub(crate) fn tells_stage(&self) -> bool {
        self.interrupted.is_none() || self.resumed.is_some()
    }

    /// The restore that was interrupted: live data is half restored already, and the marker stays until a restore has ended.
    pub(crate) fn interrupted(&self) -> Option<&RestoreInProgress> {
        self.interrupted.as_ref()
    }

    /// Whether there is one.
    pub(crate) fn goes_on(&self) -> bool {
        self.interrupted.is_some()
    }

    /// The runs that this one goes on with.
    pub(crate) fn earlier(&self) -> Vec<InterruptedRun> {
        let Some(last) = &self.interrupted else {
            return Vec::new();
        };
        let mut earlier = last.earlier.clone();
        if last.unreadable.is_none() {
            earlier.push(InterruptedRun {
                operation_id: last.operation_id.clone(),
                extra_files: last.extra_files,
            });
        }
        earlier
    }

    /// Notes that files are being staged: nothing live has changed, and what was staged is to be removed.
    pub(crate) fn staging(&self, sections: &[String]) -> Result<()> {
        write_file(
            &marker_path(&self.context.settings),
            &self.text("staging", sections, &[]),
        )
    }

    /// Says that live data is about to change, in both places; `changes_data` where that is in the data storage, which must then
    /// say so too. Where only databases or `arc.toml` change, a storage that can't be written is no reason to fail.
    pub(crate) async fn applying(&self, sections: &[String], changes_data: bool) -> Result<()> {
        let text = self.text(APPLYING, sections, &[]);
        // Before it is written: one that is broken off, or whose answer is lost, may be there.
        if self.unknown.is_none() {
            self.is_beside.store(true, Ordering::Relaxed);
        }
        match self.write_beside(&text).await {
            Ok(()) => {}
            Err(error) if changes_data => {
                return Err(Error::Failed(format!(
                    "the restore marker can't be written beside the data: {error}"
                )));
            }
            Err(error) => self.context.warn(format!(
                "the restore marker is in the state folder alone, as it can't be written beside the data ({error}): were this \
                 restore interrupted, and the state folder lost, nothing would say so"
            )),
        }
        write_file(&marker_path(&self.context.settings), &text)
    }

    async fn write_beside(&self, text: &[u8]) -> Result<()> {
        if let Some(reason) = &self.unknown {
            return Err(Error::Failed(reason.clone()));
        }
        let beside = BesideData(&self.context.storage);
        match tokio::time::timeout(WRITE_TIMEOUT, beside.write(text)).await {
            Ok(written) => written,
            Err(_) => Err(Error::Failed(format!(
                "{}: no answer within {} s",
                self.context.storage.location(),
                WRITE_TIMEOUT.as_secs()
            ))),
        }
    }

    /// Notes what is in force already. That a full disk can't keep this is no reason to leave the rest undone.
    pub(crate) async fn done(&self, sections: &[String], done: &[String]) {
        let text = self.text(APPLYING, sections, done);
        if let Err(error) = write_file(&marker_path(&self.context.settings), &text) {
            tracing::warn!(%error, "what is restored so far is not noted");
        }
        if !self.is_beside.load(Ordering::Relaxed) {
            return;
        }
        // It is only a note: a store that has died since is not waited for.
        let beside = BesideData(&self.context.storage);
        let noted = tokio::select! {
            noted = tokio::time::timeout(ANSWER_TIMEOUT, beside.write(&text)) => noted,
            () = self.context.running.cancel.cancelled() => return,
        };
        if let Ok(Err(error)) = noted {
            tracing::warn!(%error, "what is restored so far is not noted beside the data");
        }
    }

    fn text(&self, phase: &str, sections: &[String], done: &[String]) -> Vec<u8> {
        let marker = RestoreInProgress {
            operation_id: self.context.operation_id.to_string(),
            backup_id: self.context.id.to_string(),
            sections: sections.to_vec(),
            done: done.to_vec(),
            phase: phase.to_owned(),
            written_at: Timestamp::now().to_string(),
            target: Some(self.context.repository.name().to_owned()),
            extra_files: self.options.extra_files,
            allow_incomplete: self.options.allow_incomplete,
            skip_damaged: self.options.skip_damaged,
            stage: Some(self.stage().to_string()),
            earlier: self.earlier(),
            unreadable: None,
        };
        serde_json::to_vec(&marker).expect("plain data is valid JSON")
    }

    /// Removes it where this operation has written it and nothing has changed.
    pub(crate) async fn remove_own(&self) -> Result<()> {
        let settings = &self.context.settings;
        let text = std::fs::read(marker_path(settings)).unwrap_or_default();
        let marker = serde_json::from_slice::<RestoreInProgress>(&text);
        if matches!(marker, Ok(marker) if marker.operation_id == *self.context.operation_id) {
            remove_marker(settings)?;
        }
        // Without a look: what was written there this moment may not be seen yet; and nobody else has one there.
        if self.is_beside.load(Ordering::Relaxed) && !self.goes_on() {
            BesideData(&self.context.storage).remove().await?;
        }
        Ok(())
    }

    /// Removes it in both places: the restore has ended. `changes_data` as when it was written.
    pub(crate) async fn remove(&self, changes_data: bool) -> Result<()> {
        if self.is_beside.load(Ordering::Relaxed) {
            match BesideData(&self.context.storage).remove().await {
                Err(error) if !changes_data => self.context.warn(format!(
                    "the restore marker beside the data can't be removed, where one is there: {error}"
                )),
                removed => removed?,
            }
        }
        remove_marker(&self.context.settings)
    }
}

/// The name under which an interrupted restore of the operation's backup has staged files that are
/// of use to this one, by the marker in the state folder. Their bytes are looked at before they are
/// used.
fn resumed_stage(context: &Context, options: &RestoreOptions) -> Option<OperationId> {
    if !options.data || context.storage.staging().is_none() {
        return None;
    }
    let marker = any_marker(&context.settings)?;
    let is_same = marker.backup_id == context.id.as_str()
        && marker.target.as_deref() == Some(context.repository.name());
    let stage = marker.stage.filter(|_| is_same)?;
    OperationId::parse(&stage).ok()
}

/// The marker in the state folder, whatever its phase.
fn any_marker(settings: &Settings) -> Option<RestoreInProgress> {
    let text = std::fs::read(marker_path(settings)).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Whether files are staged that the next restore of the same backup can use. After some days
/// nobody is taken to come for them.
pub(crate) fn keeps_staged(settings: &Settings) -> bool {
    let Some(marker) = any_marker(settings).filter(|marker| marker.stage.is_some()) else {
        return false;
    };
    let written: Option<Timestamp> = marker.written_at.parse().ok();
    written.is_some_and(|written| Timestamp::now().duration_since(written) < STAGED_LIVES)
}

/// Removes the marker in the state folder.
pub(crate) fn remove_marker(settings: &Settings) -> Result<()> {
    remove_file(&marker_path(settings))
}

/// Refuses a restore that would leave out what an interrupted one has half done: its marker must not go before that is whole.
pub(crate) fn check_covers_interrupted(mark: &Mark<'_>, order: &[&String]) -> Result<()> {
    let Some(marker) = mark.interrupted() else {
        return Ok(());
    };
    let context = mark.context;
    let config_place = || check_config_place(&context.settings.config_path, &context.operation_id);
    let mut left_out: Vec<_> = (marker.sections.iter())
        .filter(|section| !order.contains(section))
        .map(String::as_str)
        .collect();
    if left_out.contains(&CONFIG)
        && let Err(error) = config_place()
    {
        // There must be a way out; and the file that is there is whole, or this program could not have read it.
        left_out.retain(|section| *section != CONFIG);
        context.warn(format!(
            "{}; arc.toml is left as it is, as nothing can be put in its place: {error}",
            marker
        ));
    }
    if left_out.is_empty() {
        return Ok(());
    }
    Err(Error::Failed(format!(
        "{}, and this one leaves out a part of it ({}): {}, or with one that restores these too",
        marker,
        left_out.join(", "),
        marker.remedy()
    )))
}

#[cfg(test)]
mod tests;
