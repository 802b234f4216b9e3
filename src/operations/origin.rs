//! The interface that an operation was requested on.

use crate::operations::named::named;

named! {
    /// The interface that an operation was requested on.
    #[derive(Default)]
    pub enum Origin {
        /// Over REST.
        Rest = "rest",
        /// On the command line.
        #[default]
        Cli = "cli",
    }
}
