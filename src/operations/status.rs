//! How an operation stands.

use crate::operations::named::named;

named! {
    /// How an operation stands.
    #[derive(Default)]
    pub enum Status {
        /// It runs.
        #[default]
        Running = "running",
        /// It did all it was asked to.
        Completed = "completed",
        /// It did not, and `error` says why.
        Failed = "failed",
        /// It was asked to end before it was done: by a cancel, or by a signal to its process.
        /// `error` says by whom.
        Cancelled = "cancelled",
    }
}
