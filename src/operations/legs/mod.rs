//! Backups over several targets: putting their legs together, and listing them.

pub(crate) mod assemble;
pub(crate) mod grouping;
pub(crate) mod locks;
