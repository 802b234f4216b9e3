//! The phases of operations.

/// What an operation may be doing, as its status says it.
pub const PHASES: [&str; 16] = [
    "preparing",
    "cleaning up",
    "continuing",
    "flushing",
    "listing",
    "waiting for Arc's compaction",
    "copying",
    "publishing",
    "checking",
    "staging",
    "verifying",
    "applying",
    "checking what was restored",
    "reading the inventory",
    "reading",
    "deleting",
];
