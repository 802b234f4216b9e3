//! Backups over several targets: routing, putting their legs together, and listing them.

pub(crate) mod assemble;
pub(crate) mod dead;
pub(crate) mod grouping;
pub(crate) mod leases;
pub(crate) mod locks;
pub(crate) mod routing;
