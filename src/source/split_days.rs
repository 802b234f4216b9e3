//! Files of whole days, of which a restore of some hours must not change a part.

use arc_backup_core::{Error, ErrorKind, Key, Result, Scope};
use jiff::Timestamp;

use super::compaction::is_job_state;
use super::parquet_restore::ParquetRestore;

impl ParquetRestore {
    /// Refuses to change the file of a day of which the time range has only a part: the rows of the
    /// other hours would go with it, or come twice.
    pub(super) fn check_unsplit(&self, key: &Key) -> Result<()> {
        let scope = &self.staging.scope;
        // The state of a job goes with its partition: it has no rows.
        // Where nothing else is live, no rows of other hours are there that they could meet.
        if self.staging.is_new || !scope.splits(key) || is_job_state(key) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Invalid,
            "restore",
            format!("{}/{key}", self.section),
            format!(
                "it has the rows of a whole day and is not the same live and in the backup, and the time range has only a \
                 part of that day: restore whole days ({})",
                whole_days(scope)
            ),
        ))
    }
}

/// The options that restore the whole days that the time range has parts of.
fn whole_days(scope: &Scope) -> String {
    let days = scope.time().whole_days();
    let date = |moment: Timestamp| moment.strftime("%Y-%m-%d");
    let from = (days.from()).map(|from| format!("--from {}", date(from)));
    let until = (days.until()).map(|until| format!("--until {}", date(until)));
    let options: Vec<String> = from.into_iter().chain(until).collect();
    options.join(" ")
}
