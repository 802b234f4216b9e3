//! Where things lie in a target: the keys of a backup, and of the tool's own folder.

use arc_backup_core::Key;

use crate::manifest::{BackupId, COMPRESSED_INVENTORY, FILE_LIST, INVENTORY, InventoryRef, Record};
use crate::own_folder::OWN_FOLDER;
use crate::{Error, Result};

/// A key in the tool's own folder.
pub(crate) fn own(rest: &str) -> Key {
    Key::parse(&format!("{OWN_FOLDER}/{rest}")).expect("fixed names and ids are valid keys")
}

/// The folder of a backup.
pub(crate) fn folder(id: &BackupId) -> Key {
    Key::parse(id.as_str()).expect("an id is a valid key")
}

/// The manifest of a backup.
pub(crate) fn manifest_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/manifest.json")).expect("an id is a valid key")
}

/// The inventory of a backup whose manifest says this of it.
pub(crate) fn inventory_key(id: &BackupId, inventory: &InventoryRef) -> Key {
    Key::parse(&format!("{id}/{}", inventory.name())).expect("an id is a valid key")
}

/// The keys that an inventory of a backup may have.
pub(crate) fn inventory_keys(id: &BackupId) -> [Key; 2] {
    [COMPRESSED_INVENTORY, INVENTORY]
        .map(|name| Key::parse(&format!("{id}/{name}")).expect("an id is a valid key"))
}

/// The list of a backup's files that Arc reads.
pub(crate) fn file_list_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/{FILE_LIST}")).expect("an id is a valid key")
}

/// The index of a run, which Arc keeps beside the manifest of the default leg.
pub(crate) fn run_index_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/index.json")).expect("an id is a valid key")
}

/// The key of a file of a backup.
pub(crate) fn file_key(id: &BackupId, path: &str) -> Result<Key> {
    Key::parse(&format!("{id}/{path}")).map_err(|e| Error::Failed(e.to_string()))
}

/// Under [`OWN_FOLDER`]: incomplete copies.
pub(super) const INCOMPLETE: &str = "incomplete";
/// The name of the manifest of an incomplete copy.
pub(super) const INCOMPLETE_MANIFEST: &str = "incomplete.json";

/// The folder of an incomplete copy.
pub(super) fn incomplete_folder(id: &BackupId) -> Key {
    own(&format!("{INCOMPLETE}/{id}"))
}

/// The manifest of an incomplete copy.
pub(super) fn incomplete_manifest_key(id: &BackupId) -> Key {
    own(&format!("{INCOMPLETE}/{id}/{INCOMPLETE_MANIFEST}"))
}

/// The list of the files of a deleted backup that other backups need.
pub(crate) fn retained_key(id: &BackupId) -> Key {
    Key::parse(&format!("{id}/retained.jsonl")).expect("an id is a valid key")
}

/// Under [`OWN_FOLDER`]: an object for each deleted backup of which files are retained.
pub(super) const RETAINED: &str = "retained";

/// The object that says that files of a deleted backup are retained.
pub(super) fn retained_index_key(id: &BackupId) -> Key {
    own(&format!("{RETAINED}/{id}"))
}

/// The note of a backup.
pub(super) fn note_key(id: &BackupId) -> Key {
    own(&format!("notes/{id}.json"))
}

/// Where the bytes of a record of the backup `id` lie: the backup that holds them, and their key.
///
/// # Errors
/// When the path is too long for a key.
pub(crate) fn location_of(id: &BackupId, record: &Record) -> Result<(BackupId, Key)> {
    let holder = record.holder(id);
    Ok((holder.clone(), file_key(holder, &record.path)?))
}
