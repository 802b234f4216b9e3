//! Reading one backup: manifest and inventory.

use std::path::Path;

use arc_backup_core::{Child, ErrorKind, GetOptions, Meta};
use serde_json::Value;

use super::Repository;
use super::layout::{folder, inventory_key, inventory_keys, manifest_key};
use crate::manifest::{self, BackupId, Inventory, InventoryFault, Manifest};
use crate::{Error, Result, UnreadableState};

/// A manifest that was read and checked.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Its fields.
    pub manifest: Manifest,
    /// All of it, as it stands in the file.
    pub raw: Value,
    /// Whether it is one of ours, with a digest over the manifest and an inventory: false for a
    /// backup that Arc made.
    pub sealed: bool,
    /// Whether it has checksums for its data files: false for a backup that Arc before 27.01 made.
    pub has_checksums: bool,
}

impl Loaded {
    /// Checks these bytes as the manifest of the backup `id`.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(crate) fn parse(id: &BackupId, bytes: &[u8]) -> Result<Self, String> {
        check_manifest(id, bytes)
    }
}

impl Repository {
    /// Reads and checks the manifest of a backup, or of a leg, in this target.
    pub(super) async fn load_one(&self, id: &BackupId) -> Result<Loaded> {
        Ok(self.load_with_meta(id).await?.0)
    }

    /// The same, with what is known of the manifest as an object.
    pub(super) async fn load_with_meta(&self, id: &BackupId) -> Result<(Loaded, Meta)> {
        let damaged = |detail: String| Error::Damaged {
            id: id.to_string(),
            detail,
        };
        let mut read = self.read_manifest(id).await;
        if matches!(read, Ok(None)) && !self.journalled().await?.contains(id) {
            // It may have been published since, by an operation whose journal is removed with that.
            read = self.read_manifest(id).await;
        }
        let (bytes, meta) = match read {
            Ok(Some(read)) => read,
            Ok(None) => {
                return Err(match self.is_there(id).await? {
                    Some(Child::Folder(_)) if self.journalled().await?.contains(id) => {
                        Error::NotFound(id.to_string())
                    }
                    Some(Child::Folder(_)) if !self.has_anything_in(&folder(id)).await? => {
                        Error::NotFound(id.to_string())
                    }
                    // It was deleted, and other backups need files of it.
                    Some(Child::Folder(_)) if self.is_retained(id).await? => {
                        Error::NotFound(id.to_string())
                    }
                    Some(Child::Folder(_)) => damaged(self.instead_of_manifest(id).await?),
                    Some(Child::Object(_)) => damaged("is a file, not a folder".to_owned()),
                    Some(Child::Other(_, kind)) => damaged(format!("is {}", kind.as_str())),
                    None => Error::NotFound(id.to_string()),
                });
            }
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return Err(damaged(format!("manifest.json: {}", error.detail())));
            }
            Err(error) => {
                let Some(state) = UnreadableState::from_error(&error) else {
                    return Err(error.into());
                };
                // Without the right to list, a store answers `denied` for absent objects too.
                if self.is_there(id).await?.is_none() {
                    return Err(Error::NotFound(id.to_string()));
                }
                return Err(Error::Unreadable {
                    id: id.to_string(),
                    state,
                    detail: format!("manifest.json: {}", error.detail()),
                });
            }
        };
        let mut loaded = check_manifest(id, &bytes).map_err(damaged)?;
        // Arc writes no inventory: the seal was removed from a manifest of ours.
        if loaded.manifest.inventory.is_none() && self.has_inventory(id).await? {
            return Err(damaged(
                "manifest.json has no seal, but there is an inventory".to_owned(),
            ));
        }
        loaded.has_checksums = loaded.sealed || self.has_file_list(id).await?;
        Ok((loaded, meta))
    }

    async fn has_inventory(&self, id: &BackupId) -> Result<bool> {
        for key in inventory_keys(id) {
            let found = match self.sink().head(&key).await {
                Ok(meta) => meta.is_some(),
                // Something that is not a file.
                Err(error) if error.kind() == ErrorKind::Invalid => true,
                // Without the right to list, a store answers `denied` for absent objects too.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => false,
                Err(error) => return Err(error.into()),
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn read_manifest(
        &self,
        id: &BackupId,
    ) -> Result<Option<(Vec<u8>, Meta)>, arc_backup_core::Error> {
        self.read_small_with_meta(&manifest_key(id), manifest::MANIFEST_LIMIT)
            .await
    }

    /// Describes what is in the place of a manifest that can't be read as a file.
    async fn instead_of_manifest(&self, id: &BackupId) -> Result<String> {
        let children = self.sink().list_children(Some(&folder(id))).await?;
        let found = (children.iter()).find(|child| child.name() == "manifest.json");
        Ok(match found {
            Some(Child::Folder(_)) => "manifest.json is a folder, not a file".to_owned(),
            _ => "manifest.json is missing".to_owned(),
        })
    }

    async fn is_there(&self, id: &BackupId) -> Result<Option<Child>> {
        let children = self.sink().list_children(None).await?;
        Ok(children
            .into_iter()
            .find(|child| child.name() == id.as_str()))
    }

    /// Brings the list of the files of a backup, or of a leg, in this target into a private file in
    /// `scratch`.
    pub(super) async fn inventory_of_one(
        &self,
        id: &BackupId,
        loaded: &Loaded,
        scratch: &Path,
    ) -> Result<Inventory, InventoryFault> {
        let path = scratch.join(format!("{id}.inventory"));
        let Some(expected) = &loaded.manifest.inventory else {
            return self.arcs_inventory(id, loaded, &path).await;
        };
        match self
            .sink()
            .get(&inventory_key(id, expected), GetOptions::default())
            .await
        {
            Ok(object) => Inventory::receive(object.body, expected, &path, &self.activity).await,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Invalid) => {
                Err(InventoryFault::Damaged {
                    list: expected.name(),
                    detail: format!("can't be read: {}", error.detail()),
                })
            }
            Err(error) => Err(self.named(error.into()).into()),
        }
    }
}

fn check_manifest(id: &BackupId, bytes: &[u8]) -> Result<Loaded, String> {
    let raw: Value =
        serde_json::from_slice(bytes).map_err(|e| format!("manifest.json is not valid: {e}"))?;
    let manifest: Manifest =
        serde_json::from_slice(bytes).map_err(|e| format!("manifest.json is not valid: {e}"))?;
    let sealed = !Manifest::is_arcs_own(&raw);
    if sealed {
        let Some(digest) = &manifest.sha256 else {
            return Err("manifest.json has no `sha256`".to_owned());
        };
        if !manifest::is_sealed(bytes, digest) {
            return Err("manifest.json does not have the SHA-256 that it names".to_owned());
        }
        match manifest.format {
            Some(1..=manifest::FORMAT) => {}
            Some(newer) => {
                return Err(format!(
                    "has format {newer}; this release reads up to {}: use a newer arc-backup",
                    manifest::FORMAT
                ));
            }
            None => return Err("manifest.json has no `format`".to_owned()),
        }
        if manifest.inventory.is_none() {
            return Err("manifest.json has no `inventory`".to_owned());
        }
    }
    if manifest.backup_id != id.as_str() {
        return Err(format!(
            "manifest.json is of `{}`",
            manifest.backup_id.escape_debug()
        ));
    }
    Ok(Loaded {
        manifest,
        raw,
        sealed,
        has_checksums: sealed,
    })
}
