//! What a local sink is configured with.

use std::path::PathBuf;

/// The settings of a [`LocalSink`](crate::LocalSink).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocalConfig {
    /// The root folder. It need not exist: the first write creates it. It may be a symbolic link to
    /// a folder. A relative path is taken from the working directory at the time the sink is made.
    pub root: PathBuf,
    /// Whether new folders get the permission bits of the root, and a root that is made those of
    /// the folder above it: for a storage that others read too, as Arc reads its data. Else they
    /// are private to the owner (`0700`).
    pub folders_like_root: bool,
}

impl LocalConfig {
    /// The settings for the folder `root`.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            folders_like_root: false,
        }
    }
}
