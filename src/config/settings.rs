//! Validated settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arc_server::{ArcServer, arc_server};
use super::databases::{Database, databases, real_path};
use super::environment::{read_secret_files, target_names};
use super::keys::{misspelt, unknown_target};
use super::monitor::monitor_token;
use super::not_included::not_included;
use super::targets::{TargetSettings, targets};
use super::values::Values;
use crate::{Error, Result};

/// What the command line says over the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file given by `--config`.
    pub config: Option<PathBuf>,
    /// Leaves `ARC_…` variables out: the demo must not touch the instance that they name.
    pub ignore_environment: bool,
}

/// Everything that is configured, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The configuration file in force, or the place where one would be.
    pub config_path: PathBuf,
    /// Whether it exists.
    pub config_exists: bool,
    /// Arc's data storage.
    pub storage: StorageSettings,
    /// Arc's databases.
    pub databases: Vec<Database>,
    /// Who may use the service.
    pub auth: crate::auth::AuthSettings,
    /// Ours.
    pub backup: BackupSettings,
    /// Where backups go.
    pub targets: Vec<TargetSettings>,
    /// What the configuration names and a backup does not hold, each with its reason.
    pub not_included: Vec<String>,
    /// What looks like a mistake.
    pub warnings: Vec<String>,
    /// The raw configuration, for backends and sources of a third party.
    pub values: Values,
}

/// Arc's data storage.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// `local`, `s3` or `azure`.
    pub kind: String,
    /// The root on local disk.
    pub local_path: PathBuf,
}

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
    /// `backup.history_operations`, default 10,000, and `backup.history_age`, default 365 days: what is kept of the history.
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
    /// `backup.concurrency`: files copied at once; by default 8, and what a store over a network is best asked with.
    pub concurrency: Option<usize>,
    /// `backup.arc_url` and `backup.arc_token`: the Arc to flush before a backup.
    pub arc: Option<ArcServer>,
}

impl BackupSettings {
    /// The folder of history, locks and scratch files.
    #[must_use]
    pub fn state_folder(&self) -> &Path {
        match self.state_path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }
}

impl Settings {
    /// Reads the configuration: `--config`, else the first of `./arc.toml`, `/etc/arc/arc.toml`, `$HOME/.arc/arc.toml`, else none.
    ///
    /// # Errors
    /// [`Error::Config`] names the file or key, the value and what is allowed.
    pub fn load(overrides: &Overrides) -> Result<Self> {
        let found = match &overrides.config {
            Some(path) => Some(path.clone()),
            None => search().into_iter().find(|path| path.exists()),
        };
        let text = match &found {
            Some(path) => std::fs::read_to_string(path).map_err(|e| {
                Error::Config(
                    arc_backup_core::Error::from_io("read", path.display().to_string(), e)
                        .to_string(),
                )
            })?,
            None => String::new(),
        };
        let exists = found.is_some();
        let path = found.unwrap_or_else(|| PathBuf::from("arc.toml"));
        let environment = std::env::vars_os()
            .filter(|_| !overrides.ignore_environment)
            .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)));
        let values = Values::parse(&text, &path.display().to_string(), environment)?;
        Self::from_values(values, path, exists)
    }

    fn from_values(mut values: Values, config_path: PathBuf, config_exists: bool) -> Result<Self> {
        for table in [
            "storage",
            "auth",
            "backup",
            "backup.targets",
            "arc_backup",
            "retention",
            "continuous_query",
            "iceberg",
        ] {
            values.check_table(table)?;
        }
        for target in values.keys("backup.targets") {
            values.check_table(&format!("backup.targets.{target}"))?;
        }
        let names = target_names(&values)?;
        read_secret_files(&mut values, &names)?;
        let path = |key: &str, default: &str| -> Result<PathBuf> {
            let text = values.text(key)?.unwrap_or_else(|| default.to_owned());
            if text.trim().is_empty() {
                return Err(Error::Config(format!("`{key}` must not be empty")));
            }
            Ok(PathBuf::from(text))
        };
        let backend = values
            .text("storage.backend")?
            .unwrap_or_else(|| "local".to_owned());
        let kind = match backend.trim().to_ascii_lowercase().as_str() {
            "local" => "local",
            "s3" | "minio" => "s3",
            "azure" | "azblob" => "azure",
            _ => {
                return Err(Error::Config(format!(
                    "`storage.backend` must be one of local, s3, minio, azure, azblob, not {backend:?}"
                )));
            }
        };
        let local_path = path("backup.local_path", "./data/backups")?;
        let default_state = super::state::default_path(&local_path);
        let targets = targets(&values, &names)?;
        let mut warnings = misspelt(&values, &names);
        let backup = BackupSettings {
            enabled: values.truth("backup.enabled", true)?,
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
            include_metadata: values.truth("backup.include_metadata", true)?,
            include_config: values.truth("backup.include_config", true)?,
            require_flush: values.truth("backup.require_flush", false)?,
            state_path: match values.text("backup.state_path")? {
                Some(_) => path("backup.state_path", "")?,
                None => default_state,
            },
            default_target: values
                .text("backup.default_target")?
                .unwrap_or_else(|| "local".to_owned()),
            // At most 256: each copy under way holds a piece of 256 KiB and two descriptors.
            concurrency: match values.get("backup.concurrency") {
                Some(_) => usize::try_from(values.number("backup.concurrency", 8, 1, 256)?).ok(),
                None => None,
            },
            arc: arc_server(&values, &mut warnings)?,
            local_path,
        };
        if !targets
            .iter()
            .any(|target| target.name == backup.default_target)
        {
            let known: Vec<_> = targets.iter().map(|t| t.name.as_str()).collect();
            return Err(Error::Config(format!(
                "`backup.default_target` names an {}",
                unknown_target(&values, &backup.default_target, &known)
            )));
        }
        let bootstrap = values.text("auth.bootstrap_token")?;
        if bootstrap.as_ref().is_some_and(|token| token.len() < 32) {
            warnings.push(
                "`auth.bootstrap_token` has less than 32 characters: it is not used".to_owned(),
            );
        }
        let auth = crate::auth::AuthSettings {
            enabled: values.truth("auth.enabled", true)?,
            db_path: path("auth.db_path", "./data/arc.db")?,
            cache_ttl: Duration::from_secs(values.number("auth.cache_ttl", 300, 0, 86_400)?),
            bootstrap_token: bootstrap.filter(|token| token.len() >= 32),
            monitor_token: monitor_token(&values)?,
            state_dir: backup.state_folder().to_owned(),
        };
        let storage = StorageSettings {
            kind: kind.to_owned(),
            local_path: path("storage.local_path", "./data/arc")?,
        };
        Ok(Self {
            databases: databases(&values)?,
            not_included: not_included(&values, &storage, config_exists)?,
            config_path,
            config_exists,
            storage,
            auth,
            backup,
            targets,
            warnings,
            values,
        })
    }

    /// The places where a configuration was looked for, as a list for people.
    #[must_use]
    pub fn searched() -> String {
        let places = search();
        let places = places
            .iter()
            .map(|path| absolute(path).display().to_string());
        places.collect::<Vec<_>>().join(", ")
    }

    /// Refuses a folder of backups or of state that is the storage root itself: whatever lies in it would be data.
    pub(crate) fn check_apart(&self, target_roots: &[(String, PathBuf)]) -> Result<()> {
        let root = real_path(&self.storage.local_path);
        let state = (
            "backup.state_path".to_owned(),
            self.backup.state_folder().to_owned(),
        );
        for (key, path) in target_roots.iter().chain([&state]) {
            if target_roots
                .iter()
                .any(|(other, root)| other != key && real_path(root) == real_path(path))
                && key != "backup.state_path"
            {
                return Err(Error::Config(format!(
                    "`{key}` is the folder of another target too ({}): each needs its own",
                    path.display()
                )));
            }
            if self.storage.kind == "local" && real_path(path) == root {
                return Err(Error::Config(format!(
                    "`{key}` is in the folder of `storage.local_path` ({}): choose another folder, inside it or elsewhere",
                    root.display()
                )));
            }
        }
        Ok(())
    }

    /// The keys under the storage root that are no data: backups, databases, state, `arc.toml`, wherever these lie under it.
    #[must_use]
    pub fn excluded_keys(&self, target_roots: &[PathBuf]) -> Vec<String> {
        if self.storage.kind != "local" {
            return Vec::new();
        }
        let root = real_path(&self.storage.local_path);
        let mut paths = vec![
            self.backup.local_path.clone(),
            self.backup.state_folder().to_owned(),
            self.backup.state_path.clone(),
            self.config_path.clone(),
        ];
        paths.extend(target_roots.iter().cloned());
        for database in &self.databases {
            for suffix in ["", "-wal", "-shm", "-journal"] {
                paths.push(crate::files::with_suffix(&database.path, suffix));
            }
        }
        // In the root of a volume, what `fsck` found: the file system's own, and open to nobody but the superuser.
        let of_file_system = std::iter::once("lost+found".to_owned());
        let named = paths.iter().filter_map(|path| {
            let inside = real_path(path)
                .strip_prefix(&root)
                .ok()?
                .to_str()?
                .to_owned();
            (!inside.is_empty()).then_some(inside)
        });
        named.chain(of_file_system).collect()
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Where a configuration is looked for.
fn search() -> Vec<PathBuf> {
    let mut places = vec![
        PathBuf::from("arc.toml"),
        PathBuf::from("/etc/arc/arc.toml"),
    ];
    if let Some(home) = std::env::var_os("HOME") {
        places.push(PathBuf::from(home).join(".arc/arc.toml"));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        Settings::from_values(
            Values::parse(text, "arc.toml", [])?,
            PathBuf::from("arc.toml"),
            true,
        )
    }

    /// The same database under two spellings would be restored twice, the second over the first.
    #[test]
    fn a_database_is_named_once_however_its_path_is_spelled() {
        let read = settings(
            "[auth]\ndb_path = \"data/arc.db\"\n[retention]\ndb_path = \"./data/../data/arc.db\"\n[continuous_query]\ndb_path = \"./data/cq.db\"\n",
        );
        let files: Vec<_> = read
            .expect("valid")
            .databases
            .into_iter()
            .map(|d| (d.file, d.setting))
            .collect();
        let expected = [
            ("arc.db", "auth.db_path"),
            ("cq.db", "continuous_query.db_path"),
        ];
        // Two files of one name would be one file in the backup.
        let read = settings(
            "[retention]\ndb_path = \"./data/continuous_query.db\"\n[continuous_query]\ndb_path = \"./o/arc.db\"\n[iceberg]\ncatalog_db_path = \"./p/arc.db\"\n",
        );
        let names: std::collections::BTreeSet<_> = (read.expect("valid").databases.into_iter())
            .map(|database| database.file)
            .collect();
        assert_eq!(names.len(), 4, "{names:?}");
        assert_eq!(
            files
                .iter()
                .map(|(f, s)| (f.as_str(), s.as_str()))
                .collect::<Vec<_>>(),
            [expected[0], expected[1]]
        );
    }

    /// A typing error in our own keys must not go unseen.
    #[test]
    fn misspelt_keys_warn_and_wrong_values_fail() {
        let read = settings("[backup]\nincude_config = false\n").expect("valid");
        assert!(read.warnings[0].contains("backup.incude_config"));
        let read =
            settings("[backup.targets.x]\ntype = \"local\"\nlocal_pth = \"y\"\n").expect("valid");
        assert!(read.warnings[0].contains("backup.targets.x.local_pth"));
        for (wrong, named) in [
            ("[storage]\nbackend = \"ftp\"\n", "storage.backend"),
            ("[backup]\ndefault_target = \"moon\"\n", "moon"),
            ("[backup]\nconcurrency = 0\n", "backup.concurrency"),
            (
                "[backup.targets.off]\ns3_bucket = \"b\"\n",
                "backup.targets.off.type",
            ),
            ("[backup]\nlocal_path = 3\n", "backup.local_path"),
            ("[backup]\nlisten = 8001\n", "8001"),
            ("[backup]\ntimeout = -5\n", "-5"),
            ("[backup]\nstate_path = \"\"\n", "backup.state_path"),
            ("backup = 5\n", "table"),
            ("storage = \"x\"\n", "`storage`"),
            ("[backup]\ntargets = 5\n", "backup.targets"),
        ] {
            let error = settings(wrong).expect_err(wrong).to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
