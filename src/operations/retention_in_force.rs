//! The rules of retention that are in force: a service takes up a changed file without a restart.

use std::sync::{Mutex, PoisonError};

use crate::Result;
use crate::config::{RetentionSettings, Settings};
use crate::operations::ArcBackup;

/// The rules of a file that was read later than the engine's settings; `None`: there is none.
#[derive(Debug, Default)]
pub(crate) struct RetentionInForce(Mutex<Option<RetentionSettings>>);

impl ArcBackup {
    /// Returns the rules of targets and schedules that are in force.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) for a wrong schedule: which rules it has is unknown.
    pub fn retention(&self) -> Result<RetentionSettings> {
        let later = self.retention.0.lock();
        match &*later.unwrap_or_else(PoisonError::into_inner) {
            Some(later) => Ok(later.clone()),
            None => self.settings.retention_of_all(),
        }
    }

    /// Puts the rules of these settings in force.
    ///
    /// # Errors
    /// As [`ArcBackup::retention`]; then the rules stay as they were.
    pub fn take_up_retention(&self, settings: &Settings) -> Result<()> {
        let rules = settings.retention_of_all()?;
        *self
            .retention
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(rules);
        Ok(())
    }
}
