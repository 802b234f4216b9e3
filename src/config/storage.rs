//! Arc's data storage.

use std::path::Path;

use super::backends::{Backends, StorageRoot};
use super::databases::real_path;
use super::file_uri::local_path;
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

    /// The beginning of the keys of a folder or URI in the storage: empty for its root, else with
    /// a `/` at its end. `None` where it is not in the storage.
    pub(super) fn prefix_of(&self, place: &str) -> Option<String> {
        let below = match &self.root {
            StorageRoot::Folder(folder) => {
                let path = real_path(&local_path(place)?);
                let below = path.strip_prefix(real_path(folder)).ok()?;
                below.to_string_lossy().into_owned()
            }
            StorageRoot::Uri(root) => {
                let below = place.strip_prefix(root.trim_end_matches('/'))?;
                if !below.is_empty() && !below.starts_with('/') {
                    return None;
                }
                below.trim_matches('/').to_owned()
            }
        };
        Some(match below.is_empty() {
            true => below,
            false => format!("{below}/"),
        })
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
