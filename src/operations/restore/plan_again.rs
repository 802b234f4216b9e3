//! Planning again where compaction changed the data after a restore, or an undo, was planned.
//!
//! Staged files are kept, so that the time between a later plan and the first change is short.

use crate::operations::context::Context;
use crate::operations::restore::arc_idle::RunningArc;
use crate::{Error, Result};

/// How many times one restore plans again. An Arc that compacts each time has to be stopped.
const MOST_TIMES: u32 = 3;

/// Counts the plans of one restore.
pub(crate) struct PlanAgain<'a> {
    context: &'a Context,
    times: u32,
}

impl<'a> PlanAgain<'a> {
    pub(crate) fn new(context: &'a Context) -> Self {
        Self { context, times: 0 }
    }

    /// Whether the plan is obsolete and another one must be made. A warning says so.
    ///
    /// # Errors
    /// Where that was done often enough.
    pub(crate) async fn is_necessary(&mut self, arc: Option<&RunningArc<'_>>) -> Result<bool> {
        let Some(arc) = arc else {
            return Ok(false);
        };
        let Some(change) = arc.compacted_since().await? else {
            return Ok(false);
        };
        if self.times == MOST_TIMES {
            return Err(Error::Failed(format!(
                "compaction may have changed the data after the restore was planned, each of {} times ({change}); stop Arc, \
                 or wait until its compaction is idle, and run the restore again",
                MOST_TIMES + 1
            )));
        }
        self.times += 1;
        self.context.warn(format!(
            "compaction may have changed the data after the restore was planned ({change}); it was planned again ({} of at \
             most {MOST_TIMES} times)",
            self.times
        ));
        Ok(true)
    }
}
