//! Where a restore writes to: this instance, or a new one in a folder or in another storage.
//!
//! A restore into a folder is an ordinary restore of an instance whose paths are all below it. One
//! into another storage is that of an instance that has nothing but data. Until it has ended, a
//! folder of the program's own says which backup it is of, so that the same restore completes it.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::{Key, ListOptions, Listed, Section, Sink, Source};
use futures::TryStreamExt;

use crate::config::{Settings, real_path, toml_text};
use crate::files::with_suffix;
use crate::manifest::{BackupId, Manifest};
use crate::operations::ArcBackup;
use crate::operations::restore::new_instance::{NewInstance, NewPlace, UNFINISHED, interrupted};
use crate::operations::restore::options::{Destination, ExtraFilesPolicy, RestoreOptions};
use crate::operations::shared_places::place_of;
use crate::source::section_of;
use crate::{Error, Result};

/// The folder in the state folder that has the own files of restores into other storages.
const STORAGES: &str = "to-storage";
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
        match &options.destination {
            Destination::Live => Ok(self.own_instance()),
            Destination::Folder(folder) => self.instance_in_folder(id, options, manifest, folder),
            Destination::Storage(name) => self.instance_in_storage(options, name),
        }
    }

    fn instance_in_folder(
        &self,
        id: &BackupId,
        options: &RestoreOptions,
        manifest: &Manifest,
        folder: &Path,
    ) -> Result<Instance> {
        let folder = self.check_folder(id, options, folder)?;
        let state = folder.join(UNFINISHED);
        let own = format!("state_path = {}\n", quoted(&state.join("history.db"))?);
        let text = format!("{}{own}", arc_toml(&folder, manifest)?);
        let settings = Settings::of_text(&text, folder.join("arc.toml"), &self.settings.backends)?;
        let config = format!(
            "# Written by arc-backup, which restored backup {id} into this folder. Start Arc here.\n{}",
            arc_toml(Path::new("."), manifest)?
        );
        let path = folder;
        self.new_instance(settings, NewPlace::Folder { path, config }, state)
    }

    /// An instance of data alone.
    fn instance_in_storage(&self, options: &RestoreOptions, name: &str) -> Result<Instance> {
        if options.includes(&Section::Metadata) || options.includes(&Section::Config) {
            return Err(Error::Invalid(format!(
                "storage {name:?} gets data alone: leave out databases and arc.toml (restore_metadata, --with-metadata, \
                 restore_config, --with-config); a whole instance is made in a folder (to, --to)"
            )));
        }
        if options.extra_files == ExtraFilesPolicy::Remove {
            return Err(Error::Invalid(format!(
                "storage {name:?} gets new files alone: leave out `remove` (extra_files, --extra-files)"
            )));
        }
        let settings = self.settings_of_storage(name)?;
        let state = settings.backup.state_folder().to_owned();
        let instance = self.new_instance(settings, NewPlace::Storage(name.to_owned()), state)?;
        self.check_apart(name, &instance.storage)?;
        Ok(Instance {
            sources: (instance.sources.into_iter())
                .filter(|source| section_of(&**source) == Section::Data)
                .collect(),
            ..instance
        })
    }

    /// Whether a restore could write to the storage of this name, as far as its table shows;
    /// returns where it is.
    ///
    /// # Errors
    /// As the restore would.
    pub(crate) fn check_other_storage(&self, name: &str) -> Result<String> {
        let settings = self.settings_of_storage(name)?;
        let (storage, _) = self.new_instances.of_settings(&settings)?;
        self.check_apart(name, &storage)?;
        Ok(storage.location())
    }

    fn settings_of_storage(&self, name: &str) -> Result<Settings> {
        let state = (self.settings.backup.state_folder())
            .join(STORAGES)
            .join(name);
        self.settings.of_other_storage(name, &state)
    }

    fn new_instance(
        &self,
        settings: Settings,
        place: NewPlace,
        state: PathBuf,
    ) -> Result<Instance> {
        let (storage, sources) = self.new_instances.of_settings(&settings)?;
        let new = NewInstance {
            place,
            is_resumed: interrupted(&state).is_some(),
            state,
            location: storage.location(),
        };
        Ok(Instance {
            settings: Arc::new(settings),
            sources,
            storage,
            new: Some(new),
        })
    }

    /// Refuses a storage that lies in another place of this instance, or the other way round.
    fn check_apart(&self, name: &str, storage: &Arc<dyn Sink>) -> Result<()> {
        let shown = format!("storage {name:?} ({})", storage.location());
        if let Some(folder) = storage.properties().local_path {
            self.check_outside(&folder, &shown)?;
        }
        let Some((place, path)) = place_of(storage) else {
            return Ok(());
        };
        let own = [
            ("the data storage", Some(&self.storage)),
            ("the cold tier", self.cold.as_ref()),
        ];
        let own = own
            .into_iter()
            .filter_map(|(what, sink)| Some((what.to_owned(), sink?)));
        let targets = (self.repositories.iter())
            .map(|repository| (format!("target {}", repository.name()), repository.sink()));
        let others = self.other_storages(name);
        let others = (others.iter()).map(|(other, sink)| (format!("storage {other:?}"), sink));
        for (what, sink) in own.chain(targets).chain(others) {
            if place_of(sink).is_some_and(|(other, at)| {
                other == place && (at.starts_with(&path) || path.starts_with(&at))
            }) {
                return Err(one_in_the_other(&shown, &what, &sink.location()));
            }
        }
        Ok(())
    }

    /// The other storages of the configuration, as far as their tables are right.
    fn other_storages(&self, own: &str) -> Vec<(String, Arc<dyn Sink>)> {
        let names = self.settings.storage_names().into_iter();
        let others = names.filter(|name| name != own);
        let found = others.filter_map(|name| {
            let settings = self.settings_of_storage(&name).ok()?;
            let (storage, _) = self.new_instances.of_settings(&settings).ok()?;
            Some((name, storage))
        });
        found.collect()
    }

    /// Refuses a storage that is not empty, unless an interrupted restore of the same backup has
    /// brought what is there.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the storage and one of its objects; those of the storage.
    pub(crate) async fn check_empty(&self, id: &BackupId, instance: &Instance) -> Result<()> {
        let Some(new) = instance.new.as_ref() else {
            return Ok(());
        };
        let Some(name) = new.storage() else {
            return Ok(());
        };
        let location = instance.storage.location();
        match interrupted(&new.state) {
            Some(of) if of.backup_id == id.as_str() && of.location == location => return Ok(()),
            Some(of) => {
                return Err(Error::Invalid(format!(
                    "an interrupted restore of backup {} is in storage {name:?} ({}), and this one is of backup {id} ({location}): \
                     complete that one, or empty that storage and remove `{}`",
                    of.backup_id,
                    of.location,
                    new.state.display()
                )));
            }
            None => {}
        }
        let mut listing = instance.storage.list(ListOptions::default());
        match listing.try_next().await? {
            None => Ok(()),
            Some(found) => Err(Error::Invalid(format!(
                "storage {name:?} ({location}) is not empty (`{}`): restore into an empty one",
                match &found {
                    Listed::Object(meta) => meta.key.as_str(),
                    Listed::Other { path, .. } => path,
                }
            ))),
        }
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
        self.check_outside(&absolute, &format!("`{shown}`"))?;
        let is_empty = std::fs::read_dir(&absolute).map(|mut entries| entries.next().is_none());
        match is_empty {
            Ok(true) => Ok(absolute),
            Ok(false) => match interrupted(&absolute.join(UNFINISHED)) {
                Some(of) if of.backup_id == id.as_str() => Ok(absolute),
                Some(of) => Err(Error::Invalid(format!(
                    "an interrupted restore of backup {} is in `{shown}`: complete it, or remove the folder",
                    of.backup_id
                ))),
                None => Err(Error::Invalid(format!(
                    "`{shown}` is not empty: restore into an empty or new folder"
                ))),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(absolute),
            Err(error) => Err(Error::Invalid(format!(
                "`{shown}` can't be restored into: {error}"
            ))),
        }
    }

    /// Refuses a folder that lies in another one of this instance, or the other way round.
    fn check_outside(&self, folder: &Path, shown: &str) -> Result<()> {
        let real = real_path(folder);
        for (what, other) in self.own_folders() {
            let other = real_path(&other);
            if is_within(&real, &other) || is_within(&other, &real) {
                return Err(one_in_the_other(shown, &what, &other.display().to_string()));
            }
        }
        self.check_companions(folder, "restore into another place")
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
            all.push((format!("the files set aside of {what}"), aside));
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

/// Whether the path lies in the folder, also where a part of it is mounted in a second place.
fn is_within(path: &Path, folder: &Path) -> bool {
    let id = |path: &Path| {
        std::fs::metadata(path)
            .map(|meta| (meta.dev(), meta.ino()))
            .ok()
    };
    let wanted = id(folder);
    path.starts_with(folder)
        || (wanted.is_some() && path.ancestors().any(|place| id(place) == wanted))
}

fn one_in_the_other(shown: &str, what: &str, other: &str) -> Error {
    Error::Invalid(format!(
        "{shown} and {what} (`{other}`) are one in the other: restore into another place"
    ))
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

/// The path as a text of TOML.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        let path = path.display();
        Error::Invalid(format!(
            "`{path}` is not valid UTF-8: arc.toml can't name it"
        ))
    })?;
    Ok(toml_text(text))
}
