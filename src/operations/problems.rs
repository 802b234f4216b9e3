//! What an operation finds wrong, file by file.

use std::collections::BTreeSet;
use std::sync::Arc;

use arc_backup_core::ErrorKind;

use crate::manifest::LegIndex;
use crate::operations::running::Running;
use crate::operations::{Problem, ProblemKind};
use crate::pipeline::CopyFault;
use crate::{Error, Result};

/// How many problems are listed one by one; all of them are counted.
pub(crate) const PROBLEM_LIMIT: usize = 10_000;

/// Paths of files, and of folders with all that is in them: those end with `/`.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathSet(BTreeSet<String>);

impl PathSet {
    /// Whether the file at `path` is one of them, or lies in a folder that is.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let mut folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
        self.0.contains(path) || folders.any(|folder| self.0.contains(folder))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What an operation has found wrong so far: how many problems there are, the first of them to be
/// shown, and every damaged file. Each problem is reported to the status; nothing is read from
/// there.
#[derive(Debug)]
pub(crate) struct Problems {
    running: Arc<Running>,
    count: u64,
    listed: Vec<Problem>,
    damaged: Arc<PathSet>,
    /// The targets of the legs of a run, and which leg holds each file.
    legs: Option<(Vec<String>, Arc<LegIndex>)>,
}

impl Problems {
    /// None yet; the status of `running` shows those that are found.
    pub(crate) fn new(running: &Arc<Running>) -> Self {
        Self {
            running: running.clone(),
            count: 0,
            listed: Vec::new(),
            damaged: Arc::default(),
            legs: None,
        }
    }

    /// The problems from here on name the target that holds the file.
    pub(crate) fn name_legs(&mut self, targets: Vec<String>, legs: &Arc<LegIndex>) {
        self.legs = (!targets.is_empty()).then(|| (targets, legs.clone()));
    }

    /// The same detail, with the target of the leg that holds the file at `path`.
    fn in_leg(&self, path: &str, detail: String) -> String {
        let target = (self.legs.as_ref())
            .and_then(|(targets, legs)| targets.get(legs.leg_of(path.trim_end_matches('/'))));
        match target {
            Some(target) => format!("{detail} (target {target:?})"),
            None => detail,
        }
    }

    /// Adds a problem that is not one of a file's bytes in the backup.
    pub(crate) fn add(
        &mut self,
        path: impl Into<String>,
        kind: ProblemKind,
        detail: impl Into<String>,
    ) {
        self.count += 1;
        if self.listed.len() < PROBLEM_LIMIT {
            let path = path.into();
            let problem = Problem {
                detail: self.in_leg(&path, detail.into()),
                path,
                kind,
            };
            self.listed.push(problem.clone());
            self.running
                .update(|operation| operation.problems.push(problem));
        }
        self.running
            .update(|operation| operation.problem_count = self.count);
    }

    /// Adds a file that is missing or damaged in the backup; a `path` with a `/` at its end is a
    /// folder with all that is in it.
    pub(crate) fn add_damaged(&mut self, path: &str, kind: ProblemKind, detail: impl Into<String>) {
        Arc::make_mut(&mut self.damaged).0.insert(path.to_owned());
        self.add(path, kind, detail);
    }

    /// Adds the fault of copying the file at `path`; returns whether the operation can continue.
    ///
    /// # Errors
    /// Where the operation is to end, and where a store does not answer or refuses for now: that is
    /// not a problem of the file.
    pub(crate) fn add_fault(&mut self, path: &str, fault: &CopyFault) -> Result<bool> {
        // What fails while the operation is ended fails because of that.
        self.running.progress.activity().note();
        if self.running.cancel.is_cancelled() {
            return Err(self.running.cancelled());
        }
        let kind = match fault {
            CopyFault::Cancelled => return Err(Error::Cancelled("cancelled".to_owned())),
            CopyFault::Read(error) | CopyFault::Write(error)
                if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Throttled) =>
            {
                return Err(Error::Failed(format!("{path}: {error}")));
            }
            CopyFault::Write(_) => {
                self.add(path, ProblemKind::Write, fault.to_string());
                return Ok(false);
            }
            CopyFault::Read(error) if error.kind() == ErrorKind::NotFound => ProblemKind::Missing,
            CopyFault::Read(_) => ProblemKind::Unreadable,
            CopyFault::Size { .. } => ProblemKind::Size,
            CopyFault::Checksum { .. } => ProblemKind::Checksum,
        };
        self.add_damaged(path, kind, fault.to_string());
        Ok(true)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first of them: at most [`PROBLEM_LIMIT`].
    pub(crate) fn listed(&self) -> &[Problem] {
        &self.listed
    }

    /// Every file that is missing or damaged in the backup, as far as is known now.
    pub(crate) fn damaged(&self) -> Arc<PathSet> {
        self.damaged.clone()
    }

    /// Fails where there are any.
    pub(crate) fn failure(&self, message: &str) -> Result<()> {
        self.failure_since(0, message)
    }

    /// Fails where there are more than those `known`.
    pub(crate) fn failure_since(&self, known: u64, message: &str) -> Result<()> {
        let count = self.count.saturating_sub(known);
        if count == 0 {
            return Ok(());
        }
        let more = match count {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let first = usize::try_from(known).map_or(None, |known| self.listed.get(known));
        let first = first.map_or_else(String::new, |first| {
            format!(": {}: {}", first.path, first.detail)
        });
        Err(Error::Failed(format!("{message}{first}{more}")))
    }
}
