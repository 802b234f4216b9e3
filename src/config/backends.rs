//! The kinds of storage and target, as a configuration describes them.
//!
//! The descriptions themselves are in `registry/`, each beside the constructor of its sinks.

use std::path::PathBuf;

use super::Values;
use crate::Result;

/// The keys of a target that each kind has: of which kind it is, and its databases.
const OF_TARGETS: [&str; 2] = ["type", "databases"];

/// A kind of storage and target.
#[derive(Debug, Clone, Copy)]
pub struct BackendDescription {
    /// Its names in `storage.backend` and in the `type` of a target. The first is that of
    /// [`StorageSettings::kind`](super::StorageSettings::kind).
    pub names: &'static [&'static str],
    /// The feature of this crate that compiles it in.
    pub feature: &'static str,
    /// Its keys, in `[storage]` and in the table of a target.
    pub keys: &'static [&'static str],
    /// Those of the keys that are secrets, and may be in a file that a variable names.
    pub secrets: &'static [&'static str],
    /// Those of the keys that Arc reads under `[storage]` since 27.01 only.
    pub newer: &'static [&'static str],
    /// Those of the keys that say where in the store the data is.
    pub place: &'static [(&'static str, PlaceForm)],
    /// Where Arc's data is, if `[storage]` is of this kind.
    pub root: fn(&Values) -> Result<StorageRoot>,
    /// The place that a table of this kind names: `[storage]`, that of a target, or that of the
    /// cold tier. `None` where it does not say.
    pub store: fn(&Values, &str) -> Result<Option<StorePlace>>,
}

/// A place in a store, to find out whether two of them overlap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorePlace {
    /// Where the store is: its kind, address, and bucket or container.
    pub store: String,
    /// The account of the store, where it has one. One that is not known may be any.
    pub account: Option<String>,
    /// The folder in the store: empty, or with a final `/`.
    pub path: String,
}

/// How a place lies to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Both are the same.
    Equal,
    /// It has the other one in it.
    Contains,
    /// It lies in the other one.
    Within,
}

impl StorePlace {
    /// A folder on local disk, with links resolved.
    #[must_use]
    pub fn of_folder(folder: &std::path::Path) -> Self {
        let path = super::databases::real_path(folder).display().to_string();
        Self {
            store: "file".to_owned(),
            account: None,
            path: format!("{}/", path.trim_end_matches('/')),
        }
    }

    /// How it lies to `other`; `None` where they have nothing in common.
    pub(crate) fn overlap(&self, other: &Self) -> Option<Overlap> {
        let is_same_account = match (&self.account, &other.account) {
            (Some(one), Some(another)) => one == another,
            _ => true,
        };
        if self.store != other.store || !is_same_account {
            return None;
        }
        match (&self.path, &other.path) {
            (one, another) if one == another => Some(Overlap::Equal),
            (one, another) if another.starts_with(one) => Some(Overlap::Contains),
            (one, another) if one.starts_with(another) => Some(Overlap::Within),
            _ => None,
        }
    }
}

/// A prefix as it is compared: empty, or with a final `/`.
#[must_use]
pub fn prefix_path(prefix: Option<String>) -> String {
    let prefix = prefix.unwrap_or_default();
    match prefix.trim().trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// How a value that places something is written, and so compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PlaceForm {
    /// A path, which is relative to the working directory, with Arc's default.
    Path(&'static str),
    /// A folder in a store: slashes around it mean nothing.
    Prefix,
    /// A name or an address.
    Text,
}

/// Where Arc's data is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StorageRoot {
    /// A folder on local disk.
    Folder(PathBuf),
    /// A bucket, container or prefix, as Iceberg writes it: `s3://bucket/prefix`.
    Uri(String),
}

/// The kinds of storage and target that are known, compiled in or not.
#[derive(Debug, Clone, Default)]
pub struct Backends(Vec<BackendDescription>);

impl FromIterator<BackendDescription> for Backends {
    fn from_iter<T: IntoIterator<Item = BackendDescription>>(kinds: T) -> Self {
        Self(kinds.into_iter().collect())
    }
}

impl Backends {
    /// The kind of this name, in whatever case.
    pub(crate) fn find(&self, name: &str) -> Option<&BackendDescription> {
        let name = name.trim();
        (self.0.iter()).find(|kind| kind.names.iter().any(|one| one.eq_ignore_ascii_case(name)))
    }

    /// All names, for people.
    pub(crate) fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().flat_map(|kind| kind.names).copied().collect();
        names.join(", ")
    }

    /// The keys of `[storage]`, but for `backend`.
    pub(crate) fn storage_keys(&self) -> Vec<&'static str> {
        self.0.iter().flat_map(|kind| kind.keys).copied().collect()
    }

    /// The keys of a target: those of a storage, `type` and `databases`.
    pub(crate) fn target_keys(&self) -> Vec<&'static str> {
        OF_TARGETS.into_iter().chain(self.storage_keys()).collect()
    }

    /// Whether a storage or target of some kind has this key.
    pub(crate) fn is_storage_key(&self, name: &str) -> bool {
        self.0.iter().any(|kind| kind.keys.contains(&name))
    }

    /// The keys of all kinds that are secrets.
    pub(crate) fn secrets(&self) -> Vec<&'static str> {
        (self.0.iter().flat_map(|kind| kind.secrets).copied()).collect()
    }

    /// The variable of a key that is a secret, in a storage or a target.
    pub(crate) fn secret_variable(&self, key: &str) -> Option<String> {
        let name = key.rsplit('.').next().unwrap_or(key);
        self.secrets()
            .contains(&name)
            .then(|| super::variables::variable(key))
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    const FOLDER: BackendDescription = BackendDescription {
        names: &["local"],
        feature: "local",
        keys: &["local_path"],
        secrets: &[],
        newer: &[],
        place: &[("local_path", PlaceForm::Path("./data/arc"))],
        root: |values| {
            let path = values.text("storage.local_path")?;
            Ok(StorageRoot::Folder(
                path.unwrap_or_else(|| "./data/arc".to_owned()).into(),
            ))
        },
        store: |values, table| {
            let path = values.text(&format!("{table}.local_path"))?;
            let path = path.or_else(|| (table == "storage").then(|| "./data/arc".to_owned()));
            Ok(path.map(|path| StorePlace::of_folder(path.as_ref())))
        },
    };

    const STORE: BackendDescription = BackendDescription {
        names: &["s3", "minio"],
        feature: "s3",
        keys: &["s3_bucket", "s3_prefix", "s3_secret_key"],
        secrets: &["s3_secret_key"],
        newer: &[],
        place: &[
            ("s3_bucket", PlaceForm::Text),
            ("s3_prefix", PlaceForm::Prefix),
        ],
        root: |values| {
            let bucket = values.text("storage.s3_bucket")?.unwrap_or_default();
            Ok(StorageRoot::Uri(format!("s3://{bucket}")))
        },
        store: |values, table| {
            let bucket = values.text(&format!("{table}.s3_bucket"))?;
            let prefix = values.text(&format!("{table}.s3_prefix"))?;
            Ok(bucket.map(|bucket| StorePlace {
                store: format!("s3://{bucket}"),
                account: None,
                path: prefix_path(prefix),
            }))
        },
    };

    /// A folder, and a store with a bucket, a prefix and a secret.
    pub(in crate::config) fn backends() -> Backends {
        [FOLDER, STORE].into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_by_each_of_its_names() {
        let backends = samples::backends();
        let found = |name| backends.find(name).map(|kind| kind.names[0]);
        assert_eq!(found(" MinIO "), Some("s3"));
        assert_eq!(found("tape"), None);
        assert_eq!(
            backends.secret_variable("backup.targets.x.s3_secret_key"),
            Some("ARC_BACKUP_TARGETS_X_S3_SECRET_KEY".to_owned())
        );
        assert_eq!(backends.secret_variable("storage.s3_bucket"), None);
    }
}
