//! Where a restore writes to: this instance, or a new one in a folder.
//!
//! A restore into a folder is an ordinary restore of an instance whose paths are all below it.
//! Until it has ended, a folder of the tool's own says which backup it is of, so that the same
//! restore completes it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::{Key, Section, Sink, Source};

use crate::config::{Settings, real_path};
use crate::files::with_suffix;
use crate::manifest::{BackupId, Manifest};
use crate::operations::ArcBackup;
use crate::operations::restore::new_instance::{NewInstance, OF_BACKUP, UNFINISHED};
use crate::operations::restore::options::{Destination, RestoreOptions};
use crate::{Error, Result};

/// The keys that name databases; that of `auth.db_path` is always there.
const DATABASES: [&str; 3] = [
    "iceberg.catalog_db_path",
    "retention.db_path",
    "continuous_query.db_path",
];

/// The instance that a restore writes to.
pub(crate) struct Instance {
    pub(crate) settings: Arc<Settings>,
    pub(crate) sources: Vec<Arc<dyn Source>>,
    pub(crate) storage: Arc<dyn Sink>,
    pub(crate) new: Option<NewInstance>,
}

impl ArcBackup {
    /// The instance that a restore of this backup writes to. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Invalid`] where the folder can't be used.
    pub(crate) fn instance_for(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        manifest: &Manifest,
    ) -> Result<Instance> {
        let Destination::Folder(folder) = &options.destination else {
            return Ok(self.own_instance());
        };
        let folder = self.check_folder(id, options, folder)?;
        let state = folder.join(UNFINISHED);
        let own = format!("state_path = {}\n", quoted(&state.join("history.db"))?);
        let text = format!("{}{own}", arc_toml(&folder, manifest)?);
        let settings = Settings::of_text(&text, folder.join("arc.toml"), &self.settings.backends)?;
        let (storage, sources) = self.new_instances.of_folder(&settings)?;
        let text = format!(
            "# Written by arc-backup, which restored backup {id} into this folder. Start Arc here.\n{}",
            arc_toml(Path::new("."), manifest)?
        );
        Ok(Instance {
            settings: Arc::new(settings),
            sources,
            storage,
            new: Some(NewInstance { folder, text }),
        })
    }

    /// This instance.
    pub(crate) fn own_instance(&self) -> Instance {
        Instance {
            settings: self.settings.clone(),
            sources: self.sources.clone(),
            storage: self.storage.clone(),
            new: None,
        }
    }

    /// Checks that a new instance can be made in the folder; returns its absolute path.
    fn check_folder(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        folder: &Path,
    ) -> Result<PathBuf> {
        let absolute =
            std::path::absolute(folder).map_err(|error| Error::io("find", folder, error))?;
        let shown = absolute.display();
        if options.includes(&Section::Config) {
            return Err(Error::Invalid(format!(
                "a restore into `{shown}` writes an arc.toml that names that folder: leave out --with-config (restore_config)"
            )));
        }
        let real = real_path(&absolute);
        for (what, other) in self.own_folders() {
            let other = real_path(&other);
            if real.starts_with(&other) || other.starts_with(&real) {
                return Err(Error::Invalid(format!(
                    "`{shown}` and {what} (`{}`) are one in the other: restore into another folder",
                    other.display()
                )));
            }
        }
        let is_empty = std::fs::read_dir(&absolute).map(|mut entries| entries.next().is_none());
        match is_empty {
            Ok(true) => Ok(absolute),
            Ok(false) => match std::fs::read_to_string(absolute.join(UNFINISHED).join(OF_BACKUP)) {
                Ok(of) if of.trim() == id.as_str() => Ok(absolute),
                Ok(of) => Err(Error::Invalid(format!(
                    "an interrupted restore of backup {} is in `{shown}`: complete it, or remove the folder",
                    of.trim()
                ))),
                Err(_) => Err(Error::Invalid(format!(
                    "`{shown}` is not empty: restore into an empty or new folder"
                ))),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(absolute),
            Err(error) => Err(Error::Invalid(format!(
                "`{shown}` can't be restored into: {error}"
            ))),
        }
    }

    /// The folders of this instance: a new instance must not lie in one of them.
    fn own_folders(&self) -> Vec<(String, PathBuf)> {
        let mut all = vec![(
            "the state folder".to_owned(),
            self.settings.backup.state_folder().to_owned(),
        )];
        let cold = (self.cold.as_ref()).and_then(|cold| cold.properties().local_path);
        let data = [
            ("the data storage", self.storage.properties().local_path),
            ("the cold tier", cold),
            ("the Iceberg warehouse", self.settings.warehouse_folder()),
        ];
        for (what, path) in data {
            let Some(path) = path else { continue };
            let aside = with_suffix(&path, ".before-restore");
            all.push((format!("what restores set aside of {what}"), aside));
            all.push((what.to_owned(), path));
        }
        for repository in &self.repositories {
            let path = repository.sink().properties().local_path;
            all.extend(path.map(|path| (format!("target {}", repository.name()), path)));
        }
        let databases = self.settings.databases.iter();
        all.extend(
            databases.map(|one| (format!("the file of `{}`", one.setting), one.path.clone())),
        );
        all
    }
}

/// The configuration of an instance in this folder. It has none of the settings of the instance
/// that was backed up: started, it must not subscribe to anything, nor answer at its address.
fn arc_toml(folder: &Path, manifest: &Manifest) -> Result<String> {
    let data = folder.join("data");
    let mut tables: BTreeMap<&str, Vec<(&str, PathBuf)>> = BTreeMap::new();
    for database in &manifest.databases_included {
        let is_name = Key::parse(&database.file).is_ok() && !database.file.contains('/');
        let known = DATABASES.iter().find(|key| **key == database.setting);
        if let (Some((table, key)), true) = (known.and_then(|key| key.split_once('.')), is_name) {
            let path = data.join(&database.file);
            tables.entry(table).or_default().push((key, path));
        }
    }
    let mut text = format!(
        "[storage]\nbackend = \"local\"\nlocal_path = {}\n\n[auth]\ndb_path = {}\n\n",
        quoted(&data.join("arc"))?,
        quoted(&data.join("arc.db"))?
    );
    for (table, keys) in tables {
        text.push_str(&format!("[{table}]\n"));
        for (key, path) in keys {
            text.push_str(&format!("{key} = {}\n", quoted(&path)?));
        }
        text.push('\n');
    }
    text.push_str(&format!(
        "[backup]\nlocal_path = {}\n",
        quoted(&data.join("backups"))?
    ));
    Ok(text)
}

/// A basic string of TOML, which is escaped as one of JSON is.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        let path = path.display();
        Error::Invalid(format!(
            "`{path}` is not valid UTF-8: arc.toml can't name it"
        ))
    })?;
    Ok(serde_json::Value::from(text).to_string())
}
