//! Which of several holders of a backup has the original.

use crate::Result;
use crate::repository::{Loaded, Repository};

/// Of several holders of a backup, keeps the one with the original, whatever the others have, even
/// something broken. Of equal backups by Arc, which do not say where they were made, that of the
/// default target is kept, or the first by name.
pub(super) fn keep_original(holders: &mut Vec<(&Repository, Result<Loaded>)>, default: &str) {
    let originals = (holders.iter()).filter(|holder| is_original(holder));
    let mut names: Vec<_> = originals.map(|(one, _)| one.name().to_owned()).collect();
    let is_other = |holder: &&(&Repository, Result<Loaded>)| {
        holder.1.is_ok() && !is_copy(holder) && !is_original(holder)
    };
    if !names.is_empty() && holders.iter().any(|holder| is_other(&holder)) {
        // One that was brought there by hand may be the better one: it has to be said which.
        return;
    }
    if names.is_empty() {
        // Its target may have had another name. What is broken may be the original then.
        let others: Vec<_> = holders.iter().filter(|one| !is_copy(one)).collect();
        if let [(one, Ok(_))] = others[..] {
            names.push(one.name().to_owned());
        }
    }
    if names.is_empty() && are_equal_by_arc(holders) {
        names.extend(holders.iter().map(|(one, _)| one.name().to_owned()));
        names.sort_unstable_by_key(|name| (name != default, name.clone()));
        names.truncate(1);
    }
    let [name] = &names[..] else {
        return;
    };
    for (repository, found) in holders.iter() {
        if let Err(error) = found {
            tracing::warn!(target = repository.name(), %error, "the backup in another target is used");
        }
    }
    holders.retain(|(one, _)| one.name() == name);
}

/// Whether this target is known to hold a copy that was made from another one.
pub(super) fn is_copy((_, found): &(&Repository, Result<Loaded>)) -> bool {
    matches!(found, Ok(loaded) if loaded.manifest.copied_from.is_some())
}

/// Whether this target is known to hold the backup that was made in it, and no copy.
fn is_original((repository, found): &(&Repository, Result<Loaded>)) -> bool {
    let Ok(Loaded {
        manifest, sealed, ..
    }) = found
    else {
        return false;
    };
    let made_in = manifest.target.as_deref();
    *sealed
        && manifest.copied_from.is_none()
        && made_in.is_none_or(|made_in| made_in == repository.name())
}

/// Whether the readable ones are one backup by Arc, with the same manifest everywhere.
fn are_equal_by_arc(holders: &[(&Repository, Result<Loaded>)]) -> bool {
    let loaded: Vec<_> = (holders.iter())
        .filter_map(|(_, found)| found.as_ref().ok())
        .collect();
    loaded.len() == holders.len()
        && loaded.windows(2).all(|two| two[0].raw == two[1].raw)
        && loaded.iter().all(|one| !one.sealed)
}
