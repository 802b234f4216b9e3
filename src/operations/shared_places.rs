//! Places that lie in one another: a target or the cold tier in the bucket of Arc's data.

use std::sync::Arc;

use arc_backup_core::{Key, Sink};

use crate::config::{COLD, Settings, real_path};
use crate::repository::Repository;
use crate::{Error, Result};

/// The bucket or container of a store, and the path of its root there.
fn root(sink: &Arc<dyn Sink>) -> Option<(String, String)> {
    let probe = Key::parse("x").expect("a fixed name");
    let address = sink.server_copy()?.address(&probe);
    let path = address.path.strip_suffix("x")?.to_owned();
    Some((address.place, path))
}

/// The place of a storage and the path of its root there: those of the store, or the path of the
/// folder on local disk. Two with the same place lie in one another where the path of one begins
/// with that of the other.
pub(crate) fn place_of(sink: &Arc<dyn Sink>) -> Option<(String, String)> {
    match sink.properties().local_path {
        Some(folder) => Some((
            String::new(),
            format!("{}/", real_path(&folder).display()).replace("//", "/"),
        )),
        None => root(sink),
    }
}

/// The keys of one tier that belong to the other one, as its place lies inside.
#[derive(Debug, Default)]
pub(crate) struct NestedTiers {
    /// The cold tier, in Arc's data storage.
    pub(crate) in_storage: Option<String>,
    /// Arc's data storage, in the cold tier.
    pub(crate) in_cold: Option<String>,
}

/// Finds a tier that lies in the other one. Its files are not those of the other one.
///
/// # Errors
/// [`Error::Config`] where the two are the same place: each file would be in both tiers.
pub(crate) fn nested_tiers(storage: &Arc<dyn Sink>, cold: &Arc<dyn Sink>) -> Result<NestedTiers> {
    let (Some((host, path)), Some((cold_host, cold_path))) = (place_of(storage), place_of(cold))
    else {
        return Ok(NestedTiers::default());
    };
    if host != cold_host {
        return Ok(NestedTiers::default());
    }
    if path == cold_path {
        return Err(Error::Config(format!(
            "`{COLD}` is the location of Arc's data storage ({}): choose another prefix, bucket or container",
            storage.location()
        )));
    }
    let inside = |outer: &str, inner: &str| {
        let inside = inner.strip_prefix(outer)?.trim_end_matches('/');
        Some(inside.to_owned())
    };
    Ok(NestedTiers {
        in_storage: inside(&path, &cold_path),
        in_cold: inside(&cold_path, &path),
    })
}

/// Returns the keys in Arc's data storage that belong to a target in the same bucket or container.
/// Refuses two locations that are the same.
pub(crate) fn shared_with_storage(
    settings: &Settings,
    storage: &Arc<dyn Sink>,
    repositories: &[Repository],
) -> Result<Vec<String>> {
    let refuse = |repository: &Repository, other: &str| {
        let target = (settings.targets.iter()).find(|target| target.name == repository.name());
        Err(Error::Config(format!(
            "`{}` is the location of {other} ({}): choose another prefix, bucket or container",
            target.map_or("a target", |target| &target.key),
            repository.sink().location()
        )))
    };
    let mut keys = Vec::new();
    let mut places: Vec<((String, String), &Repository)> = Vec::new();
    let of_storage = root(storage);
    for repository in repositories {
        let Some(place) = root(repository.sink()) else {
            continue;
        };
        if let Some((_, other)) = places.iter().find(|(other, _)| *other == place) {
            return refuse(repository, &format!("the target {:?}", other.name()));
        }
        if let Some((host, path)) = &of_storage
            && *host == place.0
        {
            match place.1.strip_prefix(path.as_str()) {
                Some("") => return refuse(repository, "Arc's data storage"),
                Some(inside) => keys.push(inside.trim_end_matches('/').to_owned()),
                None => {}
            }
        }
        places.push((place, repository));
    }
    Ok(keys)
}
