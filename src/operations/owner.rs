//! Whose a backup is, as Arc 27.01 names it: `owner_instance_id` of a manifest.
//!
//! Arc takes `cluster.name`, or else the UUID in `.arc-backup-instance-id` beside its database.
//! Arc makes that file, in spite of its name. Here it is only read.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::Settings;
use crate::files::folder_of;
use crate::operations::instance_id::known_instance_id;
use crate::repository::Summary;

/// Arc's file, beside the database of `auth.db_path`.
const FILE: &str = ".arc-backup-instance-id";
/// Keys that name a cluster; the second is that of 26.09.
const NAMES: [&str; 2] = ["cluster.name", "cluster.cluster_name"];

/// What is known of this instance, to know its backups by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Owner {
    /// Its `owner_instance_id`; `None` where Arc has not made one yet.
    pub(crate) id: Option<String>,
    /// What is wrong with Arc's file.
    pub(crate) fault: Option<String>,
    /// Every id that Arc may have used: an instance that became a cluster has two.
    ids: BTreeSet<String>,
    /// The name in the state folder.
    instance: Option<String>,
}

impl Owner {
    /// Reads the configuration and Arc's file.
    pub(crate) fn of(settings: &Settings) -> Self {
        let database = (settings.databases.iter()).find(|one| one.setting == "auth.db_path");
        let uuid = database.map_or(Ok(None), |one| read(&folder_of(&one.path).join(FILE)));
        let (uuid, fault) = match uuid {
            Ok(uuid) => (uuid, None),
            Err(fault) => (None, Some(fault)),
        };
        let name = |key: &&str| {
            let name = settings.values.text(key).ok().flatten()?;
            let name = name.trim();
            (!name.is_empty()).then(|| name.to_owned())
        };
        let names: Vec<_> = NAMES.iter().map(name).collect();
        Self {
            id: names[0].clone().or_else(|| uuid.clone()),
            fault,
            ids: names.into_iter().flatten().chain(uuid).collect(),
            instance: known_instance_id(settings.backup.state_folder()),
        }
    }

    /// Whether a backup of this owner, made by the instance of this name, is another instance's. A
    /// backup that names no owner counts as this one's.
    pub(crate) fn is_other(&self, owner: Option<&str>, instance: Option<&str>) -> bool {
        let is_own = instance.is_some() && instance == self.instance.as_deref();
        let is_unknown = self.ids.is_empty();
        let owner = owner.map(str::trim).filter(|owner| !owner.is_empty());
        owner.is_some_and(|owner| !is_unknown && !is_own && !self.has(owner))
    }

    /// Whether `owner` is an id of this instance. UUIDs are the same in any case, names are not.
    fn has(&self, owner: &str) -> bool {
        let is_same = |id: &String| id.eq_ignore_ascii_case(owner);
        self.ids.contains(owner) || is_uuid(owner) && self.ids.iter().any(is_same)
    }

    /// The same for a backup of a list.
    pub(crate) fn is_foreign(&self, backup: &Summary) -> bool {
        let owner = backup.owner_instance_id.as_deref();
        self.is_other(owner, backup.instance.as_deref())
    }
}

/// The UUID in Arc's file; `None` where there is none.
fn read(path: &Path) -> Result<Option<String>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("`{}` can't be read: {error}", path.display())),
    };
    let text = text.trim();
    match is_uuid(text) {
        true => Ok(Some(text.to_owned())),
        false => Err(format!(
            "`{}` holds no UUID: backups are made without `owner_instance_id`, and Arc counts them as nobody's",
            path.display()
        )),
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "6a1f9d0e-3b2c-4d5e-8f90-112233445566";

    /// Guards against: hidden backups of the instance itself, and shown ones of another.
    #[test]
    fn only_a_backup_that_names_another_owner_is_foreign() {
        let owner = |ids: &[&str]| Owner {
            ids: ids.iter().map(|&id| id.to_owned()).collect(),
            instance: Some("ours".to_owned()),
            ..Owner::default()
        };
        let upper = UUID.to_uppercase();
        for (known, of, instance, expected) in [
            (&[UUID][..], Some(UUID), None, false),
            (&[UUID], Some("other"), None, true),
            (&[UUID], None, None, false),
            (&[UUID], Some("other"), Some("ours"), false),
            (&[UUID], Some("other"), Some("theirs"), true),
            // Before Arc's first start nothing is known of the instance.
            (&[], Some("other"), None, false),
            // What Go writes for none.
            (&[UUID], Some(""), None, false),
            (&[UUID], Some(" "), None, false),
            (&[UUID], Some(&upper), None, false),
            (&["cluster-a"], Some("Cluster-A"), None, true),
            // A cluster since then.
            (&["cluster-a", UUID], Some(UUID), None, false),
        ] {
            let found = owner(known).is_other(of, instance);
            assert_eq!(found, expected, "{known:?} {of:?} {instance:?}");
        }
    }

    /// Guards against: half a file that names an instance nobody is.
    #[test]
    fn arcs_file_holds_a_uuid_or_nothing_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        assert_eq!(read(&path), Ok(None));
        for (text, is_good) in [
            (format!("{UUID}\n"), true),
            (UUID.to_uppercase(), true),
            (String::new(), false),
            ("6a1f9d0e".to_owned(), false),
            (UUID.replace('-', "x"), false),
            (format!("{UUID}0"), false),
        ] {
            std::fs::write(&path, &text).expect("written");
            assert_eq!(read(&path).is_ok(), is_good, "{text:?}");
        }
    }
}
