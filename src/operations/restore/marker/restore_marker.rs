//! The marker that a restore writes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_backup_core::{Access, OperationId, Scope, Section};
use jiff::Timestamp;

use super::places::BesideData;
use super::reading::{
    ANSWER_TIMEOUT, any_marker, marker_beside, marker_path, merge, remove_marker, state_marker,
};
use crate::files::write_atomically;
use crate::operations::context::Context;
use crate::operations::restore::in_progress::{APPLYING, STAGING};
use crate::operations::undo::could_be_undone;
use crate::operations::{DataSelection, InterruptedRun, RestoreInProgress, RestoreOptions};
use crate::source::check_config_place;
use crate::{Error, Result};

/// Timeout for writing the restore marker beside the data, and for reading it where a restore needs
/// the answer.
const WRITE_TIMEOUT: Duration = Duration::from_secs(120);

/// The marker that a restore writes, of itself and of the interrupted restores that it completes.
pub(crate) struct RestoreMarker<'a> {
    context: &'a Context,
    options: &'a RestoreOptions,
    interrupted: Option<RestoreInProgress>,
    /// Why it is not known whether there is a marker beside the data: one that may be there must
    /// not be written over, and then removed.
    unknown: Option<String>,
    /// The name that an interrupted restore of the same backup has staged files under.
    resumed: Option<OperationId>,
    /// The operation that is taken back, where this is an undo.
    undoes: Option<String>,
    /// Whether there is a marker beside the data, which has to be removed.
    is_beside: AtomicBool,
}

impl<'a> RestoreMarker<'a> {
    /// The marker of a restore that begins: one that exists already is of an interrupted restore.
    pub(crate) async fn new(context: &'a Context, options: &'a RestoreOptions) -> Self {
        // A restore of data needs the answer, and a store that drops one request answers the next.
        // The store's own timeout ends the wait for a dead one.
        let timeout = match context.storage.properties().access {
            Access::Network if options.includes(&Section::Data) => WRITE_TIMEOUT,
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
            undoes: None,
            is_beside: beside.is_some().into(),
            interrupted: merge(state_marker(&context.settings), beside),
        }
    }

    /// The marker of an undo that begins; what it takes back may be what was interrupted.
    pub(crate) async fn of_undo(
        context: &'a Context,
        options: &'a RestoreOptions,
        operation_id: &str,
    ) -> Self {
        Self {
            resumed: None,
            undoes: Some(operation_id.to_owned()),
            ..Self::new(context, options).await
        }
    }

    /// The name that files are staged under.
    pub(crate) fn stage(&self) -> OperationId {
        let own = &self.context.operation_id;
        self.resumed.as_ref().unwrap_or(own).clone()
    }

    /// The name of the stage that the marker has: an undo keeps what an interrupted restore has
    /// staged, until it has ended.
    fn named_stage(&self) -> String {
        let kept = (self.interrupted.as_ref()).filter(|_| self.undoes.is_some());
        kept.and_then(|interrupted| interrupted.stage.clone())
            .unwrap_or_else(|| self.stage().to_string())
    }

    /// Whether an interrupted restore of the same backup may have staged files under it.
    pub(crate) fn resumes_staging(&self) -> bool {
        self.resumed.is_some()
    }

    /// Whether the next restore will find the staged files: by the marker that this one writes, or
    /// by one that exists already.
    pub(crate) fn names_stage(&self) -> bool {
        self.interrupted.is_none() || self.resumed.is_some()
    }

    /// The restore that was interrupted: the live data is partly restored, and the marker stays
    /// until a restore has ended.
    pub(crate) fn interrupted(&self) -> Option<&RestoreInProgress> {
        self.interrupted.as_ref()
    }

    /// Whether this restore completes an interrupted one.
    pub(crate) fn is_resuming(&self) -> bool {
        self.interrupted.is_some()
    }

    /// What the operator should do, where this restore is interrupted.
    pub(crate) fn remedy(&self) -> String {
        let text = self.text(APPLYING, &[], &[]);
        let marker = serde_json::from_slice::<RestoreInProgress>(&text);
        marker.map_or_else(|_| String::new(), |marker| marker.remedy())
    }

    /// The interrupted runs that this one completes.
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

    /// Records that files are being staged: nothing live has changed, and staged files are to be
    /// removed.
    pub(crate) fn staging(&self, sections: &[String]) -> Result<()> {
        let text = self.text(STAGING, sections, &[]);
        Ok(write_atomically(
            &marker_path(&self.context.settings),
            &text,
        )?)
    }

    /// Records that live data is about to change, in both places; `changes_data` where that is in
    /// the data storage, which must then have the marker too. Where only databases or `arc.toml`
    /// change, a storage that can't be written is not a reason to fail.
    pub(crate) async fn applying(&self, sections: &[String], changes_data: bool) -> Result<()> {
        let text = self.text(APPLYING, sections, &[]);
        // Before it is written: a write that is broken off, or whose answer is lost, may have
        // succeeded.
        if self.unknown.is_none() {
            self.is_beside.store(true, Ordering::Relaxed);
        }
        match self.write_beside(&text).await {
            Ok(()) => {}
            Err(error) if changes_data => {
                return Err(error.context("the restore marker cannot be written beside the data"));
            }
            Err(error) => self.context.warn(format!(
                "the restore marker is in the state folder alone, as it can't be written beside the data ({error}): if this \
                 restore is interrupted, and the state folder is lost, nothing shows it"
            )),
        }
        Ok(write_atomically(
            &marker_path(&self.context.settings),
            &text,
        )?)
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

    /// Records the sections that are restored already. Where a full disk can't keep that, the
    /// restore continues.
    pub(crate) async fn done(&self, sections: &[String], done: &[String]) {
        let text = self.text(APPLYING, sections, done);
        if let Err(error) = write_atomically(&marker_path(&self.context.settings), &text) {
            tracing::warn!(%error, "cannot record which sections are restored");
        }
        if !self.is_beside.load(Ordering::Relaxed) {
            return;
        }
        // This can be done without: a store that no longer answers is not waited for.
        let beside = BesideData(&self.context.storage);
        let written = tokio::select! {
            written = tokio::time::timeout(ANSWER_TIMEOUT, beside.write(&text)) => written,
            () = self.context.running.cancel.cancelled() => return,
        };
        if let Ok(Err(error)) = written {
            tracing::warn!(%error, "cannot record beside the data which sections are restored");
        }
    }

    fn text(&self, phase: &str, sections: &[String], done: &[String]) -> Vec<u8> {
        let mut marker = RestoreInProgress {
            operation_id: self.context.operation_id.to_string(),
            backup_id: self.context.id.to_string(),
            sections: sections.to_vec(),
            databases: Vec::new(),
            except_databases: Vec::new(),
            folders: None,
            selection: None,
            new_instance: (self.context.new_instance.as_ref())
                .and_then(|new| Some(new.folder()?.display().to_string())),
            to_storage: (self.context.new_instance.as_ref())
                .and_then(|new| new.storage().map(str::to_owned)),
            over_existing: self.options.over_existing,
            rename: self.options.rename.clone(),
            done: done.to_vec(),
            phase: phase.to_owned(),
            written_at: Timestamp::now().to_string(),
            target: Some(self.context.repository.name().to_owned()),
            extra_files: self.options.extra_files,
            allow_incomplete: self.options.allow_incomplete,
            skip_damaged: self.options.skip_damaged,
            stage: Some(self.named_stage()),
            earlier: self.earlier(),
            undoes: self.undoes.clone(),
            // The record is written before the marker.
            can_be_undone: self.undoes.is_none()
                && phase == APPLYING
                && could_be_undone(&self.context.settings, &self.context.operation_id),
            exceeds_backup: false,
            unreadable: None,
        };
        marker.set_data_scope(&self.options.scope);
        if !marker.rename.is_empty() {
            marker.selection = DataSelection::of(self.options.backup_scope());
        }
        serde_json::to_vec(&marker).expect("plain data is valid JSON")
    }

    /// Removes the marker where nothing live has changed: one that this operation has written, or
    /// that of the staged files that it has taken over.
    pub(crate) async fn remove_own(&self) -> Result<()> {
        let settings = &self.context.settings;
        let is_own = any_marker(settings).is_some_and(|marker| {
            let stage = self.resumed.as_ref().map(ToString::to_string);
            marker.operation_id == *self.context.operation_id
                || marker.phase == STAGING && stage.is_some() && marker.stage == stage
        });
        if is_own {
            remove_marker(settings)?;
        }
        // Without reading it: a marker that was just written may not be visible yet, and no other
        // process has one there.
        if self.is_beside.load(Ordering::Relaxed) && !self.is_resuming() {
            BesideData(&self.context.storage).remove().await?;
        }
        Ok(())
    }

    /// Removes the marker in both places: the restore has ended. `changes_data` as when it was
    /// written.
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

/// The name under which an interrupted restore of the same backup has staged files that this one
/// can use, by the marker in the state folder. Their bytes are verified before they are used.
fn resumed_stage(context: &Context, options: &RestoreOptions) -> Option<OperationId> {
    if !options.includes(&Section::Data) || context.storage.staging().is_none() {
        return None;
    }
    let marker = any_marker(&context.settings)?;
    let is_same = marker.backup_id == context.id.as_str()
        && marker.target.as_deref() == Some(context.repository.name());
    // Staged files out of scope would stay where nothing names them.
    let covers =
        options.scope.covers_data_of(&marker.data_scope()) && is_same_renaming(&marker, options);
    let stage = marker.stage.filter(|_| is_same && covers)?;
    OperationId::parse(&stage).ok()
}

/// Refuses a restore that would omit a section of an interrupted one: the marker must stay until
/// all of them are restored.
pub(crate) fn check_covers_interrupted(
    marker: &RestoreMarker<'_>,
    sections: &[Section],
) -> Result<()> {
    let Some(interrupted) = marker.interrupted() else {
        return Ok(());
    };
    let context = marker.context;
    let config_place = || check_config_place(&context.settings.config_path);
    let mut omitted: Vec<_> = (interrupted.sections.iter())
        .map(String::as_str)
        .filter(|name| !sections.iter().any(|section| section.as_str() == *name))
        .collect();
    let config = Section::Config.as_str();
    if omitted.contains(&config)
        && let Err(error) = config_place()
    {
        // There must be a way out; and the live file is whole, or this program could not have read
        // it.
        omitted.retain(|name| *name != config);
        context.warn(format!(
            "{interrupted}; arc.toml stays as it is, as it can't be replaced: {error}"
        ));
    }
    let restores_data = sections.contains(&Section::Data);
    if omits_databases(interrupted, &marker.options.scope, restores_data) {
        omitted.push(other_data(interrupted, &marker.options.scope));
    }
    refuse_to_omit(interrupted, &omitted).map_err(Error::Failed)
}

/// Refuses, before anything is done, a restore whose options omit a part of the interrupted one:
/// staged files of that one are of use until it is completed. `arc.toml` is left to the later
/// check, as it can't always be replaced.
///
/// # Errors
/// The text says which part, and how the interrupted restore is completed.
pub(crate) fn check_options_cover(
    interrupted: &RestoreInProgress,
    options: &RestoreOptions,
) -> Result<(), String> {
    if !is_same_renaming(interrupted, options) {
        return Err(format!(
            "{interrupted}, and this one names its databases otherwise: {}",
            interrupted.remedy()
        ));
    }
    let sections = [Section::Data, Section::Metadata];
    let is_begun = |name: &str| interrupted.sections.iter().any(|one| one == name);
    let mut omitted: Vec<_> = (sections.iter())
        .filter(|section| !options.includes(section))
        .map(Section::as_str)
        .filter(|name| is_begun(name))
        .collect();
    if omits_databases(
        interrupted,
        &options.scope,
        options.includes(&Section::Data),
    ) {
        omitted.push(other_data(interrupted, &options.scope));
    }
    refuse_to_omit(interrupted, &omitted)
}

/// Whether a restore gives databases the same names as the interrupted one, of the same part.
fn is_same_renaming(interrupted: &RestoreInProgress, options: &RestoreOptions) -> bool {
    interrupted.rename == options.rename
        && (options.rename.is_empty()
            || interrupted.selection == DataSelection::of(options.backup_scope()))
}

/// What a message calls the data that is out of scope.
const OTHER_DATABASES: &str = "data of other databases";

/// The same, where one of the restores is of a part of databases.
const OTHER_DATA: &str = "other data";

fn other_data(interrupted: &RestoreInProgress, scope: &Scope) -> &'static str {
    match interrupted.selection.is_some() || scope.is_selective() {
        true => OTHER_DATA,
        false => OTHER_DATABASES,
    }
}

/// Whether a restore of data in `scope` omits data of the interrupted one.
fn omits_databases(interrupted: &RestoreInProgress, scope: &Scope, restores_data: bool) -> bool {
    let has_data = (interrupted.sections.iter()).any(|one| *one == *Section::Data.as_str());
    has_data && restores_data && !scope.covers_data_of(&interrupted.data_scope())
}

fn refuse_to_omit(interrupted: &RestoreInProgress, omitted: &[&str]) -> Result<(), String> {
    if omitted.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{interrupted}, and this one omits a part of it ({}): {}, or with one that restores these too",
        omitted.join(", "),
        interrupted.remedy()
    ))
}
