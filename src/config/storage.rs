//! Arc's data storage.

use std::path::{Path, PathBuf};

use super::backends::{Backends, StorageRoot};
use super::databases::real_path;
use super::values::Values;
use crate::{Error, Result};

/// The backend that Arc uses where none is configured.
const DEFAULT_KIND: &str = "local";

/// Arc's data storage.
#[derive(Debug, Clone)]
pub struct StorageSettings {
    /// The first name of its kind: `local`, `s3` or `azure`.
    pub kind: String,
    /// Where the data is.
    pub root: StorageRoot,
}

impl StorageSettings {
    /// The storage of `[storage]`.
    ///
    /// # Errors
    /// [`Error::Config`] names the key and what is allowed.
    pub(super) fn read(values: &Values, backends: &Backends) -> Result<Self> {
        let kind = values.text("storage.backend")?;
        let kind = kind.as_deref().unwrap_or(DEFAULT_KIND);
        let Some(backend) = backends.find(kind) else {
            return Err(Error::Config(format!(
                "`storage.backend` must be one of {}, not {kind:?}",
                backends.names()
            )));
        };
        Ok(Self {
            kind: backend
                .names
                .first()
                .copied()
                .unwrap_or_default()
                .to_owned(),
            root: (backend.root)(values)?,
        })
    }

    /// The root, if it is a folder on local disk.
    #[must_use]
    pub fn folder(&self) -> Option<&Path> {
        match &self.root {
            StorageRoot::Folder(folder) => Some(folder),
            StorageRoot::Uri(_) => None,
        }
    }

    /// Whether a folder or URI is in the storage: at its root or below.
    pub(super) fn contains(&self, place: &str) -> bool {
        match &self.root {
            StorageRoot::Folder(folder) => {
                let path = PathBuf::from(place.strip_prefix("file://").unwrap_or(place));
                real_path(&path).starts_with(real_path(folder))
            }
            StorageRoot::Uri(root) => {
                let root = root.trim_end_matches('/');
                (place.strip_prefix(root))
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
        }
    }
}

/// The first name of the kind of `storage.backend`; a name that is not known is returned as it is.
pub(super) fn kind(values: &Values, backends: &Backends) -> Result<String> {
    let text = values.text("storage.backend")?;
    let text = text.unwrap_or_else(|| DEFAULT_KIND.to_owned());
    let backend = backends.find(&text);
    let name = backend.and_then(|backend| backend.names.first());
    Ok(name.map_or_else(
        || text.trim().to_ascii_lowercase(),
        |name| (*name).to_owned(),
    ))
}
