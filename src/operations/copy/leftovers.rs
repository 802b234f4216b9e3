//! What interrupted operations left at the destination: what a copy takes over, and what it leaves
//! behind itself.

use arc_backup_core::{Discard, Discarded, ErrorKind, Key};

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::Phase;
use crate::operations::backup::write_faults::WriteFaults;
use crate::operations::context::Context;
use crate::repository::{StoredLog, folder, own};

/// The name of the operation in its journal.
pub(crate) const COPY: &str = "copy";

/// Begins the journal of the copy. Returns the interrupted operations whose stored files it can
/// use: its own first.
pub(crate) async fn prepare(context: &Context) -> Result<Vec<BackupId>> {
    let (repository, id) = (&context.repository, &context.id);
    context.running.phase(Phase::Preparing);
    let journal = repository.open_journal(id).await?;
    if (journal.as_ref()).is_some_and(|journal| journal.operation == "delete") {
        // A deletion that did not end: what is left of that backup is not what was copied.
        repository.sweep_one(id, false).await?;
    }
    repository.forget_stale_entry(id).await?;
    if journal.is_some() {
        // Those of the copy that died: they are no files yet, and take room.
        discard_uploads(context, &folder(id)).await;
    }
    let resumable = repository.resumable().await?;
    let own = journal.map(|_| id.clone()).into_iter();
    let others = resumable.into_iter().map(|one| one.id);
    let unfinished = own.chain(others.filter(|one| one != id)).collect();
    repository.begin_again(&context.journal(COPY)).await?;
    Ok(unfinished)
}

/// Ends the journal of a copy that was published, and removes other copies that were interrupted:
/// what they stored is in this one, as far as it is still needed. Interrupted backups and deletions
/// are left to those who resume them.
pub(crate) async fn tidy(context: &Context) -> Result<()> {
    let repository = &context.repository;
    if let Err(error) = repository.end_journal(&context.id).await {
        tracing::warn!(%error, "the journal of a published copy stays until the next sweep");
    }
    // Without the lock, another process may be writing here.
    context.check_lock().await?;
    discard_uploads(context, &own("journal")).await;
    for (id, journal) in repository.open_journals().await? {
        if journal.operation != COPY || repository.is_published(&id).await? {
            continue;
        }
        if let Err(error) = repository.sweep_one(&id, false).await {
            context.warn(format!(
                "cannot remove what an interrupted copy of `{id}` left: {error}"
            ));
        }
    }
    Ok(())
}

/// Ends the journal of a copy that died when it was published already.
pub(crate) async fn end_published(context: &Context) {
    let repository = &context.repository;
    let ended = async {
        let journal = repository.open_journal(&context.id).await?;
        if journal.is_some_and(|journal| journal.operation == COPY) {
            context.check_lock().await?;
            repository.end_journal(&context.id).await?;
        }
        Ok::<_, crate::Error>(())
    };
    if let Err(error) = ended.await {
        tracing::warn!(%error, "the journal of a published copy stays until the next sweep");
    }
}

/// Removes unfinished uploads below a folder. Listing them is a right of its own in some stores:
/// where it is missing they stay.
async fn discard_uploads(context: &Context, folder: &Key) {
    let sink = context.repository.sink();
    let discarded = sink.discard_unfinished(Some(folder), Discard::Remove).await;
    if let Err(error) = discarded.and_then(Discarded::whole) {
        tracing::warn!(%error, "unfinished uploads of interrupted copies stay");
    }
}

/// Keeps of a failed copy the files that the next one can use; nothing on a full disk, or where
/// nothing was stored.
pub(crate) async fn clean_up(
    context: &Context,
    log: &mut StoredLog,
    faults: &WriteFaults,
) -> Result<()> {
    let (repository, id) = (&context.repository, &context.id);
    if let Some(lock) = &context.lock
        && matches!(lock.check().await, Err(error) if error.kind() == ErrorKind::Busy)
    {
        // Whoever has the lock now may be working with what is there.
        return Ok(());
    }
    if faults.lost_stored_files() {
        return repository.sweep_one(id, false).await;
    }
    log.flush().await?;
    // Requests that were cancelled may still arrive: with the journal they belong to the next copy.
    if log.is_empty() && !log.resumes() && !context.running.cancel.is_cancelled() {
        repository.sweep_one(id, false).await?;
    }
    Ok(())
}
