//! Validated settings.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arc_27::{newer_keys, refusals};
use super::backends::Backends;
use super::backup::BackupSettings;
use super::cluster::ClusterSettings;
use super::databases::{Database, databases, real_path};
use super::environment::{read_secret_files, target_names};
use super::keys::{misspelt, unknown_target};
use super::location::search;
use super::monitor::monitor_token;
use super::not_included::not_included;
use super::other_storages;
use super::own_table::both_set;
use super::placeholder::{is_placeholder, unfilled};
use super::retention::RetentionSettings;
use super::storage::StorageSettings;
use super::targets::{TargetSettings, check_databases, targets};
use super::tiering::TieringSettings;
use super::values::Values;
use super::warning::Warning;
use crate::{Error, Result};

/// What the command line sets in place of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// The file given by `--config`.
    pub config: Option<PathBuf>,
    /// Ignores `ARC_…` variables: the demo must not touch the instance that they name.
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
    /// Arc's tiered storage.
    pub(crate) tiering: TieringSettings,
    /// The cluster that Arc is a node of.
    pub(crate) cluster: Option<ClusterSettings>,
    /// Arc's databases.
    pub databases: Vec<Database>,
    /// Who may use the service.
    pub auth: crate::auth::AuthSettings,
    /// The keys of this program.
    pub backup: BackupSettings,
    /// Where backups go.
    pub targets: Vec<TargetSettings>,
    /// Which backups a prune keeps.
    pub retention: RetentionSettings,
    /// What the configuration names and a backup does not hold, each with its reason.
    pub not_included: Vec<String>,
    /// What looks like a mistake.
    pub warnings: Vec<Warning>,
    /// The kinds of storage and target that the configuration may name.
    pub backends: Backends,
    /// The raw configuration, for backends and sources of a third party.
    pub values: Values,
}

impl Settings {
    /// The folder of Arc's Iceberg warehouse, where that is outside of the storage root.
    #[must_use]
    pub(crate) fn warehouse_folder(&self) -> Option<PathBuf> {
        match super::warehouse::Warehouse::read(&self.values, &self.storage) {
            Ok(super::warehouse::Warehouse::Folder { path, .. }) => Some(path),
            _ => None,
        }
    }

    /// Reads the configuration: `--config`, else the first of `./arc.toml`, `/etc/arc/arc.toml`,
    /// `$HOME/.arc/arc.toml`, else none. `backends` are the kinds of storage that it may name.
    ///
    /// # Errors
    /// [`Error::Config`] names the file or key, the value and what is allowed.
    pub(crate) fn load(overrides: &Overrides, backends: Backends) -> Result<Self> {
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
        Self::from_values(values, backends, path, exists)
    }

    /// The settings of a configuration that is not that of this process: without variables of the
    /// environment. `path` is where its file is, or would be.
    ///
    /// # Errors
    /// As [`Settings::load`].
    pub(crate) fn of_text(text: &str, path: PathBuf, backends: &Backends) -> Result<Self> {
        let values = Values::parse(text, &path.display().to_string(), [])?;
        Self::from_values(values, backends.clone(), path, false)
    }

    /// The names of the storages that a restore may write to.
    pub(crate) fn storage_names(&self) -> Vec<String> {
        other_storages::names(&self.values)
    }

    /// The settings of an instance that has its data in the storage of this name, and nothing else.
    /// The program's own files of it are in the folder `state`.
    ///
    /// # Errors
    /// [`Error::Invalid`] where there is no such storage; [`Error::Config`] names what is wrong
    /// with its table.
    pub(crate) fn of_other_storage(&self, name: &str, state: &Path) -> Result<Self> {
        let (values, table) =
            other_storages::configuration(&self.values, &self.backends, name, state)?;
        let path = state.join("arc.toml");
        let settings = Self::from_values(values, self.backends.clone(), path, false);
        let mut settings = settings.map_err(|error| match error {
            Error::Config(text) => Error::Config(text.replace("`storage.", &format!("`{table}."))),
            other => other,
        })?;
        settings.databases.clear();
        Ok(settings)
    }

    fn from_values(
        mut values: Values,
        backends: Backends,
        config_path: PathBuf,
        config_exists: bool,
    ) -> Result<Self> {
        for table in [
            "storage",
            "auth",
            "backup",
            "backup.targets",
            "arc_backup",
            "arc_backup.targets",
            "arc_backup.storages",
            "retention",
            "continuous_query",
            "iceberg",
            "tiered_storage",
            "tiered_storage.cold",
        ] {
            values.check_table(table)?;
        }
        for table in ["backup.targets", "arc_backup.targets"] {
            for target in values.keys(table) {
                values.check_table(&format!("{table}.{target}"))?;
            }
        }
        let names = target_names(&values)?;
        read_secret_files(&mut values, &names, &backends)?;
        let targets = targets(&values, &names, &backends)?;
        let mut warnings = misspelt(&values, &names, &backends);
        warnings.extend(both_set(&values));
        warnings.extend(unfilled(&values));
        warnings.extend(refusals(&values, &backends)?);
        warnings.extend(newer_keys(&values, &backends)?);
        let backup = BackupSettings::read(&values, &names, &mut warnings)?;
        if !targets
            .iter()
            .any(|target| target.name == backup.default_target)
        {
            let known: Vec<_> = targets.iter().map(|t| t.name.as_str()).collect();
            return Err(Error::Config(format!(
                "`{}` names an {}",
                values.own("default_target"),
                unknown_target(&values, &backends, &backup.default_target, &known)
            )));
        }
        for name in &backup.copy_to {
            if !targets.iter().any(|target| target.name == *name) {
                let known: Vec<_> = targets.iter().map(|t| t.name.as_str()).collect();
                return Err(Error::Config(format!(
                    "`{}` names an {}",
                    values.own("copy_to"),
                    unknown_target(&values, &backends, name, &known)
                )));
            }
        }
        check_databases(&targets, &backup.default_target)?;
        let bootstrap = values.text("auth.bootstrap_token")?;
        let bootstrap = bootstrap.filter(|token| !is_placeholder(token));
        if bootstrap.as_ref().is_some_and(|token| token.len() < 32) {
            warnings.push(Warning::new(
                "auth.bootstrap_token",
                "`auth.bootstrap_token` has less than 32 characters: it is not used",
            ));
        }
        let auth = crate::auth::AuthSettings {
            enabled: values.bool("auth.enabled", true)?,
            db_path: values.path("auth.db_path", "./data/arc.db")?,
            cache_ttl: Duration::from_secs(values.number("auth.cache_ttl", 300, 0, 86_400)?),
            bootstrap_token: bootstrap.filter(|token| token.len() >= 32),
            monitor_token: monitor_token(&values)?,
            state_dir: backup.state_folder().to_owned(),
        };
        let storage = StorageSettings::read(&values, &backends)?;
        let tiering = TieringSettings::read(&values, &backends)?;
        Ok(Self {
            cluster: ClusterSettings::read(&values)?,
            databases: databases(&values)?,
            retention: RetentionSettings::read(&values, &targets)?,
            not_included: not_included(&values, &storage, &tiering, config_exists)?,
            tiering,
            config_path,
            config_exists,
            storage,
            auth,
            backup,
            targets,
            warnings,
            backends,
            values,
        })
    }

    /// Refuses a folder of backups or of state that is the storage root itself: its files would be
    /// data.
    pub(crate) fn check_apart(&self, target_roots: &[(String, PathBuf)]) -> Result<()> {
        let root = self.storage.folder().map(real_path);
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
            if let Some(root) = &root
                && real_path(path) == *root
            {
                return Err(Error::Config(format!(
                    "`{key}` is in the folder of `storage.local_path` ({}): choose another folder, inside it or elsewhere",
                    root.display()
                )));
            }
        }
        Ok(())
    }

    /// The keys under the storage root that are not data: backups, databases, state, `arc.toml`.
    #[must_use]
    pub fn excluded_keys(&self, target_roots: &[PathBuf]) -> Vec<String> {
        match self.storage.folder().map(real_path) {
            Some(root) => self.keys_within(&root, target_roots),
            None => Vec::new(),
        }
    }

    /// The keys under the folder `root` that belong to something else: backups, databases, state,
    /// `arc.toml`.
    pub(crate) fn keys_within(&self, root: &Path, target_roots: &[PathBuf]) -> Vec<String> {
        let mut paths = vec![
            self.backup.local_path.clone(),
            self.backup.state_folder().to_owned(),
            self.backup.state_path.clone(),
            self.config_path.clone(),
        ];
        paths.extend(target_roots.iter().cloned());
        // A cold tier on local disk.
        paths.extend(self.tiering.local_path.iter().cloned());
        for database in &self.databases {
            // The last two are restores that Arc has staged, or has rejected.
            for suffix in [
                "",
                "-wal",
                "-shm",
                "-journal",
                ".pending-restore",
                ".pending-restore.rejected",
                ".rejected",
            ] {
                paths.push(crate::files::with_suffix(&database.path, suffix));
            }
        }
        // Files that `fsck` found, at the root of a volume: only the superuser may read them.
        let of_file_system = std::iter::once("lost+found".to_owned());
        let named = paths.iter().filter_map(|path| key_under(root, path));
        named.chain(of_file_system).collect()
    }

    /// The key of the folder of Arc's compaction for temporary files, where it lies under the
    /// storage root.
    #[must_use]
    pub fn compaction_key(&self) -> Option<String> {
        let root = real_path(self.storage.folder()?);
        key_under(&root, COMPACTION.as_ref())
    }
}

/// The folder of Arc 27.01's compaction for temporary files.
const COMPACTION: &str = "./data/compaction";

/// The key of a path that lies under a storage root, not at it.
fn key_under(root: &Path, path: &Path) -> Option<String> {
    let path = real_path(path);
    let inside = path.strip_prefix(root).ok()?.to_str()?;
    (!inside.is_empty()).then(|| inside.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings> {
        Settings::from_values(
            Values::parse(text, "arc.toml", [])?,
            crate::config::backends::samples::backends(),
            PathBuf::from("arc.toml"),
            true,
        )
    }

    /// Guards against a database that is restored twice, as its path has two spellings.
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

    /// Guards against a misspelt key that is ignored in silence.
    #[test]
    fn misspelt_keys_warn_and_wrong_values_fail() {
        let read = settings("[backup]\nincude_config = false\n").expect("valid");
        assert!(read.warnings[0].text.contains("backup.incude_config"));
        let read =
            settings("[backup.targets.x]\ntype = \"local\"\nlocal_pth = \"y\"\n").expect("valid");
        assert!(read.warnings[0].text.contains("backup.targets.x.local_pth"));
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
