//! Where a copy reads and where it writes, the lease in the one and the lock of the other.

use std::sync::Arc;

use arc_backup_core::{Error as CoreError, ErrorKind, LockGuard};
use async_trait::async_trait;

use crate::operations::ArcBackup;
use crate::operations::copy::options::CopyOptions;
use crate::operations::legs::{leases, locks as of_targets};
use crate::operations::shared_places::place_of;
use crate::repository::{Holder, Repository};
use crate::{Error, Result};

/// Finds the source of a copy, which becomes part of its options, and returns its destination.
///
/// # Errors
/// [`Error::Invalid`] where they are one place, where the backup is in the destination alone, or
/// where several other targets hold it; [`Error::NotFound`] where none does.
pub(crate) async fn locate(engine: &ArcBackup, options: &mut CopyOptions) -> Result<Repository> {
    let (id, to) = (&options.id, &options.to);
    let destination = engine.repository(Some(to))?.clone();
    if options.from.as_ref() == Some(to) {
        return Err(Error::Invalid(format!(
            "target {to:?} is both the source and the destination of the copy: name another one (`to`, --to)"
        )));
    }
    let (source, loaded) = match &options.from {
        Some(from) => engine.locate(id, Some(from)).await?,
        None => engine.locate_source(id, to).await?,
    };
    let loaded = loaded?;
    if let (Some(run), true) = (loaded.manifest.run(), source.legs().is_empty()) {
        let targets: Vec<_> = run.targets.iter().map(String::as_str).collect();
        return Err(Error::Invalid(format!(
            "backup `{id}` in {} is only a leg of a backup over the targets {}: copy all of it, without --from (`target`)",
            source.label(),
            targets.join(", ")
        )));
    }
    for part in source.parts() {
        if part.name() == to {
            return Err(Error::Invalid(format!(
                "target {to:?} holds a leg of backup `{id}`, and cannot hold a copy of all of it as well: name another one (`to`, --to)"
            )));
        }
        check_apart(part, &destination)?;
    }
    options.source = Some(source);
    Ok(destination)
}

/// Refuses a destination that lies in the source, or the other way round: files of one would be
/// files of the other.
fn check_apart(source: &Repository, destination: &Repository) -> Result<()> {
    let (Some(one), Some(other)) = (place_of(source.sink()), place_of(destination.sink())) else {
        return Ok(());
    };
    let is_inside =
        one.0 == other.0 && (one.1.starts_with(&other.1) || other.1.starts_with(&one.1));
    if !is_inside {
        return Ok(());
    }
    Err(Error::Invalid(format!(
        "{} ({}) and {} ({}) lie in one another: a copy needs a place of its own; choose another prefix, bucket, container or folder",
        destination.label(),
        destination.sink().location(),
        source.label(),
        source.sink().location()
    )))
}

/// Takes the lock of the destination, and a lease in the source, so that nothing is deleted there
/// while it is read. A source that can only be read has none; the texts are warnings about a
/// deletion there.
///
/// # Errors
/// [`Error::Busy`] names the holder. A lock that was taken is released.
pub(crate) async fn locks(
    source: &Repository,
    destination: &Repository,
    holder: &Holder,
) -> Result<(Option<Arc<dyn LockGuard>>, Vec<String>)> {
    let of_destination = of_targets::take(destination, holder, false).await?;
    match leases::take(source, holder).await {
        Ok((None, warnings)) => Ok((of_destination, warnings)),
        Ok((of_source, warnings)) => {
            let locks = CopyLocks {
                of_destination,
                of_source,
                source: source.names(),
            };
            Ok((Some(Arc::new(locks)), warnings))
        }
        Err(error) => {
            if let Some(lock) = of_destination
                && let Err(fault) = lock.release().await
            {
                tracing::warn!(error = %fault, "cannot release the lock of the destination");
            }
            Err(error)
        }
    }
}

/// The lock of the destination of a copy, and the lease in its source.
struct CopyLocks {
    of_destination: Option<Arc<dyn LockGuard>>,
    of_source: Option<Arc<dyn LockGuard>>,
    /// The name of the source.
    source: String,
}

#[async_trait]
impl LockGuard for CopyLocks {
    async fn check(&self) -> Result<(), CoreError> {
        if let Some(lock) = &self.of_destination {
            lock.check().await?;
        }
        if let Some(lock) = &self.of_source {
            lock.check().await.map_err(|error| match error.kind() {
                ErrorKind::Busy => CoreError::new(
                    ErrorKind::Busy,
                    "check",
                    self.source.clone(),
                    format!(
                        "of the source, target {:?}: {}",
                        self.source,
                        error.detail()
                    ),
                ),
                _ => error,
            })?;
        }
        Ok(())
    }

    async fn release(&self) -> Result<(), CoreError> {
        let mut ended = Ok(());
        for lock in [&self.of_source, &self.of_destination]
            .into_iter()
            .flatten()
        {
            let released = lock.release().await;
            if ended.is_ok() {
                ended = released;
            }
        }
        ended
    }
}
