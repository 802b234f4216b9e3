//! The status of an operation.

use crate::operations::named::named;

named! {
    /// The status of an operation.
    #[derive(Default)]
    pub enum Status {
        /// It is running.
        #[default]
        Running = "running",
        /// It succeeded.
        Completed = "completed",
        /// It failed; `error` says why.
        Failed = "failed",
        /// It was cancelled by a request, or by a signal to its process; `error` says by whom.
        Cancelled = "cancelled",
    }
}
