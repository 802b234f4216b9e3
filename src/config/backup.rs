//! The settings under `[backup]` and `[arc_backup]`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_backup_core::Secrets;

use super::arc_server::{ArcServer, arc_server};
use super::backups_folder::local_path;
use super::targets::default_target;
use super::values::Values;
use super::warning::Warning;
use crate::Result;
use crate::backup_type::BackupType;

/// What a backup does with `arc.toml`, unless the request says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncludeConfig {
    /// It is in the backup: with its secrets where the target is on local disk, without them where
    /// the target is remote.
    ByTarget,
    /// It is in the backup as it is.
    Whole,
    /// It is in the backup, with the names of variables in place of its secrets.
    Redacted,
    /// It is not in the backup.
    Omitted,
}

impl IncludeConfig {
    /// The values of `include_config`, for people.
    pub(crate) const VALUES: &str = "true, false or \"redacted\"";
    /// The value that asks for [`IncludeConfig::Redacted`].
    pub(crate) const REDACTED: &str = "redacted";

    fn read(values: &Values) -> Result<Self> {
        let key = values.own("include_config");
        match values.get(&key) {
            None => Ok(Self::ByTarget),
            Some(toml::Value::String(text)) if text.trim().eq_ignore_ascii_case(Self::REDACTED) => {
                Ok(Self::Redacted)
            }
            Some(_) => match values.bool(&key, true) {
                Ok(true) => Ok(Self::Whole),
                Ok(false) => Ok(Self::Omitted),
                Err(_) => Err(values.wrong(&key, Self::VALUES)),
            },
        }
    }

    /// Whether `arc.toml` is in a backup.
    #[must_use]
    pub fn includes(self) -> bool {
        self != Self::Omitted
    }

    /// Whether secrets stay in it; `None`: that is decided by the target.
    #[must_use]
    pub fn secrets(self) -> Option<Secrets> {
        match self {
            Self::ByTarget | Self::Omitted => None,
            Self::Whole => Some(Secrets::Include),
            Self::Redacted => Some(Secrets::Redact),
        }
    }
}

/// What is kept of the history of operations.
#[derive(Debug, Clone, Copy)]
pub struct HistoryLimits {
    /// How many operations, the newest.
    pub operations: u64,
    /// For how long.
    pub age: Duration,
}

/// The keys under `[backup]`; each may stand under `[arc_backup]` too, and that wins.
#[derive(Debug, Clone)]
pub struct BackupSettings {
    /// Whether `serve` serves: `arc_backup.enabled`, else `backup.enabled`, default true.
    pub enabled: bool,
    /// The key of these two that is in force.
    pub enabled_key: String,
    /// `backup.local_path`, default `./data/backups`.
    pub local_path: PathBuf,
    /// `backup.listen`, default `127.0.0.1:8001`.
    pub listen: String,
    /// `backup.timeout`, or Arc's `backup.operation_timeout`, of an operation, default 2 h; `None`,
    /// which is 0 there, is no limit.
    pub timeout: Option<Duration>,
    /// `backup.stop_timeout`: how long an operation that is to end may take for that, default 10 s.
    pub stop_timeout: Duration,
    /// `backup.stall_timeout`: how long an operation may go without any progress, default 10 min.
    pub stall_timeout: Duration,
    /// `backup.check_max_age`: how old the newest good backup may be for `check`, default 26 h.
    pub check_max_age: Duration,
    /// `backup.history_operations`, default 10,000, and `backup.history_age`, default 365 days: how
    /// much of the history is kept.
    pub history: HistoryLimits,
    /// `backup.include_metadata`, default true.
    pub include_metadata: bool,
    /// `backup.include_config`, by default as the target is.
    pub include_config: IncludeConfig,
    /// `arc_backup.mode`, default `full`: whether backups reuse the unchanged files of an earlier
    /// one.
    pub mode: BackupType,
    /// `arc_backup.rehash_share`: which share of the reused files an incremental backup reads
    /// again, 0.03 for `"3%"`; `None`: none.
    pub rehash_share: Option<f64>,
    /// `arc_backup.keep_set_aside`: how long what restores have set aside is kept; `None`: until
    /// somebody removes it.
    pub keep_set_aside: Option<Duration>,
    /// `backup.require_flush`, default false: a backup before which Arc could not be flushed fails.
    pub require_flush: bool,
    /// `backup.state_path`, default `<backup.local_path>/.arc-backup/history.db`.
    pub state_path: PathBuf,
    /// `backup.default_target`, default `local`.
    pub default_target: String,
    /// `arc_backup.copy_to`: the targets that each backup is copied to when it has been made.
    pub copy_to: Vec<String>,
    /// `backup.concurrency`: files copied at once; by default 8, or more for a remote store.
    pub concurrency: Option<usize>,
    /// `backup.arc_url` and `backup.arc_token`: the Arc to flush before a backup.
    pub arc: Option<ArcServer>,
}

impl BackupSettings {
    /// The keys under `[backup]` and `[arc_backup]`. `targets` are the names of those with a table.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) names the key, the value and what is allowed.
    pub(super) fn read(
        values: &Values,
        targets: &[String],
        warnings: &mut Vec<Warning>,
    ) -> Result<Self> {
        let own = |name| values.own(name);
        let local_path = local_path(values, targets.iter())?;
        let enabled_key = own("enabled");
        Ok(Self {
            enabled: values.bool(&enabled_key, true)?,
            enabled_key,
            listen: values
                .text(&own("listen"))?
                .unwrap_or_else(|| "127.0.0.1:8001".to_owned()),
            timeout: timeout(values)?,
            stop_timeout: values.duration(&own("stop_timeout"), Duration::from_secs(10))?,
            stall_timeout: values.duration(&own("stall_timeout"), Duration::from_secs(600))?,
            check_max_age: values
                .duration(&own("check_max_age"), Duration::from_secs(26 * 3600))?,
            history: HistoryLimits {
                operations: values.number(&own("history_operations"), 10_000, 1, 1_000_000)?,
                age: values.duration(&own("history_age"), Duration::from_secs(365 * 86_400))?,
            },
            include_metadata: values.bool(&own("include_metadata"), true)?,
            include_config: IncludeConfig::read(values)?,
            mode: mode(values)?,
            rehash_share: rehash_share(values)?,
            keep_set_aside: keep_set_aside(values)?,
            require_flush: values.bool(&own("require_flush"), false)?,
            state_path: match values.text(&own("state_path"))? {
                Some(_) => values.path(&own("state_path"), "")?,
                None => super::state::default_path(&local_path),
            },
            default_target: default_target(values, targets.iter())?,
            copy_to: values.names(&own("copy_to"))?,
            // At most 256: each copy under way holds a piece of 256 KiB and two descriptors.
            concurrency: match values.get(&own("concurrency")) {
                Some(_) => usize::try_from(values.number(&own("concurrency"), 8, 1, 256)?).ok(),
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

fn mode(values: &Values) -> Result<BackupType> {
    const KEY: &str = "arc_backup.mode";
    match values.text(KEY)? {
        None => Ok(BackupType::Full),
        Some(word) => BackupType::parse(word.trim())
            .ok_or_else(|| values.wrong(KEY, "\"full\" or \"incremental\"")),
    }
}

/// How long what restores have set aside is kept.
fn keep_set_aside(values: &Values) -> Result<Option<Duration>> {
    const KEY: &str = "arc_backup.keep_set_aside";
    match values.get(KEY) {
        None => Ok(None),
        Some(_) => values.duration(KEY, Duration::ZERO).map(Some),
    }
}

fn rehash_share(values: &Values) -> Result<Option<f64>> {
    const KEY: &str = "arc_backup.rehash_share";
    let Some(text) = values.text(KEY)? else {
        return Ok(None);
    };
    let percent = text.trim().strip_suffix('%').map(str::trim_end);
    match percent.and_then(|percent| percent.parse::<f64>().ok()) {
        Some(0.0) => Ok(None),
        Some(percent) if percent > 0.0 && percent <= 100.0 => Ok(Some(percent / 100.0)),
        _ => Err(values.wrong(KEY, "a share from \"0%\" to \"100%\", such as \"3%\"")),
    }
}

/// `backup.timeout`; where it is not set, Arc's `backup.operation_timeout`.
fn timeout(values: &Values) -> Result<Option<Duration>> {
    let (key, of_arc) = (values.own("timeout"), values.own("operation_timeout"));
    let default = Duration::from_secs(2 * 3600);
    // One that is not valid is an error, whether it is used or not.
    let of_arc = values.go_time_limit(&of_arc, default)?;
    match values.get(&key) {
        Some(_) => values.time_limit(&key, default),
        None => Ok(of_arc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<BackupSettings> {
        let values = Values::parse(text, "arc.toml", [])?;
        BackupSettings::read(&values, &[], &mut Vec::new())
    }

    /// Guards against a limit that is another one than the operator wrote.
    #[test]
    fn arcs_timeout_is_used_where_ours_is_not_set() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        for (text, expected) in [
            ("", hours(2)),
            ("[backup]\noperation_timeout = \"3h\"\n", hours(3)),
            (
                "[backup]\noperation_timeout = \"1h30m\"\n",
                Some(Duration::from_secs(5400)),
            ),
            (
                "[backup]\noperation_timeout = \"1.5h\"\n",
                Some(Duration::from_secs(5400)),
            ),
            ("[backup]\noperation_timeout = \"0s\"\n", None),
            (
                "[backup]\noperation_timeout = \"3h\"\ntimeout = \"4h\"\n",
                hours(4),
            ),
            (
                "[backup]\noperation_timeout = \"3h\"\n[arc_backup]\ntimeout = \"5h\"\n",
                hours(5),
            ),
            (
                "[backup]\ntimeout = \"4h\"\n[arc_backup]\ntimeout = \"5h\"\n",
                hours(5),
            ),
        ] {
            assert_eq!(read(text).expect(text).timeout, expected, "{text}");
        }
        for wrong in ["7200", "\"2d\"", "\"2\"", "\"-2h\"", "\"100ms\"", "true"] {
            let text = format!("[backup]\ntimeout = \"1h\"\noperation_timeout = {wrong}\n");
            let error = read(&text).expect_err(wrong).to_string();
            assert!(error.contains("`backup.operation_timeout`"), "{error}");
        }
    }

    /// Guards against: backups of another type than the operator wrote.
    #[test]
    fn the_type_of_backups_and_the_share_to_read_anew_are_read() {
        for (text, mode, share) in [
            ("", BackupType::Full, None),
            ("mode = \"incremental\"", BackupType::Incremental, None),
            (
                "mode = \"full\"\nrehash_share = \"3%\"",
                BackupType::Full,
                Some(0.03),
            ),
            ("rehash_share = \"0%\"", BackupType::Full, None),
            ("rehash_share = \"100 %\"", BackupType::Full, Some(1.0)),
        ] {
            let read = read(&format!("[arc_backup]\n{text}\n")).expect(text);
            assert_eq!((read.mode, read.rehash_share), (mode, share), "{text}");
        }
        for (wrong, named) in [
            ("mode = \"differential\"", "`arc_backup.mode`"),
            ("rehash_share = \"3\"", "`arc_backup.rehash_share`"),
            ("rehash_share = \"101%\"", "`arc_backup.rehash_share`"),
            ("rehash_share = \"-1%\"", "`arc_backup.rehash_share`"),
            ("rehash_share = \"NaN%\"", "`arc_backup.rehash_share`"),
        ] {
            let error = read(&format!("[arc_backup]\n{wrong}\n")).expect_err(wrong);
            assert!(error.to_string().contains(named), "{error}");
        }
    }

    #[test]
    fn arc_toml_has_four_ways() {
        for (text, expected) in [
            ("", IncludeConfig::ByTarget),
            ("include_config = true", IncludeConfig::Whole),
            ("include_config = \"false\"", IncludeConfig::Omitted),
            ("include_config = \"redacted\"", IncludeConfig::Redacted),
        ] {
            let read = read(&format!("[backup]\n{text}\n")).expect(text);
            assert_eq!(read.include_config, expected, "{text}");
        }
        let error = read("[arc_backup]\ninclude_config = \"maybe\"\n").expect_err("no value");
        let error = error.to_string();
        assert!(
            error.contains("`arc_backup.include_config`") && error.contains("redacted"),
            "{error}"
        );
    }
}
