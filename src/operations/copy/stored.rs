//! Files that the destination has already: from an interrupted copy or backup, or in the base.

use std::sync::Arc;

use arc_backup_core::{EntityTag, Error as CoreError, ErrorKind, Section};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::manifest::{BackupId, Record};
use crate::operations::backup::resume::is_whole;
use crate::operations::context::Context;
use crate::operations::copy::base::Base;
use crate::operations::copy::same::is_same;
use crate::operations::copy::source::Source;
use crate::repository::{StoredReader, file_key, location_of};
use crate::sorted::{Joined, merge_join};
use crate::{Error, Result};

/// A file of the copied backup, and where the destination may have its bytes.
pub(crate) struct Candidate {
    /// As it is to be in the copy: its bytes in its own folder.
    pub(crate) record: Record,
    place: Place,
}

/// Where the destination may have the bytes of a file.
enum Place {
    /// Nowhere.
    None,
    /// In the folder of this interrupted operation, with this entity tag.
    Stored(BackupId, Option<String>),
    /// In the base, by this record of it.
    Base(Box<Record>),
}

/// What became of a candidate.
pub(crate) enum Placed {
    /// It is in the copy's folder.
    Here {
        record: Record,
        etag: Option<String>,
        /// Whether it was there before, and is in the log.
        is_logged: bool,
    },
    /// Another backup has it, and the copy refers to that one.
    Elsewhere(Record),
    /// It has to be copied.
    Missing(Record),
}

/// The files of a section of the source, each with the place where the destination may have it.
pub(crate) async fn candidates<'a>(
    context: &'a Context,
    source: &Source,
    section: &Section,
    unfinished: &[BackupId],
    base: Option<&'a Arc<Base>>,
) -> Result<BoxStream<'a, Result<Candidate>>> {
    let mut readers = Vec::new();
    for id in unfinished {
        readers.extend(StoredReader::open(&context.repository, id, section).await?);
    }
    let records = stream::iter(source.inventory.records_of(section)?);
    let of_base = match base {
        Some(base) => stream::iter(base.inventory.records_of(section)?).boxed(),
        None => stream::empty().boxed(),
    };
    let joined = merge_join(records, of_base);
    let candidates = stream::try_unfold((joined, readers), move |(mut joined, mut readers)| {
        async move {
            while let Some(next) = joined.try_next().await? {
                context.check_cancelled()?;
                let (record, of_base) = match next {
                    Joined::Left(record) => (record, None),
                    Joined::Both(record, of_base) => (record, Some(of_base)),
                    Joined::Right(_) => continue,
                };
                let record = Record {
                    stored_in: None,
                    ..record
                };
                let mut place = match stored_already(&record, &mut readers).await? {
                    Some((id, etag)) => Place::Stored(id, etag),
                    None => Place::None,
                };
                if let (Some(base), Some(of_base)) = (base, of_base)
                    && record.entry.sha256.is_some()
                    && is_same(&record, &of_base)
                    && !base.absent.contains(record.path.as_str())
                    // What is in place already stays there.
                    && !matches!(&place, Place::Stored(id, _) if *id == context.id)
                {
                    place = Place::Base(Box::new(of_base));
                }
                return Ok(Some((Candidate { record, place }, (joined, readers))));
            }
            Ok(None)
        }
    });
    Ok(candidates.boxed())
}

/// The interrupted operation that has stored this file, if one has. The readers are asked in byte
/// order of the keys.
async fn stored_already(
    record: &Record,
    readers: &mut [StoredReader],
) -> Result<Option<(BackupId, Option<String>)>> {
    let mut found = None;
    for reader in readers {
        let Some((stored, etag)) = reader.at(&record.entry.key).await? else {
            continue;
        };
        // The last time that it was stored counts: an earlier copy of the log may be outdated.
        let is_of_first = (found.as_ref()).is_none_or(|(id, _)| id == reader.id());
        if is_of_first && record.entry.sha256.is_some() && is_same(record, &stored) {
            found = Some((reader.id().clone(), etag));
        }
    }
    Ok(found)
}

impl Candidate {
    /// Brings the file into the copy without reading it from the source, where that can be done.
    ///
    /// # Errors
    /// Where the destination does not answer. Any other fault means that it is copied, and shows
    /// then.
    pub(crate) async fn place(
        self,
        context: &Context,
        base: Option<&Base>,
        stop: &CancellationToken,
    ) -> Result<Placed> {
        let Self { record, place } = self;
        let placed = match (place, base) {
            (Place::Stored(id, etag), _) => {
                take_stored(context, &record, &id, etag.as_deref(), stop).await
            }
            (Place::Base(of_base), Some(base)) => {
                return take_from_base(context, record, &of_base, base, stop).await;
            }
            _ => Ok(None),
        };
        match placed {
            Ok(Some((etag, is_logged))) => Ok(Placed::Here {
                record,
                etag,
                is_logged,
            }),
            Ok(None) => Ok(Placed::Missing(record)),
            Err(error) => or_copied(record, error),
        }
    }
}

/// A destination that does not answer ends the copy; whatever else is wrong, the file is copied.
fn or_copied(record: Record, error: Error) -> Result<Placed> {
    let fault = error.storage_fault().map(CoreError::kind);
    if matches!(
        fault,
        Some(ErrorKind::Unavailable | ErrorKind::Throttled) | None
    ) {
        return Err(error);
    }
    tracing::debug!(%error, "file not reused");
    Ok(Placed::Missing(record))
}

/// Checks a file that an interrupted operation has stored, by its bytes, or in a store by its
/// entity tag, and brings it into the copy's folder. Returns its entity tag, and whether it was
/// there before.
async fn take_stored(
    context: &Context,
    record: &Record,
    id: &BackupId,
    etag: Option<&str>,
    stop: &CancellationToken,
) -> Result<Option<(Option<String>, bool)>> {
    let sink = context.repository.sink();
    let (from, to) = (
        file_key(id, &record.path)?,
        file_key(&context.id, &record.path)?,
    );
    // A weak tag does not prove the content, so the file is read. It is also read if it may not
    // have reached the disk before a power loss.
    let is_known =
        sink.properties().entity_tag == EntityTag::Strong && sink.deferred_durability().is_none();
    let is_good = match is_known {
        true => (sink.head(&from).await?).is_some_and(|meta| {
            meta.size == record.entry.size && meta.etag.is_some() && meta.etag.as_deref() == etag
        }),
        false => is_whole(context, &from, &record.entry, stop).await?,
    };
    if !is_good {
        return Ok(None);
    }
    if *id == context.id {
        return Ok(Some((etag.map(str::to_owned), true)));
    }
    let taken = sink.duplicate(&from, &to).await?;
    Ok(taken.map(|meta| (meta.etag, false)))
}

/// Makes the file of the base one of the copy: by a hard link, or by naming the backup that holds
/// the bytes.
async fn take_from_base(
    context: &Context,
    record: Record,
    of_base: &Record,
    base: &Base,
    stop: &CancellationToken,
) -> Result<Placed> {
    let (holder, from) = location_of(&base.id, of_base)?;
    if base.in_doubt {
        match is_whole(context, &from, &record.entry, stop).await {
            Ok(true) => {}
            Ok(false) => {
                tracing::warn!(%from, "damaged: it is copied again");
                return Ok(Placed::Missing(record));
            }
            Err(error) => return or_copied(record, error.into()),
        }
    }
    let Some(links) = context.repository.sink().hard_links() else {
        return Ok(Placed::Elsewhere(Record {
            stored_in: Some(holder),
            ..record
        }));
    };
    let to = file_key(&context.id, &record.path)?;
    match links.link(&from, &to).await {
        Ok(meta) if meta.size == record.entry.size => Ok(Placed::Here {
            record,
            etag: meta.etag,
            is_logged: false,
        }),
        Ok(_) => Ok(Placed::Missing(record)),
        Err(error) => or_copied(record, error.into()),
    }
}
