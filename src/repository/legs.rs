//! Runs: reading a backup whose legs lie in several targets, as if one had all of it.

use std::path::Path;

use arc_backup_core::ErrorKind;
use futures::future::join_all;

use super::{LastVerified, Loaded, Note, Repository};
use crate::manifest::{BackupId, Inventory, InventoryFault, InventoryRef, Manifest, Run, merged};
use crate::{Error, Result};

impl Repository {
    /// Reads and checks the manifest of a backup. Of a run, those of all legs are read, checked to
    /// belong to one run, and merged.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is nothing of that name, [`Error::Damaged`] when there is
    /// something that is not a backup, or when a leg is missing or of another run;
    /// [`Error::Unreadable`] when a manifest can't be read for lack of rights, or lies in an
    /// archive tier.
    pub async fn load(&self, id: &BackupId) -> Result<Loaded> {
        if self.legs().is_empty() {
            return self.load_one(id).await;
        }
        let legs = load_legs(self.legs(), id).await?;
        run_of(id, &legs).map_err(|detail| damaged(id, detail))?;
        let parts: Vec<_> = (legs.iter())
            .map(|(_, leg)| (&leg.manifest, &leg.raw))
            .collect();
        let raw = merged(&parts);
        let mut manifest: Manifest = serde_json::from_value(raw.clone())
            .map_err(|e| damaged(id, format!("the manifests of its legs: {e}")))?;
        manifest.inventory = legs.iter().try_fold(
            InventoryRef {
                entries: 0,
                bytes: 0,
                sha256: String::new(),
                compression: (legs.first())
                    .and_then(|(_, leg)| leg.manifest.inventory.as_ref()?.compression.clone()),
            },
            |mut all, (_, leg)| {
                let one = leg.manifest.inventory.as_ref()?;
                all.entries += one.entries;
                all.bytes = all.bytes.saturating_add(one.bytes);
                all.sha256.push_str(&one.sha256);
                Some(all)
            },
        );
        // That of the first leg that has one: legs whose files were reused have none.
        manifest.file_list = (legs.iter()).find_map(|(_, leg)| leg.manifest.file_list.clone());
        Ok(Loaded {
            manifest,
            raw,
            has_checksums: legs.iter().all(|(_, leg)| leg.has_checksums),
            sealed: legs.iter().all(|(_, leg)| leg.sealed),
        })
    }

    /// Brings the list of a backup's files into a private file in `scratch`, checked: the
    /// inventory, or, for a backup that Arc made, a listing of the target. Of a run, the lists of
    /// all legs become one.
    ///
    /// # Errors
    /// [`InventoryFault::Damaged`] says what is wrong with it.
    pub async fn inventory(
        &self,
        id: &BackupId,
        loaded: &Loaded,
        scratch: &Path,
    ) -> Result<Inventory, InventoryFault> {
        if self.legs().is_empty() {
            return self.inventory_of_one(id, loaded, scratch).await;
        }
        let mut lists = Vec::new();
        for (number, (repository, leg)) in load_legs(self.legs(), id).await?.iter().enumerate() {
            let folder = scratch.join(format!("leg-{number}"));
            crate::files::create_folder(&folder).map_err(|e| Error::io("create", &folder, e))?;
            let list = repository.inventory_of_one(id, leg, &folder).await;
            lists.push(list.map_err(|fault| match fault {
                InventoryFault::Damaged { list, detail } => InventoryFault::Damaged {
                    list,
                    detail: format!("in {}: {detail}", repository.label()),
                },
                other @ InventoryFault::Other(_) => other,
            })?);
        }
        Inventory::merge(&scratch.join(format!("{id}.run")), &lists)
    }

    /// The note of a backup; `None` when it has none. Of a run, it says what is so of all legs: the
    /// oldest verification, and any fault.
    ///
    /// # Errors
    /// When it can't be read, or is not a note.
    pub async fn note(&self, id: &BackupId) -> Result<Option<Note>> {
        if self.legs().is_empty() {
            return self.note_of_one(id).await;
        }
        let notes = join_all(self.legs().iter().map(|leg| leg.note_of_one(id))).await;
        let mut all: Option<Note> = None;
        for note in notes {
            let note = note?.unwrap_or_default();
            all = Some(match all {
                None => note,
                Some(other) => worse(other, note),
            });
        }
        Ok(all)
    }
}

/// What is so of two legs together.
fn worse(one: Note, other: Note) -> Note {
    let older = |a: Option<LastVerified>, b: Option<LastVerified>| match (a, b) {
        (Some(a), Some(b)) if moment(&a) <= moment(&b) => Some(a),
        (Some(_), Some(b)) => Some(b),
        // One that was never verified.
        _ => None,
    };
    let failed = one.fault().cloned().or_else(|| other.fault().cloned());
    Note {
        last_verified: older(one.last_verified, other.last_verified),
        last_full: older(one.last_full, other.last_full),
        last_rehearsed: older(one.last_rehearsed, other.last_rehearsed),
        last_failed: failed,
        ..one
    }
}

fn moment(done: &LastVerified) -> Option<jiff::Timestamp> {
    done.at.parse().ok()
}

/// Loads the manifest of each leg. The first fault ends it, that of an unreachable target last: a
/// leg that is known to be missing is the better answer.
async fn load_legs<'a>(
    legs: &'a [Repository],
    id: &BackupId,
) -> Result<Vec<(&'a Repository, Loaded)>> {
    let loaded = join_all(legs.iter().map(|leg| leg.load_one(id))).await;
    let (mut found, mut fault) = (Vec::new(), None);
    for (leg, loaded) in legs.iter().zip(loaded) {
        match loaded {
            Ok(loaded) => found.push((leg, loaded)),
            Err(error) => match fault_of_leg(leg, id, error) {
                error @ (Error::Damaged { .. } | Error::Unreadable { .. }) => return Err(error),
                error => fault = Some(error),
            },
        }
    }
    fault.map_or(Ok(found), Err)
}

/// The error of a leg that can't be loaded, which names the target and what to do.
pub(crate) fn fault_of_leg(leg: &Repository, id: &BackupId, error: Error) -> Error {
    let place = leg.label();
    match error {
        Error::NotFound(_) => damaged(
            id,
            format!(
                "{place} does not hold its leg: bring it back there, or delete what is left of the backup"
            ),
        ),
        Error::Damaged { detail, .. } => damaged(id, format!("its leg in {place}: {detail}")),
        Error::Unreadable {
            id, state, detail, ..
        } => Error::Unreadable {
            id,
            state,
            detail: format!("its leg in {place}: {detail}"),
        },
        error if is_of_target(&error) => leg.named(error).context(format!(
            "{place} has a leg of backup `{id}`, and all legs are needed: try again when it answers"
        )),
        error => leg.named(error),
    }
}

fn is_of_target(error: &Error) -> bool {
    (error.storage_fault()).is_some_and(|fault| fault.kind() != ErrorKind::Cancelled)
}

/// Checks that these are the legs of one run, all of them, and the default leg among them.
///
/// # Errors
/// What is wrong, for people.
pub(crate) fn run_of(id: &BackupId, legs: &[(&Repository, Loaded)]) -> Result<Run, String> {
    // That of the default leg is the run: it is written last.
    let named = (legs.iter().find(|(_, leg)| leg.manifest.is_default_leg()))
        .or(legs.first())
        .and_then(|(_, leg)| leg.manifest.run());
    let Some(run) = named else {
        return Err(format!("`{id}` is not a backup over several targets"));
    };
    let is_ours = legs.first().is_some_and(|(_, leg)| leg.sealed);
    for (repository, leg) in legs {
        let checked = match leg.sealed == is_ours {
            true => leg.manifest.check_leg(repository.name(), &run),
            false => Err("it is the leg of another run".to_owned()),
        };
        checked.map_err(|detail| {
            format!(
                "its leg in {}: {detail}. The run is of the targets {}",
                repository.label(),
                (run.targets.iter().cloned().collect::<Vec<_>>()).join(", ")
            )
        })?;
    }
    let held: Vec<_> = legs
        .iter()
        .map(|(repository, _)| repository.name())
        .collect();
    if let Some(missing) = run.targets.iter().find(|name| !held.contains(&&***name)) {
        return Err(format!("its leg in target {missing:?} is missing"));
    }
    let legs = legs.iter().map(|(_, leg)| &leg.manifest);
    Run::check_default(legs.map(|leg| (leg.is_default_leg(), !leg.scope.is_empty())))?;
    Ok(run)
}

fn damaged(id: &BackupId, detail: String) -> Error {
    Error::Damaged {
        id: id.to_string(),
        detail,
    }
}
