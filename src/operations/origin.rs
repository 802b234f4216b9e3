//! The interface that an operation was requested on.

use crate::operations::named::named;

named! {
    /// The interface that an operation was requested on.
    #[derive(Default)]
    pub enum Origin {
        /// Over REST.
        Rest = "rest",
        /// By a schedule of the service; the actor is its name.
        Schedule = "schedule",
        /// On the command line.
        #[default]
        Cli = "cli",
    }
}
