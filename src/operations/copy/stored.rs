//! Files that the destination has already: from an interrupted copy or backup, or in the base.

use std::sync::Arc;

use arc_backup_core::{EntityTag, Error as CoreError, ErrorKind, Section};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio_util::sync::CancellationToken;

use crate::manifest::{BackupId, Record};
use crate::operations::backup::resume::{is_whole, read_whole};
use crate::operations::context::Context;
use crate::operations::copy::base::Base;
use crate::operations::copy::holdings::{There, listed};
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
    /// In the copy's own folder, from an interrupted copy that did not come to log it.
    Unlogged,
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
        /// Whether the base has the same bytes, by a hard link.
        is_shared: bool,
    },
    /// Another backup has it, and the copy refers to that one.
    Elsewhere(Record),
    /// It has to be copied.
    Missing(Record),
    /// It has to be copied, as the base has other bytes in this backup.
    Damaged(Record, BackupId),
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
    let own = match unfinished.contains(&context.id) {
        true => Listed::new(context, section),
        false => Listed::default(),
    };
    let first = (joined, readers, own);
    let candidates = stream::try_unfold(first, move |(mut joined, mut readers, mut own)| {
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
                    stored: None,
                    ..record
                };
                let mut place = match stored_already(&record, &mut readers).await? {
                    Some((id, etag)) => Place::Stored(id, etag),
                    None => Place::None,
                };
                let there = own.size_of(&record.path).await?;
                let is_placed = matches!(&place, Place::Stored(id, _) if *id == context.id);
                if !is_placed && record.entry.sha256.is_some() && there == Some(record.entry.size) {
                    place = Place::Unlogged;
                }
                if let (Some(base), Some(of_base)) = (base, of_base)
                    && record.entry.sha256.is_some()
                    && is_same(&record, &of_base)
                    && !base.absent.contains(record.path.as_str())
                    // What is in place already stays there.
                    && !is_placed
                {
                    place = Place::Base(Box::new(of_base));
                }
                return Ok(Some((Candidate { record, place }, (joined, readers, own))));
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
            (Place::Unlogged, _) => take_unlogged(context, &record, stop).await,
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
                is_shared: false,
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

/// Reads a file that lies in the copy's folder already, and of which nothing else is known.
async fn take_unlogged(
    context: &Context,
    record: &Record,
    stop: &CancellationToken,
) -> Result<Option<(Option<String>, bool)>> {
    let at = file_key(&context.id, &record.path)?;
    let whole = read_whole(context, &at, &record.entry, stop).await?;
    Ok(whole.map(|meta| (meta.etag, false)))
}

/// The files that lie in a section of the copy's folder, asked for in byte order.
#[derive(Default)]
struct Listed<'a> {
    listing: Option<BoxStream<'a, Result<There>>>,
    next: Option<There>,
}

impl Listed<'_> {
    fn new(context: &Context, section: &Section) -> Self {
        let section = format!("{section}/");
        let listing = listed(&context.repository, &context.id)
            .try_filter(move |there| std::future::ready(there.path.starts_with(&section)));
        Self {
            listing: Some(listing.boxed()),
            next: None,
        }
    }

    async fn size_of(&mut self, path: &str) -> Result<Option<u64>> {
        loop {
            if let Some(there) = &self.next
                && there.path.as_str() >= path
            {
                return Ok((there.path == path).then_some(there.meta.size));
            }
            self.next = match &mut self.listing {
                Some(listing) => listing.try_next().await?,
                None => None,
            };
            if self.next.is_none() {
                self.listing = None;
                return Ok(None);
            }
        }
    }
}

/// Makes the file of the base one of the copy: by a hard link, or by naming the backup that holds
/// the bytes. Bytes that no known entity tag proves are read and hashed before.
async fn take_from_base(
    context: &Context,
    record: Record,
    of_base: &Record,
    base: &Base,
    stop: &CancellationToken,
) -> Result<Placed> {
    let (holder, from) = location_of(&base.id, of_base)?;
    let stored = match base.proof(of_base) {
        Some(tag) => Some(tag.clone()),
        None => match read_whole(context, &from, &record.entry, stop).await {
            Ok(Some(meta)) => meta.etag,
            // Nothing was found out.
            Ok(None) if stop.is_cancelled() => return Ok(Placed::Missing(record)),
            Ok(None) => return Ok(Placed::Damaged(record, holder)),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Ok(Placed::Damaged(record, holder));
            }
            Err(error) => return or_copied(record, error.into()),
        },
    };
    let Some(links) = context.repository.sink().hard_links() else {
        return Ok(Placed::Elsewhere(Record {
            stored_in: Some(holder),
            stored: strong(context, stored),
            ..record
        }));
    };
    let to = file_key(&context.id, &record.path)?;
    match links.link(&from, &to).await {
        Ok(meta) if meta.size == record.entry.size => Ok(Placed::Here {
            record,
            etag: meta.etag,
            is_logged: false,
            is_shared: true,
        }),
        Ok(_) => Ok(Placed::Missing(record)),
        Err(error) => or_copied(record, error.into()),
    }
}

/// An entity tag at the destination, where it proves the bytes.
pub(crate) fn strong(context: &Context, tag: Option<String>) -> Option<String> {
    let tags = context.repository.sink().properties().entity_tag;
    tag.filter(|_| tags == EntityTag::Strong)
}
