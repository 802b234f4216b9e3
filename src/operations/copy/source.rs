//! The backup that is copied, as its target has it.

use arc_backup_core::Key;

use crate::manifest::{Inventory, InventoryFault};
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::completeness;
use crate::repository::{Loaded, Repository};
use crate::{Error, Result};

/// The largest manifest-like object that is carried over as it is, in bytes.
pub(crate) const LIST_LIMIT: u64 = 1 << 30;

/// A backup that is read.
pub(crate) struct Source {
    pub(crate) repository: Repository,
    pub(crate) loaded: Loaded,
    pub(crate) inventory: Inventory,
}

impl Source {
    /// Reads the manifest and the list of the files of the operation's backup. The files themselves
    /// are read when they are copied: those that the destination has are not.
    ///
    /// # Errors
    /// Where the backup is damaged as far as that shows.
    pub(crate) async fn read(context: &Context, repository: &Repository) -> Result<Self> {
        let id = &context.id;
        let loaded = (repository.load(id).await).map_err(|error| repository.named(error))?;
        let is_arcs_run = !loaded.sealed && !repository.legs().is_empty();
        if is_arcs_run {
            return Err(Error::Failed(format!(
                "backup `{id}` is one that Arc made over the targets {}: its legs belong together, and cannot be {} as one backup",
                repository.names(),
                context.running.snapshot().operation.participle()
            )));
        }
        let folder = context.scratch()?.join("source");
        crate::files::create_folder(&folder).map_err(|e| Error::io("create", &folder, e))?;
        let inventory = match repository.inventory(id, &loaded, &folder).await {
            Ok(inventory) => inventory,
            Err(InventoryFault::Damaged { list, detail }) => {
                let mut problems = Problems::new(&context.running);
                problems.add(list, ProblemKind::Inventory, format!("{list} {detail}"));
                problems.failure(&damaged(context, repository))?;
                return Err(Error::Failed(damaged(context, repository)));
            }
            Err(InventoryFault::Other(error)) => return Err(repository.named(error)),
        };
        let mut problems = Problems::new(&context.running);
        match loaded.sealed {
            true => completeness::check_counts(&mut problems, &loaded, &inventory)?,
            false => completeness::check_arcs_counts(&mut problems, &loaded, &inventory)?,
        }
        problems.failure(&damaged(context, repository))?;
        context
            .running
            .update(|operation| operation.has_checksums = Some(loaded.has_checksums));
        Ok(Self {
            repository: repository.clone(),
            loaded,
            inventory,
        })
    }

    /// Reads a small object of the backup as it is.
    pub(crate) async fn read_object(&self, key: &Key) -> Result<Vec<u8>> {
        let read = self.repository.read_small(key, LIST_LIMIT).await;
        let bytes = read.map_err(|error| self.repository.named(error.into()))?;
        bytes.ok_or_else(|| {
            Error::Failed(format!(
                "`{key}` is gone from {} since it was listed",
                self.repository.label()
            ))
        })
    }
}

/// What an operation that reads a whole backup says of one with a fault.
pub(crate) fn damaged(context: &Context, source: &Repository) -> String {
    let id = &context.id;
    let kind = context.running.snapshot().operation;
    format!(
        "backup `{id}` is damaged in {}, and was not {} (`arc-backup verify {id} --target {}` names every fault)",
        source.label(),
        kind.participle(),
        source.name()
    )
}
