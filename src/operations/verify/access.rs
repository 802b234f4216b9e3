//! How an operation accesses the files of a backup.

/// How an operation accesses the files of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// They are read, so they must not be in an archive tier.
    Read,
    /// They are only listed, and their sizes compared.
    ListOnly,
}
