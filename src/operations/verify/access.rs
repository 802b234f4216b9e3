//! What an operation does with the files of a backup.

/// What an operation does with the files of a backup that it looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// They are read: objects in an archive tier cannot be.
    Read,
    /// They only have to be there, with the right size.
    ListOnly,
}
