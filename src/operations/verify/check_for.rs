//! What the files of a backup are checked for.

/// What the files of a backup are checked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CheckFor {
    /// They are read: objects in an archive tier cannot be.
    Reading,
    /// They only have to be there, with the right size.
    Presence,
}

/// What becomes of a backup whose list of files, written by Arc, is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnBadList {
    /// It can't be read.
    Fail,
    /// Its files are those that the target lists, without checksums.
    DoWithout,
}
