//! The cold tier in a snapshot of the data.
//!
//! Arc moves a file in this order: object in the cold tier, row in `tier_files`, hot file removed.
//! So the hot files are listed first: each file is in at least one of the two listings. A file in
//! both is taken once, from the tier that its row names. A hot file that is gone when it is opened
//! may have moved, and is then looked for in the cold tier.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use arc_backup_core::{
    Body, Entry, EntryStream, Error, ErrorKind, GetOptions, Key, Meta, Result, Section, Sink,
    SnapshotRequest, SourceReport, Tier,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::cold_places::objects_in;
use super::compaction::{is_output, unit_of};
use super::named::Named;
use super::settle::{entries_of, entry, locked, to_core};
use super::tier_rows::{ColdRows, count_cold_rows};
use super::tiering::Tiering;
use crate::manifest::{Inventory, Record, Spool};
use crate::sorted::{Joined, merge_join, union};

/// The files of a snapshot that are in the cold tier.
pub(super) struct ColdSnapshot {
    sink: Arc<dyn Sink>,
    /// The objects that were listed, but for those whose hot file is taken.
    listed: Inventory,
    changing: Mutex<Changing>,
}

/// What differs from the listing.
#[derive(Default)]
struct Changing {
    /// Hot files that are not taken, as their rows say that they are cold.
    not_hot: BTreeSet<Key>,
    /// Objects that were found later: of hot files that have moved, or changed ones.
    found: BTreeMap<Key, Meta>,
    /// Objects that are gone.
    gone: BTreeSet<Key>,
}

impl ColdSnapshot {
    /// The files that are cold before the hot ones are listed; `None` where that is not known, or
    /// not of use.
    pub(super) async fn rows_before(
        tiering: Option<&Tiering>,
        request: &SnapshotRequest,
    ) -> Result<Option<ColdRows>> {
        let Some(tiering) = tiering.filter(|one| one.cold.is_some() && one.include_cold) else {
            return Ok(None);
        };
        let path = request.scratch.join("data.cold-before");
        Ok(ColdRows::read(&tiering.database, path).await?.ok())
    }

    /// Lists the cold tier beside the `hot` entries of a snapshot; `None` where a backup is not to
    /// hold it, or Arc has none. What there is to say goes to `report`.
    ///
    /// Also returns units whose hot files must be listed again: they were listed before a
    /// compaction whose output has moved since. Its inputs would be in the snapshot too.
    pub(super) async fn take(
        tiering: Option<&Tiering>,
        request: &SnapshotRequest,
        hot: EntryStream<'_>,
        before: Option<&ColdRows>,
        report: &mut SourceReport,
    ) -> Result<Option<(Self, BTreeSet<String>)>> {
        let Some(tiering) = tiering else {
            return Ok(None);
        };
        let Some(sink) = tiering.cold.clone() else {
            // Without the table, no file has ever been cold.
            let counted = count_cold_rows(&tiering.database, &request.scope).await?;
            if let Ok(count @ 1..) = counted {
                report.cold_files_excluded = count;
                report.not_included.push(format!(
                    "tiered_storage.cold: {count} files are cold by `tier_files`, and this configuration has no cold tier"
                ));
            }
            return Ok(None);
        };
        if !tiering.include_cold {
            match count_cold_rows(&tiering.database, &request.scope).await? {
                Ok(count) => report.cold_files_excluded = count,
                Err(fault) => report.warnings.push(format!(
                    "how many files of the cold tier are omitted is not known ({}: {fault})",
                    tiering.database.display()
                )),
            }
            return Ok(None);
        }
        let rows = ColdRows::read(&tiering.database, request.scratch.join("data.cold-rows"));
        let rows = match rows.await? {
            Ok(rows) => Some(rows),
            Err(fault) => {
                tracing::warn!(%fault, "a file in both tiers is taken from the hot one");
                None
            }
        };
        let taken = list(
            tiering,
            &sink,
            request,
            hot,
            (rows.as_ref(), before),
            report,
        )
        .await;
        let taken = match taken {
            Ok(taken) => taken,
            Err(error) if error.kind() == ErrorKind::Cancelled => return Err(error),
            Err(error) => {
                let error = with_remedy(&sink, error);
                let counted = count_cold_rows(&tiering.database, &request.scope).await?;
                let files = (counted.as_ref()).map_or_else(|_| "all".to_owned(), u64::to_string);
                report.cold_files_excluded = counted.unwrap_or_default();
                let text = format!("the backup lacks {files} files of the cold tier: {error}");
                report
                    .not_included
                    .push(format!("tiered_storage.cold: {text}"));
                report.warnings.push(text);
                return Ok(None);
            }
        };
        report.has_cold_tier = taken.is_there;
        let snapshot = Self {
            sink,
            listed: taken.listed,
            changing: Mutex::new(Changing {
                not_hot: taken.not_hot,
                ..Changing::default()
            }),
        };
        Ok(Some((snapshot, taken.units)))
    }

    /// The entries of the snapshot: the `hot` ones and those of the cold tier.
    pub(super) fn entries<'a>(&self, hot: EntryStream<'a>) -> Result<EntryStream<'a>> {
        let changing = locked(&self.changing);
        let not_hot = changing.not_hot.clone();
        let found: Vec<_> = changing.found.values().cloned().collect();
        let other: BTreeSet<Key> = (changing.found.keys().chain(&changing.gone))
            .cloned()
            .collect();
        let hot = hot.try_filter(move |entry| std::future::ready(!not_hot.contains(&entry.key)));
        let listed = entries_of(&self.listed)?
            .try_filter(move |entry| std::future::ready(!other.contains(&entry.key)));
        let found = stream::iter(found.into_iter().map(|meta| Ok(cold_entry(meta))));
        Ok(union(hot, union(listed, found)))
    }

    pub(super) async fn open(&self, entry: &Entry, options: GetOptions) -> Result<Body> {
        Ok(self.sink.get(&entry.key, options).await?.body)
    }

    /// Whether a hot file is not part of the snapshot.
    pub(super) fn replaces(&self, key: &Key) -> bool {
        locked(&self.changing).not_hot.contains(key)
    }

    /// Looks again for `lost` files that were taken from the cold tier; returns these, each as it
    /// is now.
    pub(super) async fn look_again(&self, lost: &[Key]) -> Result<BTreeMap<Key, Option<Entry>>> {
        let lost: BTreeSet<&Key> = lost.iter().collect();
        let mut of_cold: BTreeSet<Key> = {
            let changing = locked(&self.changing);
            let found = lost.iter().filter(|key| changing.found.contains_key(**key));
            found.map(|key| (*key).clone()).collect()
        };
        let mut listed = entries_of(&self.listed)?;
        while let Some(entry) = listed.try_next().await? {
            if lost.contains(&entry.key) {
                of_cold.insert(entry.key);
            }
        }
        let mut now = BTreeMap::new();
        for key in of_cold {
            let there = self.sink.head(&key).await?;
            let mut changing = locked(&self.changing);
            changing.found.remove(&key);
            match &there {
                Some(meta) => _ = changing.found.insert(key.clone(), meta.clone()),
                None => {
                    // Its hot file may be there again.
                    changing.not_hot.remove(&key);
                    changing.gone.insert(key.clone());
                }
            }
            drop(changing);
            now.insert(key, there.map(cold_entry));
        }
        Ok(now)
    }

    /// The object of a hot file that is gone, where it has moved to the cold tier; it belongs to
    /// the snapshot from then on.
    pub(super) async fn moved(&self, key: &Key) -> Result<Option<Entry>> {
        let Some(meta) = self.sink.head(key).await? else {
            return Ok(None);
        };
        let mut changing = locked(&self.changing);
        changing.found.insert(key.clone(), meta.clone());
        Ok(Some(cold_entry(meta)))
    }
}

/// What a listing of the cold tier gives.
struct Taken {
    /// Whether the cold tier is the one that the rows are of: not where it has none of their files.
    is_there: bool,
    listed: Inventory,
    /// The hot files that its files replace.
    not_hot: BTreeSet<Key>,
    /// Units with the output of a compaction that was not cold before.
    units: BTreeSet<String>,
}

/// Lists the cold tier beside the hot files. `rows` are those of now, and those from before the hot
/// files were listed.
async fn list(
    tiering: &Tiering,
    sink: &Arc<dyn Sink>,
    request: &SnapshotRequest,
    hot: EntryStream<'_>,
    (rows, before): (Option<&ColdRows>, Option<&ColdRows>),
    report: &mut SourceReport,
) -> Result<Taken> {
    let path = request.scratch.join("data.cold");
    let mut spool = Spool::create(&path).map_err(to_core)?;
    let keys_of = |rows: Option<&ColdRows>| -> Result<BoxStream<'static, Result<Key>>> {
        Ok(match rows {
            Some(rows) => stream::iter(rows.keys()?).boxed(),
            None => stream::empty().boxed(),
        })
    };
    let objects = objects_in(tiering, sink, &request.scope, &request.activity);
    let joined = merge_join(merge_join(hot, objects), keys_of(rows)?);
    let mut joined = merge_join(joined, keys_of(before)?);
    let (mut not_hot, mut units) = (BTreeSet::new(), BTreeSet::new());
    let (mut both, mut missing) = (Named::default(), Named::default());
    let mut archived = Named::default();
    let (mut count, mut has_objects) = (0_u64, false);
    while let Some(joined) = joined.try_next().await? {
        count += 1;
        if count.is_multiple_of(4096) && request.cancel.is_cancelled() {
            return Err(Error::new(
                ErrorKind::Cancelled,
                "list",
                "the cold tier",
                "cancelled",
            ));
        }
        let (at_key, was_cold) = joined.into_sides();
        let (files, row) = at_key.map_or((None, None), Joined::into_sides);
        let (hot, object) = files.map_or((None, None), Joined::into_sides);
        has_objects |= object.is_some();
        let object = match (object, hot.is_some()) {
            (Some(object), is_hot) if object.archived => {
                // A hot copy of it is taken.
                if !is_hot {
                    archived.add(&object.key);
                    continue;
                }
                None
            }
            (object, _) => object,
        };
        let object = match (hot, object, row) {
            (Some(hot), Some(_), None) => {
                both.add(&hot.key);
                continue;
            }
            (Some(hot), Some(object), Some(_)) => {
                not_hot.insert(hot.key);
                object
            }
            (None, Some(object), _) => {
                if before.is_some() && was_cold.is_none() && is_output(&object.key) {
                    units.insert(unit_of(&object.key).to_owned());
                }
                object
            }
            (None, None, Some(key)) if request.scope.contains_data(&key) => {
                missing.add(&key);
                continue;
            }
            (_, None, _) => continue,
        };
        let record = Record::new(&Section::Data, cold_entry(object)).map_err(to_core)?;
        spool.push(&record).map_err(to_core)?;
    }
    drop(joined);
    for (named, what) in [
        (&both, "are in both tiers, and were taken from the hot one"),
        (
            &missing,
            "are cold by `tier_files`, and are not in the cold tier",
        ),
    ] {
        report.warnings.extend(named.to_text(what));
    }
    report.cold_files_excluded += archived.count;
    if let Some(text) = archived.to_text(
        "of the cold tier are not in the backup: they are in an archive tier of the store, and can't be read until they are \
         brought back (S3: restore-object)",
    ) {
        report.not_included.push(format!("tiered_storage.cold: {text}"));
        report.warnings.push(text);
    }
    Ok(Taken {
        is_there: has_objects || missing.count == 0,
        listed: spool.finish().map_err(to_core)?.without_checksums(),
        not_hot,
        units,
    })
}

fn cold_entry(meta: Meta) -> Entry {
    Entry {
        tier: Tier::Cold,
        ..entry(meta)
    }
}

fn with_remedy(sink: &Arc<dyn Sink>, error: Error) -> Error {
    let detail = format!(
        "{}; it is the cold tier ({}): correct `tiered_storage.cold`, or back up without it (`arc_backup.include_cold_tier = \
         false`)",
        error.detail(),
        sink.location()
    );
    let (kind, operation) = (error.kind(), error.operation());
    Error::new(kind, operation, error.subject().to_owned(), detail).with_source(error)
}
