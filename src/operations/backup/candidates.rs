//! The files of a snapshot beside those of the base.

use arc_backup_core::{EntityTag, Entry, Section};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::Result;
use crate::manifest::Record;
use crate::operations::backup::base::Base;
use crate::operations::backup::held_objects::{Held, HeldObjects};
use crate::operations::backup::same_file;
use crate::sorted::{Joined, Sorted};

/// A record of the base, by the key of its file.
pub(super) struct OfBase(pub(super) Record);

impl Sorted for OfBase {
    fn sort_key(&self) -> &str {
        &self.0.entry.key
    }
}

/// A file of the snapshot, with that of the base where both are the same.
pub(super) struct Candidate {
    pub(super) now: Record,
    pub(super) base: Option<Unchanged>,
}

/// The record of the base.
pub(super) struct Unchanged {
    pub(super) record: Record,
    pub(super) held: Held,
}

pub(super) fn candidates<'a>(
    section: &'a Section,
    joined: impl Stream<Item = Result<Joined<Entry, OfBase>>> + Send + 'a,
    base: &'a Base,
    tags: EntityTag,
) -> impl Stream<Item = Result<Candidate>> + Send + 'a {
    joined.try_filter_map(move |joined| {
        let candidate = match joined {
            Joined::Right(_) => Ok(None),
            Joined::Left(entry) => {
                Record::new(section, entry).map(|now| Some(Candidate { now, base: None }))
            }
            Joined::Both(entry, OfBase(of_base)) => {
                let same = same_file::check(&of_base.entry, &entry, tags, &base.moments);
                if let Err(why) = same {
                    tracing::debug!(key = %entry.key, ?why, "the file is read");
                }
                Record::new(section, entry).map(|now| {
                    let base = same.is_ok().then_some(Unchanged {
                        record: of_base,
                        held: Held::NotAsked,
                    });
                    Some(Candidate { now, base })
                })
            }
        };
        std::future::ready(candidate)
    })
}

/// The same candidates, with what the target shows of their objects.
pub(super) fn looked_at<'a>(
    candidates: impl Stream<Item = Result<Candidate>> + Send + 'a,
    held: HeldObjects,
) -> impl Stream<Item = Result<Candidate>> + Send + 'a {
    stream::try_unfold(
        (candidates.boxed(), held),
        async |(mut candidates, mut held)| {
            let Some(mut candidate) = candidates.try_next().await? else {
                return Ok(None);
            };
            if let Some(base) = &mut candidate.base {
                base.held = held.look(&base.record).await?;
            }
            Ok::<_, crate::Error>(Some((candidate, (candidates, held))))
        },
    )
}
