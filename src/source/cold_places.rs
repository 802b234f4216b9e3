//! What is live in the cold tier before a restore: its objects, and Arc's rows.

use std::sync::Arc;

use arc_backup_core::{
    Activity, Error, ErrorKind, Key, ListOptions, Listed, Meta, Result, Scope, Sink, Staging,
};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::contents::{Exclusions, LONGEST_KEY};
use super::listing::list_in;
use super::tier_rows::{ColdRows, RowsFault};
use super::tiering::Tiering;
use crate::sorted::{Joined, Sorted, merge_join};

/// What is live in the cold tier at a key.
#[derive(Debug, Clone)]
pub(super) struct ColdPlace {
    pub(super) key: Key,
    /// The object.
    pub(super) object: Option<Meta>,
    /// Whether Arc's row says that the file is cold.
    pub(super) row: bool,
}

impl Sorted for ColdPlace {
    fn sort_key(&self) -> &str {
        &self.key
    }
}

/// What is live in the cold tier, by keys, in byte order.
///
/// Fails where that can't be known and Arc has a cold tier: files that have moved there would be
/// put back beside it.
pub(super) async fn places(
    tiering: Option<&Tiering>,
    staging: &Staging,
) -> Result<BoxStream<'static, Result<ColdPlace>>> {
    let Some(tiering) = tiering else {
        return Ok(stream::empty().boxed());
    };
    let path = staging.scratch.join("data.cold-rows");
    let rows = match ColdRows::read(&tiering.database, path).await? {
        Ok(rows) => Some(rows),
        Err(fault) if tiering.cold.is_none() => {
            tracing::debug!(%fault, "no file is known to be in a cold tier");
            None
        }
        // A new host, or a table that Arc has not made: the objects say all there is to know.
        Err(RowsFault::NoDatabase | RowsFault::NoTable) => None,
        Err(fault) => return Err(unknown(tiering, &fault)),
    };
    let filter = for_restore(tiering, staging);
    let keys: BoxStream<'static, Result<Key>> = match rows {
        Some(rows) => stream::iter(rows.keys()?).boxed(),
        None => stream::empty().boxed(),
    };
    let keys = keys.try_filter(move |key| std::future::ready(filter(key)));
    let objects = objects(tiering, staging);
    let places = merge_join(keys, objects).map_ok(|joined| match joined {
        Joined::Left(key) => ColdPlace {
            key,
            object: None,
            row: true,
        },
        Joined::Right(object) => ColdPlace {
            key: object.key.clone(),
            object: Some(object),
            row: false,
        },
        Joined::Both(key, object) => ColdPlace {
            key,
            object: Some(object),
            row: true,
        },
    });
    Ok(places.boxed())
}

fn unknown(tiering: &Tiering, fault: &RowsFault) -> Error {
    Error::new(
        ErrorKind::Invalid,
        "restore",
        tiering.database.display().to_string(),
        format!(
            "`tiered_storage.cold.enabled` is true, and which files have moved to the cold tier since the backup can't be \
             known: {fault}. Restored beside it, their rows would be served twice. Repair the database, or restore it \
             first (--no-data, restore_data = false)"
        ),
    )
}

/// Says that the error is of the cold tier.
fn of_cold_tier(location: &str, error: Error) -> Error {
    let detail = format!(
        "{}; it is the cold tier ({location}): correct `tiered_storage.cold`",
        error.detail()
    );
    let (kind, operation) = (error.kind(), error.operation());
    Error::new(kind, operation, error.subject().to_owned(), detail).with_source(error)
}

type Filter = Arc<dyn Fn(&Key) -> bool + Send + Sync>;

/// Whether a key of the cold tier is data in the scope.
fn in_scope(tiering: &Tiering, scope: &Scope) -> impl Fn(&Key) -> bool + Send + Sync + use<> {
    let scope = scope.clone();
    // Nothing else of the configuration has a place in the cold tier.
    let exclusions = Exclusions {
        backups: true,
        keys: tiering.not_cold.iter().cloned().collect(),
        compaction: None,
    };
    move |key: &Key| {
        key.len() <= LONGEST_KEY && !exclusions.exclude(key) && scope.contains_data(key)
    }
}

/// Whether a key of the cold tier is for this restore to look at.
fn for_restore(tiering: &Tiering, staging: &Staging) -> Filter {
    let in_scope = in_scope(tiering, &staging.scope);
    let untouched = staging.untouched.clone();
    Arc::new(move |key: &Key| in_scope(key) && !untouched.contains(key))
}

/// The live objects of the cold tier that this restore looks at.
pub(super) fn objects(tiering: &Tiering, staging: &Staging) -> BoxStream<'static, Result<Meta>> {
    match &tiering.cold {
        Some(cold) => listed(
            cold,
            &staging.scope,
            &staging.activity,
            for_restore(tiering, staging),
        )
        .map_err({
            let location = cold.location();
            move |error| of_cold_tier(&location, error)
        })
        .boxed(),
        None => stream::empty().boxed(),
    }
}

/// The objects of the cold tier that are data in the scope.
pub(super) fn objects_in(
    tiering: &Tiering,
    cold: &Arc<dyn Sink>,
    scope: &Scope,
    activity: &Activity,
) -> BoxStream<'static, Result<Meta>> {
    listed(cold, scope, activity, Arc::new(in_scope(tiering, scope)))
}

fn listed(
    cold: &Arc<dyn Sink>,
    scope: &Scope,
    activity: &Activity,
    filter: Filter,
) -> BoxStream<'static, Result<Meta>> {
    let activity = activity.clone();
    list_in(cold, scope, ListOptions::default())
        .inspect(move |_| activity.note())
        .try_filter_map(move |item| {
            std::future::ready(Ok(match item {
                Listed::Object(meta) if filter(&meta.key) => Some(meta),
                Listed::Object(_) | Listed::Other { .. } => None,
            }))
        })
        .boxed()
}
