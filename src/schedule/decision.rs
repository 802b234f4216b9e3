//! What the machine decides.

use jiff::Timestamp;

use super::kept::{After, PendingCopy};

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Begin the run of this schedule.
    Run {
        name: String,
        scheduled_at: Timestamp,
    },
    /// Try this copy.
    Copy { name: String, copy: PendingCopy },
    /// Do what was to follow a backup when the service ended.
    Finish { name: String, after: After },
}

/// What was decided about scheduled times: those after `after`, and not after `until`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) name: String,
    pub(crate) after: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) what: Decided,
}

/// What becomes of a scheduled time that does not run itself.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Decided {
    /// It is one with a later run.
    Coalesced { into: Timestamp, reason: String },
    /// It never runs.
    Missed { reason: String },
}

/// A backup that a schedule began.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Begun {
    pub(crate) at: Timestamp,
    pub(crate) operation_id: String,
    /// Whether it has succeeded.
    pub(crate) is_completed: bool,
}
