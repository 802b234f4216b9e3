//! The rules of retention that are in force: a service takes up a changed file without a restart.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Result;
use crate::config::{RetentionSettings, Settings};

/// What a prune goes by beside the engine's settings.
#[derive(Debug, Default)]
pub(crate) struct RetentionInForce {
    /// The rules of a file that was read later than the settings; `None`: there is none.
    later: Mutex<Option<RetentionSettings>>,
}

impl RetentionInForce {
    fn later(&self) -> MutexGuard<'_, Option<RetentionSettings>> {
        self.later.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The rules of the later file, else of these settings.
    pub(crate) fn get(&self, settings: &Settings) -> Result<RetentionSettings> {
        let later = self.later().clone();
        later.map_or_else(|| settings.retention_of_all(), Ok)
    }

    /// Puts the rules of these settings in force. Where they are wrong, all stays as it was.
    pub(crate) fn take_up(&self, settings: &Settings) -> Result<()> {
        let rules = settings.retention_of_all()?;
        *self.later() = Some(rules);
        Ok(())
    }
}
