//! The settings under `[backup]` and `[arc_backup]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arc_server::{ArcServer, arc_server};
use super::values::Values;
use super::warning::Warning;
use crate::Result;

/// What is kept of the history of operations.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimits {
    /// How many operations, the newest.
    pub operations: u64,
    /// For how long.
    pub age: Duration,
}

/// The keys under `[backup]`.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// `backup.enabled`, default true.
    pub enabled: bool,
    /// `backup.local_path`, default `./data/backups`.
    pub local_path: PathBuf,
    /// `backup.listen`, default `127.0.0.1:8001`.
    pub listen: String,
    /// `backup.timeout` of an operation, default 2 h; `None`, which is 0 there, is no limit.
    pub timeout: Option<Duration>,
    /// `backup.stop_timeout`: how long an operation that is to end may take for that, default 10 s.
    pub stop_timeout: Duration,
    /// `backup.stall_timeout`: how long an operation may go without any progress, default 10 min.
    pub stall_timeout: Duration,
    /// `arc_backup.check_max_age`, or `backup.check_max_age`: how old the newest good backup may be
    /// for `check`, default 26 h.
    pub check_max_age: Duration,
    /// `backup.history_operations`, default 10,000, and `backup.history_age`, default 365 days: how
    /// much of the history is kept.
    pub history: HistoryLimits,
    /// `backup.include_metadata`, default true.
    pub include_metadata: bool,
    /// `backup.include_config`, default true.
    pub include_config: bool,
    /// `backup.require_flush`, default false: a backup before which Arc could not be flushed fails.
    pub require_flush: bool,
    /// `backup.state_path`, default `<backup.local_path>/.arc-backup/history.db`.
    pub state_path: PathBuf,
    /// `backup.default_target`, default `local`.
    pub default_target: String,
    /// `backup.concurrency`: files copied at once; by default 8, or more for a remote store.
    pub concurrency: Option<usize>,
    /// `backup.arc_url` and `backup.arc_token`: the Arc to flush before a backup.
    pub arc: Option<ArcServer>,
}

impl BackupSettings {
    /// The keys under `[backup]` and `[arc_backup]`.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the key, the value and what is allowed.
    pub(super) fn read(values: &Values, warnings: &mut Vec<Warning>) -> Result<Self> {
        let local_path = values.path("backup.local_path", "./data/backups")?;
        Ok(Self {
            enabled: values.bool("backup.enabled", true)?,
            listen: values
                .text("backup.listen")?
                .unwrap_or_else(|| "127.0.0.1:8001".to_owned()),
            timeout: values.time_limit("backup.timeout", Duration::from_secs(2 * 3600))?,
            stop_timeout: values.duration("backup.stop_timeout", Duration::from_secs(10))?,
            stall_timeout: values.duration("backup.stall_timeout", Duration::from_secs(600))?,
            check_max_age: values.duration(
                match values.get("arc_backup.check_max_age") {
                    Some(_) => "arc_backup.check_max_age",
                    None => "backup.check_max_age",
                },
                Duration::from_secs(26 * 3600),
            )?,
            history: HistoryLimits {
                operations: values.number("backup.history_operations", 10_000, 1, 1_000_000)?,
                age: values.duration("backup.history_age", Duration::from_secs(365 * 86_400))?,
            },
            include_metadata: values.bool("backup.include_metadata", true)?,
            include_config: values.bool("backup.include_config", true)?,
            require_flush: values.bool("backup.require_flush", false)?,
            state_path: match values.text("backup.state_path")? {
                Some(_) => values.path("backup.state_path", "")?,
                None => super::state::default_path(&local_path),
            },
            default_target: values
                .text("backup.default_target")?
                .unwrap_or_else(|| "local".to_owned()),
            // At most 256: each copy under way holds a piece of 256 KiB and two descriptors.
            concurrency: match values.get("backup.concurrency") {
                Some(_) => usize::try_from(values.number("backup.concurrency", 8, 1, 256)?).ok(),
                None => None,
            },
            arc: arc_server(values, warnings)?,
            local_path,
        })
    }

    /// The folder of history, locks and scratch files.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        match self.state_path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}
