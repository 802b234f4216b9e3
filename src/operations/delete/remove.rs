//! Deleting a backup: first its manifest, so that a partly deleted backup is not listed, then its
//! files, except those that other backups need.

use std::collections::BTreeMap;

use arc_backup_core::ErrorKind;

use crate::manifest::BackupId;
use crate::operations::Phase;
use crate::operations::context::Context;
use crate::operations::pins;
use crate::repository::{Count, DELETE, Freed, Journal, Mode, Planned, Removal, Repository};
use crate::{Error, Result};

/// Deletes the backup of the operation, and reports what that freed.
pub(crate) async fn run(context: &Context) -> Result<()> {
    context.running.phase(Phase::Deleting);
    let freed = remove(context, &context.repository, &context.id).await?;
    context.running.update(|operation| {
        operation.freed_files = Some(freed.freed_files);
        operation.freed_bytes = Some(freed.freed_bytes);
        operation.retained_files = Some(freed.retained_files);
        operation.retained_bytes = Some(freed.retained_bytes);
    });
    Ok(())
}

/// Deletes one backup in the running operation, which holds the locks of its targets. Several are
/// deleted by one [`Deleter`].
///
/// # Errors
/// Where it is not known which files other backups need, nothing is deleted.
pub(crate) async fn remove(
    context: &Context,
    repository: &Repository,
    id: &BackupId,
) -> Result<Freed> {
    let mut deleter = Deleter {
        count: Count::One,
        ..Deleter::new(context)
    };
    deleter.remove(repository, id).await
}

/// Deletes backups one after the other. The manifests of a target are read once.
pub(crate) struct Deleter<'a> {
    context: &'a Context,
    count: Count,
    /// What is known of each target, by its name.
    targets: BTreeMap<String, Removal<'a>>,
}

/// A backup, or a leg, that is being deleted.
struct Part {
    repository: Repository,
    planned: Option<Planned>,
    /// Whether the number of its files was known before they were listed.
    is_counted: bool,
}

impl<'a> Deleter<'a> {
    /// A new one, which knows nothing of any target yet.
    pub(crate) fn new(context: &'a Context) -> Self {
        Self {
            context,
            count: Count::Several,
            targets: BTreeMap::new(),
        }
    }

    /// Deletes the backup, and returns what that freed. Of a run, the manifests of all legs go
    /// first, that of the default leg last: an interrupted deletion leaves legs that are never
    /// taken for the whole.
    pub(crate) async fn remove(&mut self, repository: &Repository, id: &BackupId) -> Result<Freed> {
        let context = self.context;
        let mut parts = repository.legs().to_vec();
        match parts.is_empty() {
            true => parts.push(repository.clone()),
            false => parts.rotate_left(1),
        }
        let mut parts: Vec<_> = (parts.into_iter())
            .map(|repository| Part {
                repository,
                planned: None,
                is_counted: false,
            })
            .collect();
        // Nothing is changed anywhere before it is known that it may be.
        for part in &mut parts {
            let planned = context.or_cancelled(self.plan(&part.repository, id)).await;
            part.planned = Some(planned.map_err(|error| part.repository.named(error))?);
        }
        // From the last look at its pin to the end of its manifest, nobody can pin it.
        let of_notes = repository.parts();
        let locks = context.or_cancelled(pins::lock_unpinned(&of_notes, id));
        let locks = locks.await?;
        let begun = self.begin_all(&mut parts, id).await;
        pins::release(locks).await;
        begun?;
        let mut freed = Freed::default();
        for part in &mut parts {
            let removed = context.or_cancelled(self.remove_rest(part, id)).await;
            freed += removed.map_err(|error| match error.is_cancelled() {
                true => error.context(
                    "the backup is no longer listed: delete it again, or sweep, to remove its remaining files",
                ),
                false => part.repository.named(error),
            })?;
        }
        Ok(freed)
    }

    /// Records that the deletion begins, and removes the manifests.
    async fn begin_all(&mut self, parts: &mut [Part], id: &BackupId) -> Result<()> {
        let context = self.context;
        for part in &*parts {
            let begun = context.or_cancelled(self.begin(part, id)).await;
            begun.map_err(|error| part.repository.named(error))?;
        }
        for part in parts {
            let ended = context.or_cancelled(end_backup(context, &part.repository, id));
            part.is_counted = (ended.await).map_err(|error| part.repository.named(error))?;
        }
        Ok(())
    }

    /// Works out what other backups need.
    async fn plan(&mut self, repository: &Repository, id: &BackupId) -> Result<Planned> {
        let context = self.context;
        repository.check_no_readers().await?;
        let name = repository.name().to_owned();
        let removal = match self.targets.remove(&name) {
            Some(removal) => removal,
            None => {
                let scratch = Box::new(|| context.scratch().map(ToOwned::to_owned));
                Removal::open(repository, Mode::Remove, self.count, scratch).await?
            }
        };
        self.targets.entry(name).or_insert(removal).plan(id).await
    }

    fn removal(&mut self, part: &Part) -> Result<&mut Removal<'a>> {
        let removal = self.targets.get_mut(part.repository.name());
        removal.ok_or_else(|| Error::Failed("the deletion was not planned".to_owned()))
    }

    /// Removes an incomplete copy of the same id, and records that the deletion begins.
    async fn begin(&mut self, part: &Part, id: &BackupId) -> Result<()> {
        let (context, repository) = (self.context, &part.repository);
        if repository.has_incomplete(id).await? {
            context.check_lock().await?;
            repository.remove_incomplete(id).await?;
        }
        let journal = Journal {
            backup_id: id.to_string(),
            ..context.journal(DELETE)
        };
        let Some(planned) = &part.planned else {
            return Ok(());
        };
        (repository.begin_deletion(&journal, planned.has_retained())).await?;
        self.removal(part)?.record(id, planned).await
    }

    /// Removes the remaining files.
    async fn remove_rest(&mut self, part: &mut Part, id: &BackupId) -> Result<Freed> {
        let context = self.context;
        let Some(planned) = part.planned.take() else {
            return Ok(Freed::default());
        };
        let (repository, is_counted) = (&part.repository.clone(), part.is_counted);
        let has_retained = planned.has_retained();
        let mut report = |files, bytes| {
            context.check_cancelled()?;
            if !is_counted {
                context.running.progress.expect(files, bytes);
            }
            context.running.progress.add_bytes(bytes);
            context.running.progress.add_files(files);
            Ok(())
        };
        let removal = self.removal(part)?;
        let holders = removal.forget(id);
        let mut freed = removal.clear(id, planned, &mut report).await?;
        // Folders, special files and incomplete uploads.
        let rest = match has_retained {
            true => repository.remove_beside(id).await,
            false => repository.remove_backup(id).await,
        };
        match rest {
            // All objects are gone. Listing incomplete uploads is a permission of its own on S3.
            Err(Error::Storage(error))
                if error.kind() == ErrorKind::PermissionDenied
                    && (has_retained || !repository.has_anything_left_of(id).await?) =>
            {
                context.warn(format!("incomplete uploads may remain: {error}"));
            }
            removed => removed?,
        }
        let mut of_others = |files, bytes| {
            context.check_cancelled()?;
            context.running.progress.expect(files, bytes);
            context.running.progress.add_bytes(bytes);
            context.running.progress.add_files(files);
            Ok(())
        };
        let (released, faults) = removal.release(holders, &mut of_others).await?;
        freed += released;
        for fault in faults {
            context.warn(fault);
        }
        if repository.sink().properties().keeps_deleted {
            context.warn(
                "the store keeps deleted files as earlier versions: their space is freed when a lifecycle rule removes \
                 these (docs/storage.md)"
                    .to_owned(),
            );
        }
        repository.end_journal(id).await?;
        Ok(freed)
    }
}

/// Removes the manifest, and returns whether the number of remaining files is known.
async fn end_backup(context: &Context, repository: &Repository, id: &BackupId) -> Result<bool> {
    // The totals, if the manifest has them. Otherwise they grow while the files are listed.
    let loaded = repository.load(id).await.ok();
    let known = loaded
        .map(|loaded| loaded.manifest)
        .filter(|manifest| manifest.stored_in.is_empty())
        .and_then(|manifest| manifest.inventory);
    if let Some(known) = &known {
        context.running.progress.expect(known.entries, known.bytes);
    }
    context.check_cancelled()?;
    context.check_lock().await?;
    repository.remove_manifest(id).await?;
    Ok(known.is_some())
}
