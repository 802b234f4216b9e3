//! What a deletion would free.

use std::collections::BTreeMap;
use std::path::Path;

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::repository::{Count, Freed, Mode, Removal, Repository};

/// Works out what deletions free, one after the other: each adds to those before it.
pub(crate) struct Estimator<'a> {
    scratch: &'a Path,
    count: Count,
    /// What is known of each target, by its name.
    targets: BTreeMap<String, Removal<'a>>,
}

impl<'a> Estimator<'a> {
    /// A new one, for so many backups. `scratch` is a folder for temporary files.
    pub(crate) fn new(scratch: &'a Path, backups: usize) -> Self {
        Self {
            scratch,
            count: match backups {
                0 | 1 => Count::One,
                _ => Count::Several,
            },
            targets: BTreeMap::new(),
        }
    }

    /// What deleting this backup frees, after those that were added before.
    pub(crate) async fn add(&mut self, repository: &Repository, id: &BackupId) -> Result<Freed> {
        let mut freed = Freed::default();
        let parts = repository.parts();
        for part in parts {
            let one = self.add_part(part, id).await;
            freed += one.map_err(|error| part.named(error))?;
        }
        Ok(freed)
    }

    async fn add_part(&mut self, repository: &Repository, id: &BackupId) -> Result<Freed> {
        let name = repository.name().to_owned();
        let removal = match self.targets.remove(&name) {
            Some(removal) => removal,
            None => {
                let scratch = self.scratch;
                let scratch = Box::new(|| Ok(scratch.to_owned()));
                Removal::open(repository, Mode::Estimate, self.count, scratch).await?
            }
        };
        let removal = self.targets.entry(name).or_insert(removal);
        let planned = removal.plan(id).await?;
        let holders = removal.forget(id);
        let mut freed = removal.clear(id, planned, &mut |_, _| Ok(())).await?;
        let (released, _) = removal.release(holders, &mut |_, _| Ok(())).await?;
        freed += released;
        Ok(freed)
    }
}

impl ArcBackup {
    /// Works out what deleting this backup frees. Changes nothing. Returns the targets that hold
    /// it, too.
    ///
    /// # Errors
    /// As a deletion: [`Error::Pinned`](crate::Error::Pinned) where a pin keeps it, as
    /// [`locate_anything`](Self::locate_anything), and where it is not known which files other
    /// backups need.
    pub async fn estimate_deletion(
        &self,
        id: &BackupId,
        target: Option<&str>,
    ) -> Result<(Vec<String>, Freed)> {
        let repository = self.locate_to_delete(id, target).await?;
        let scratch = self.scratch.for_reading()?;
        let freed = (Estimator::new(scratch.path(), 1).add(&repository, id)).await?;
        let targets = repository.parts().into_iter();
        Ok((targets.map(|part| part.name().to_owned()).collect(), freed))
    }

    /// Works out what deleting these backups frees, in this order, each in its target or in the one
    /// that holds it. Changes nothing.
    ///
    /// # Errors
    /// As [`estimate_deletion`](Self::estimate_deletion).
    pub async fn estimate_deletions(&self, named: &[(BackupId, Option<String>)]) -> Result<Freed> {
        let scratch = self.scratch.for_reading()?;
        let mut estimator = Estimator::new(scratch.path(), named.len());
        let mut freed = Freed::default();
        for (id, target) in named {
            let repository = self.locate_to_delete(id, target.as_deref()).await?;
            freed += estimator.add(&repository, id).await?;
        }
        // One that goes too needs nothing any more.
        let goes = |id: &String| named.iter().any(|(gone, _)| gone.as_str() == id);
        freed.needed_by.retain(|id| !goes(id));
        Ok(freed)
    }
}
