//! The options of a verification.

use arc_backup_core::Scope;

use crate::operations::verify::mode::VerifyMode;
use crate::{Error, Result};

/// The options of a verification: how much it reads, and of what.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// How much of the files in scope is read.
    pub mode: VerifyMode,
    /// The scope: by default everything. Other files are not looked at, and the backup does not
    /// count as verified.
    pub scope: Scope,
}

impl From<VerifyMode> for VerifyOptions {
    fn from(mode: VerifyMode) -> Self {
        Self {
            mode,
            scope: Scope::whole(),
        }
    }
}

impl VerifyOptions {
    /// A verification of this scope.
    ///
    /// # Errors
    /// [`Error::Invalid`] of a sample of a part: samples continue each other over whole backups.
    pub fn new(mode: VerifyMode, scope: Scope) -> Result<Self> {
        if !scope.is_whole() && matches!(mode, VerifyMode::Sample(_)) {
            return Err(Error::Invalid(
                "a sample is one of a whole backup: it can't be limited to a part of it".to_owned(),
            ));
        }
        Ok(Self { mode, scope })
    }
}
