//! What an undo does with one file of the data, by what is live and what is set aside.

use std::sync::Arc;

use arc_backup_core::{Activity, AsideObject, Key, Meta, Sink};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::operations::undo::changes::moved;
use crate::operations::undo::interrupted::Interrupted;
use crate::operations::undo::lines::{ChangeLine, VersionLine};
use crate::source::{Aside, live_digest};

/// What becomes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum UndoAction {
    /// The restore brought it: it is set aside.
    Remove,
    /// What was set aside by the run of this number is put in its place.
    PutBack(usize),
}

/// One step, with what is live before it and after it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct UndoStep {
    pub(crate) action: UndoAction,
    #[serde(flatten)]
    pub(crate) change: ChangeLine,
}

/// What was found out of a file.
pub(crate) enum Decision {
    /// It is as it was before the restore.
    AsBefore,
    Step(UndoStep),
    /// The restore can't be taken back, for this reason.
    Refused(String),
}

/// Where files of the data are, and were set aside.
pub(crate) struct Places {
    pub(crate) storage: Arc<dyn Sink>,
    /// By the runs of the restore, from the first.
    pub(crate) runs: Vec<Aside>,
    /// By interrupted undos of it.
    pub(crate) undos: Vec<Aside>,
    /// Whether the restore has ended: then all that it was to bring was there.
    pub(crate) is_finished: bool,
    /// Whether an interrupted undo has put everything back.
    pub(crate) is_taken_back: bool,
    /// What it has brought, where it was interrupted after its first change.
    pub(crate) interrupted: Option<Interrupted>,
    pub(crate) activity: Activity,
    pub(crate) cancel: CancellationToken,
}

const GONE: &str = "the restore brought it, and it is gone: compaction has probably merged its rows into another file";
const APPEARED: &str = "a file of the same name appeared during the restore, and was set aside";
const CHANGED: &str = "it was changed after the restore";
const LOST: &str = "what was live before the restore is no longer set aside";

impl Places {
    /// Decides what becomes of the file of a change.
    pub(crate) async fn decide(&self, change: ChangeLine) -> Result<Decision> {
        self.activity.note();
        if self.is_taken_back {
            return Ok(Decision::AsBefore);
        }
        let refused = |reason: &str| Ok(Decision::Refused(reason.to_owned()));
        let Some(key) = change.parsed_key().filter(|_| !change.cold) else {
            return refused(
                "it is of Arc's cold tier, and what a restore changes there can't be taken back",
            );
        };
        let live = self.storage.head(&key).await?;
        let Some(before) = &change.before else {
            let (Some(live), Some(after)) = (live, &change.after) else {
                let is_gone = change.after.is_some()
                    && !self.was_undone(&key).await?
                    && self.was_brought(&key).await?;
                return match is_gone {
                    true => refused(GONE),
                    false => Ok(Decision::AsBefore),
                };
            };
            // A later run sets aside what an earlier one brought.
            if self.runs.len() == 1 && self.set_aside(&key).await?.is_some() {
                return refused(APPEARED);
            }
            return match self.is_version(&live, after).await? {
                true => Ok(step(UndoAction::Remove, &change, Some(&live), None)),
                false => refused(CHANGED),
            };
        };
        let Some((run, aside)) = self.set_aside(&key).await? else {
            // Not replaced, or not yet.
            return match &live {
                Some(live) if self.is_untouched(live, before) => Ok(Decision::AsBefore),
                _ => refused(LOST),
            };
        };
        let put_back = UndoAction::PutBack(run);
        match (live, &change.after) {
            (_, _) if aside.is_live => Ok(Decision::AsBefore),
            (None, None) => Ok(step(put_back, &change, None, Some(before))),
            (None, Some(_)) => refused(GONE),
            (Some(live), after) => {
                let is_brought = match after {
                    Some(after) => self.is_version(&live, after).await?,
                    None => false,
                };
                if is_brought {
                    return Ok(step(put_back, &change, Some(&live), Some(before)));
                }
                // A copy whose tag and sums do not show what it is a copy of.
                if live.size == aside.size && self.was_undone(&key).await? {
                    return Ok(Decision::AsBefore);
                }
                match after {
                    Some(_) => refused(CHANGED),
                    None => refused("a file of the same name was written after the restore"),
                }
            }
        }
    }

    /// Whether the restore may have brought this absent file.
    async fn was_brought(&self, key: &Key) -> Result<bool> {
        match &self.interrupted {
            Some(interrupted) => interrupted.may_have_brought(&*self.storage, key).await,
            None => Ok(self.is_finished),
        }
    }

    /// What the runs of the restore set aside at the key: the first has what was there before.
    async fn set_aside(&self, key: &Key) -> Result<Option<(usize, AsideObject)>> {
        for (number, run) in self.runs.iter().enumerate() {
            if let Some(found) = run.look(key).await? {
                return Ok(Some((number, found)));
            }
        }
        Ok(None)
    }

    /// Whether an interrupted undo has set the file aside that the restore brought.
    async fn was_undone(&self, key: &Key) -> Result<bool> {
        for undo in &self.undos {
            if undo.look(key).await?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the live file is the one that was there before, as far as a listing shows it.
    fn is_untouched(&self, live: &Meta, before: &VersionLine) -> bool {
        let is_same_tag = before.etag.is_some() && before.etag == live.etag;
        live.size == before.size && (is_same_tag || self.has_time(live, before))
    }

    fn has_time(&self, live: &Meta, version: &VersionLine) -> bool {
        let keeps = self.storage.properties().keeps_attributes;
        keeps && version.modified.is_some() && version.time() == live.modified
    }

    /// Whether the live file is this version; it is read where nothing else shows that.
    async fn is_version(&self, live: &Meta, version: &VersionLine) -> Result<bool> {
        if live.size != version.size {
            return Ok(false);
        }
        if self.is_untouched(live, version) {
            return Ok(true);
        }
        let Some(wanted) = &version.sha256 else {
            // Nothing shows more, as of a backup of Arc's own.
            return Ok(true);
        };
        let (cancel, activity) = (&self.cancel, &self.activity);
        let found = live_digest(&*self.storage, &live.key, cancel, activity).await?;
        Ok(found.is_some_and(|digest| digest.to_string() == *wanted))
    }
}

fn step(
    action: UndoAction,
    change: &ChangeLine,
    live: Option<&Meta>,
    back: Option<&VersionLine>,
) -> Decision {
    let before = live.map(|live| VersionLine {
        sha256: (change.after.as_ref()).and_then(|after| after.sha256.clone()),
        ..VersionLine::from(&live.into())
    });
    Decision::Step(UndoStep {
        action,
        change: ChangeLine {
            key: change.key.clone(),
            cold: false,
            before,
            after: back.map(moved),
        },
    })
}
