//! The name of the tool's own folder.

/// The tool's own folder at the root of a target: locks, journals, notes, incomplete copies; and,
/// by default, the state of the instance.
pub(crate) const OWN_FOLDER: &str = ".arc-backup";
