//! How thorough a verification is.

use crate::operations::verify::check_for::CheckFor;

/// How much of a backup is read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VerifyMode {
    /// Every byte.
    Full,
    /// None: every file is there, with its size, and nothing else.
    Quick,
    /// A share of the files, 0.05 for a twentieth: those whose turn it is, so that samples in turn read all.
    Sample(f64),
}

impl VerifyMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Quick => "quick",
            Self::Sample(_) => "sample",
        }
    }

    pub(crate) fn checks_for(self) -> CheckFor {
        match self {
            Self::Quick => CheckFor::Presence,
            Self::Full | Self::Sample(_) => CheckFor::Reading,
        }
    }

    pub(crate) fn share(self) -> Option<f64> {
        match self {
            Self::Sample(share) => Some(share),
            Self::Full | Self::Quick => None,
        }
    }
}
