//! Reading the files of a backup, wherever their bytes lie.

use std::ops::Range;
use std::sync::Arc;

use arc_backup_core::{Body, Entry, Error as CoreError, ErrorKind, GetOptions, Key, Section};
use async_trait::async_trait;

use super::Repository;
use super::elsewhere::Elsewhere;
use super::layout::location_of;
use crate::manifest::{BackupId, Inventory, LegIndex, Record};
use crate::pipeline::Reader;
use crate::{Error, Result};

/// Reads the files of a backup, by their paths in it or by the keys of one section.
#[derive(Debug, Clone)]
pub struct BackupReader {
    repository: Repository,
    id: BackupId,
    section: Option<Section>,
    /// Which files have their bytes in another backup.
    elsewhere: Arc<Elsewhere>,
    /// Which leg of a run holds each file.
    legs: Arc<LegIndex>,
    /// Where a file is in the backup, if not at the path that is asked for.
    places: Option<Places>,
}

/// The path in the backup of what is asked for by another one.
#[derive(Clone)]
struct Places(Arc<Place>);

/// The path in the backup of a path; `None` where it is the same.
type Place = dyn Fn(&str) -> Option<String> + Send + Sync;

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Places")
    }
}

impl Repository {
    /// A reader of the files of the backup `id`, which has this inventory.
    ///
    /// # Errors
    /// When the inventory can't be read.
    pub fn reader(&self, id: &BackupId, inventory: &Inventory) -> Result<BackupReader> {
        let elsewhere = match inventory.refers_to_other_backups() {
            true => Elsewhere::read(|| inventory.records())?,
            false => Elsewhere::default(),
        };
        Ok(BackupReader {
            repository: self.clone(),
            id: id.clone(),
            section: None,
            elsewhere: Arc::new(elsewhere),
            legs: inventory.legs().clone(),
            places: None,
        })
    }
}

impl Repository {
    /// Opens one file of the backup `id`, or these bytes of it, wherever they lie.
    ///
    /// # Errors
    /// [`Error::Damaged`] where the target does not have it, or has something else there; and those
    /// of the target.
    pub(crate) async fn open_file(
        &self,
        id: &BackupId,
        inventory: &Inventory,
        record: &Record,
        range: Option<Range<u64>>,
    ) -> Result<Body> {
        let (_, key) = location_of(id, record)?;
        let leg = self.legs().get(inventory.legs().leg_of(&record.path));
        let repository = leg.unwrap_or(self);
        let options = GetOptions {
            // The digest is that of the whole.
            reader_checks: record.entry.sha256.is_some() && range.is_none(),
            range,
            ..GetOptions::default()
        };
        match repository.sink().get(&key, options).await {
            Ok(object) => Ok(object.body),
            Err(error) => {
                let what = match error.kind() {
                    ErrorKind::NotFound => "is missing".to_owned(),
                    ErrorKind::Invalid => format!("can't be read: {}", error.detail()),
                    _ => return Err(repository.named(error.into())),
                };
                Err(Error::Damaged {
                    id: id.to_string(),
                    detail: format!(
                        "`{}` {what}; `arc-backup verify {id}` names every fault",
                        record.path
                    ),
                })
            }
        }
    }
}

impl BackupReader {
    /// The same, for entries whose keys are those of `section`.
    #[must_use]
    pub fn section(&self, section: &Section) -> Self {
        Self {
            section: Some(section.clone()),
            ..self.clone()
        }
    }

    /// The same, where files may be asked for by other paths: `place` has that in the backup.
    #[must_use]
    pub(crate) fn at(self, place: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self {
            places: Some(Places(Arc::new(place))),
            ..self
        }
    }

    async fn get(&self, entry: &Entry, again: bool) -> Result<Body, CoreError> {
        let path = match &self.section {
            Some(section) => format!("{section}/{}", entry.key),
            None => entry.key.to_string(),
        };
        let elsewhere = self.places.as_ref().and_then(|Places(place)| place(&path));
        let path = elsewhere.unwrap_or(path);
        let holder = self.elsewhere.holder(&path).unwrap_or(&self.id);
        let key = format!("{holder}/{path}");
        let key = Key::parse(&key)
            .map_err(|e| CoreError::new(ErrorKind::Invalid, "read", key, e.reason()))?;
        let options = GetOptions {
            // Arc's own backups have no digests: of these the store's checksums are all there is.
            reader_checks: entry.sha256.is_some() && !again,
            ..GetOptions::default()
        };
        let leg = self.repository.legs().get(self.legs.leg_of(&path));
        let sink = leg.unwrap_or(&self.repository).sink();
        Ok(sink.get(&key, options).await?.body)
    }
}

#[async_trait]
impl Reader for BackupReader {
    async fn open(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.get(entry, false).await
    }

    async fn open_again(&self, entry: &Entry) -> Result<Body, CoreError> {
        self.get(entry, true).await
    }
}
