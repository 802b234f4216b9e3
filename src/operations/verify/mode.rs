//! The modes of a verification.

use crate::operations::verify::check_for::CheckFor;

/// How much of a backup a verification reads.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum VerifyMode {
    /// Every byte.
    Full,
    /// No bytes: only the listing is compared with the inventory.
    Quick,
    /// A share of the files, 0.05 for a twentieth. Consecutive samples read different files, and
    /// all of them in turn.
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
