//! Where an operation was asked for.

use crate::operations::named::named;

named! {
    /// Where an operation was asked for.
    #[derive(Default)]
    pub enum Origin {
        /// Over REST.
        Rest = "rest",
        /// On the command line.
        #[default]
        Cli = "cli",
    }
}
