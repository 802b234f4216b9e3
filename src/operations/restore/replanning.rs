//! Planning again where compaction changed the data after a restore, or an undo, was planned.
//!
//! Staged files are kept, so that the time between a later plan and the first change is short.

use crate::operations::context::Context;
use crate::operations::restore::arc_idle::RunningArc;
use crate::{Error, Result};

/// How many times one operation plans again. An Arc that compacts each time has to be stopped.
const MOST_TIMES: u32 = 3;

/// The plans of one operation that became obsolete.
pub(crate) struct Replanning<'a> {
    context: &'a Context,
    times: u32,
    /// What made the last plan obsolete, until there is another one.
    obsolete: Option<String>,
}

impl<'a> Replanning<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self {
            context,
            times: 0,
            obsolete: None,
        }
    }

    /// Whether the plan is obsolete and another one must be made.
    ///
    /// # Errors
    /// Where that was so often enough.
    pub(crate) async fn is_necessary(&mut self, arc: Option<&RunningArc<'_>>) -> Result<bool> {
        let Some(arc) = arc else {
            return Ok(false);
        };
        let Some(change) = arc.compacted_since().await? else {
            return Ok(false);
        };
        if self.times == MOST_TIMES {
            let kind = self.context.running.kind();
            return Err(Error::Failed(format!(
                "compaction may have changed the data after the {kind} was planned, each of {} times ({change}); stop Arc, or \
                 wait until its compaction is idle, and run the {kind} again",
                MOST_TIMES + 1
            )));
        }
        self.times += 1;
        self.obsolete = Some(change);
        Ok(true)
    }

    /// Reports, as a warning, that there is another plan.
    pub(crate) fn planned(&mut self) {
        let Some(change) = self.obsolete.take() else {
            return;
        };
        let kind = self.context.running.kind();
        self.context.warn(format!(
            "compaction may have changed the data after the {kind} was planned ({change}); it was planned again ({} of at most \
             {MOST_TIMES} times)",
            self.times
        ));
    }
}
