//! Whether a file is the one that an earlier backup has: the one place that decides it.
//!
//! A wrong yes would be a backup of other bytes than those of the data. So whatever is no proof
//! means that the file is read again.

use std::time::{Duration, SystemTime};

use arc_backup_core::{EntityTag, Entry, Tier};

/// How much earlier than the base a file must have been modified. File systems keep times by a
/// clock that ticks up to every 10 ms, some only every 2 s: a file that was written again within a
/// tick has the same time with other bytes.
const MARGIN: Duration = Duration::from_secs(2);

/// The moments that times of modification are compared with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moments {
    /// The moment that the earlier backup is of: its files were listed then, and read later.
    pub(crate) base: SystemTime,
    /// Now.
    pub(crate) now: SystemTime,
}

/// Why a file is read again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Its size is another one.
    Size,
    /// It has moved between Arc's storage and the cold tier.
    Tier,
    /// Its time of modification is another one, newer or older.
    Modified,
    /// It is another file by the same name: renamed over the old one, or restored.
    OtherFile,
    /// It was modified so shortly before the earlier backup was made, or since, that it may have
    /// changed again within the same tick of the clock.
    Recent,
    /// Its time of modification lies in the future.
    Future,
    /// Its entity tag is another one.
    Tag,
    /// Nothing shows whether it is the same.
    NoProof,
}

/// Checks that `now` is the file that the earlier backup has as `base`. `tags` says what the entity
/// tags of Arc's storage prove; those of a cold tier, which is a remote store, always do.
///
/// # Errors
/// Why it has to be read.
pub(crate) fn check(
    base: &Entry,
    now: &Entry,
    tags: EntityTag,
    moments: &Moments,
) -> Result<(), Why> {
    if base.sha256.is_none() {
        return Err(Why::NoProof);
    }
    if base.size != now.size {
        return Err(Why::Size);
    }
    if base.tier != now.tier {
        return Err(Why::Tier);
    }
    match (base.file_id, now.file_id) {
        (Some(was), Some(is)) => {
            let (Some(was_modified), Some(modified)) = (base.modified, now.modified) else {
                return Err(Why::NoProof);
            };
            if was_modified != modified {
                return Err(Why::Modified);
            }
            // Not the time of status change: the hard links of a snapshot change that one.
            if was != is {
                return Err(Why::OtherFile);
            }
            if modified > moments.now {
                return Err(Why::Future);
            }
            // A clock that was set back has made the base later than it was.
            let moment = moments.base.min(moments.now);
            match moment.checked_sub(MARGIN) {
                Some(limit) if modified < limit => Ok(()),
                _ => Err(Why::Recent),
            }
        }
        (None, None) if tags == EntityTag::Strong || now.tier == Tier::Cold => {
            match (&base.etag, &now.etag) {
                (Some(was), Some(is)) if was == is => Ok(()),
                (Some(_), Some(_)) => Err(Why::Tag),
                _ => Err(Why::NoProof),
            }
        }
        // The storage was another one then, or has neither numbers nor strong tags.
        _ => Err(Why::NoProof),
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::{Digest, FileId, Key};

    use super::*;

    fn at(seconds: i64, nanoseconds: u32) -> SystemTime {
        let base = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let shifted = match seconds {
            0.. => base + Duration::from_secs(seconds.unsigned_abs()),
            _ => base - Duration::from_secs(seconds.unsigned_abs()),
        };
        shifted + Duration::from_nanos(nanoseconds.into())
    }

    fn local(modified: SystemTime) -> Entry {
        Entry {
            sha256: Some(Digest::of(b"bytes")),
            modified: Some(modified),
            etag: Some("weak".to_owned()),
            file_id: Some(FileId {
                device: 1,
                inode: 7,
            }),
            ..Entry::new(Key::parse("iot/a.parquet").expect("a key"), 5)
        }
    }

    fn object(etag: &str) -> Entry {
        Entry {
            file_id: None,
            etag: Some(etag.to_owned()),
            modified: None,
            ..local(at(0, 0))
        }
    }

    /// Guards against: a changed file that is taken for the one that the base has. The base is of
    /// the moment 0, and now is 3,600 s later.
    #[test]
    fn each_difference_and_each_missing_proof_means_that_the_file_is_read() {
        let old = local(at(-100, 5));
        let other_inode = Some(FileId {
            device: 1,
            inode: 8,
        });
        let other_device = Some(FileId {
            device: 2,
            inode: 7,
        });
        let with = |change: &dyn Fn(&mut Entry)| {
            let mut entry = old.clone();
            change(&mut entry);
            entry
        };
        let both = |modified| (local(modified), local(modified));
        let of = |base: &Entry, now: Entry| (base.clone(), now);
        type Case<'a> = (&'a str, (Entry, Entry), Result<(), Why>);
        let cases: Vec<Case<'_>> = vec![
            ("unchanged", of(&old, old.clone()), Ok(())),
            (
                "its mode changed, which is no byte of it",
                of(&old, with(&|now| now.mode = Some(0o600))),
                Ok(()),
            ),
            ("grown", of(&old, with(&|now| now.size = 6)), Err(Why::Size)),
            (
                "rewritten in place, later by a nanosecond",
                of(&old, local(at(-100, 6))),
                Err(Why::Modified),
            ),
            (
                "its time set back",
                of(&old, local(at(-5000, 0))),
                Err(Why::Modified),
            ),
            (
                "another renamed over it, with its size and time",
                of(&old, with(&|now| now.file_id = other_inode)),
                Err(Why::OtherFile),
            ),
            (
                "restored to another file system",
                of(&old, with(&|now| now.file_id = other_device)),
                Err(Why::OtherFile),
            ),
            (
                "moved to the cold tier",
                of(&old, with(&|now| now.tier = Tier::Cold)),
                Err(Why::Tier),
            ),
            (
                "just outside of the margin",
                both(at(-3, 999_999_999)),
                Ok(()),
            ),
            ("on the margin", both(at(-2, 0)), Err(Why::Recent)),
            ("as the base was listed", both(at(0, 0)), Err(Why::Recent)),
            ("since the base", both(at(60, 0)), Err(Why::Recent)),
            ("now", both(at(3600, 0)), Err(Why::Recent)),
            ("in the future", both(at(3601, 0)), Err(Why::Future)),
            (
                "no time known",
                (
                    with(&|base| base.modified = None),
                    with(&|now| now.modified = None),
                ),
                Err(Why::NoProof),
            ),
            (
                "a base without numbers of files",
                of(&with(&|base| base.file_id = None), old.clone()),
                Err(Why::NoProof),
            ),
            (
                "a storage without numbers of files",
                of(&old, with(&|now| now.file_id = None)),
                Err(Why::NoProof),
            ),
            (
                "a base without a digest",
                of(&with(&|base| base.sha256 = None), old.clone()),
                Err(Why::NoProof),
            ),
        ];
        let moments = Moments {
            base: at(0, 0),
            now: at(3600, 0),
        };
        for (case, (base, now), expected) in cases {
            let decided = check(&base, &now, EntityTag::Weak, &moments);
            assert_eq!(decided, expected, "{case}");
        }
        // With a clock that was set back by an hour since the base.
        let set_back = Moments {
            base: at(0, 0),
            now: at(-3600, 0),
        };
        for (modified, expected) in [
            (at(-3500, 0), Err(Why::Future)),
            (at(-3601, 0), Err(Why::Recent)),
            (at(-3700, 0), Ok(())),
        ] {
            let (base, now) = both(modified);
            assert_eq!(check(&base, &now, EntityTag::Weak, &set_back), expected);
        }
    }

    /// Guards against: an object that is taken for the old one by its size alone.
    #[test]
    fn objects_go_by_their_tags_where_these_prove_anything() {
        let moments = Moments {
            base: at(0, 0),
            now: at(1, 0),
        };
        let no_tag = Entry {
            etag: None,
            ..object("a")
        };
        let cold = |etag: &str| Entry {
            tier: Tier::Cold,
            ..object(etag)
        };
        for (base, now, tags, expected) in [
            (object("a"), object("a"), EntityTag::Strong, Ok(())),
            (object("a"), object("b"), EntityTag::Strong, Err(Why::Tag)),
            (object("a"), object("a"), EntityTag::Weak, Err(Why::NoProof)),
            (no_tag.clone(), no_tag, EntityTag::Strong, Err(Why::NoProof)),
            (cold("a"), cold("a"), EntityTag::Weak, Ok(())),
            (cold("a"), cold("b"), EntityTag::Weak, Err(Why::Tag)),
            (object("a"), cold("a"), EntityTag::Strong, Err(Why::Tier)),
        ] {
            assert_eq!(check(&base, &now, tags, &moments), expected, "{now:?}");
        }
    }
}
