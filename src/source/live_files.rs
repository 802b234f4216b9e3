//! The live data as its storages list it, without reading a file.

use std::sync::Arc;

use arc_backup_core::{Entry, ListOptions, Listed, Result, Scope, Sink, Tier};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};

use super::contents::Exclusions;
use super::listing::list_in;
use super::settle::entry;
use crate::sorted::{Joined, merge_join};

/// Lists the live files of the data in scope, in byte order of keys: those in Arc's storage, and
/// those that are in its cold tier alone.
///
/// `cold` is that tier, with the key of Arc's storage where this lies inside.
pub(crate) fn live_files(
    storage: &Arc<dyn Sink>,
    exclusions: &Exclusions,
    cold: Option<(&Arc<dyn Sink>, Option<String>)>,
    scope: &Scope,
) -> BoxStream<'static, Result<Entry>> {
    let hot = listed(storage, exclusions.clone(), scope, Tier::Hot);
    let cold = match cold {
        Some((cold, not_cold)) => {
            let exclusions = Exclusions {
                backups: true,
                keys: not_cold.into_iter().collect(),
                compaction: None,
            };
            listed(cold, exclusions, scope, Tier::Cold)
        }
        None => stream::empty().boxed(),
    };
    // Arc moves a file by copying it: for a moment it is in both.
    merge_join(hot, cold)
        .map_ok(|joined| match joined {
            Joined::Left(entry) | Joined::Right(entry) | Joined::Both(entry, _) => entry,
        })
        .boxed()
}

fn listed(
    storage: &Arc<dyn Sink>,
    exclusions: Exclusions,
    scope: &Scope,
    tier: Tier,
) -> BoxStream<'static, Result<Entry>> {
    let options = ListOptions {
        skip: exclusions.keys.clone(),
        ..ListOptions::default()
    };
    let scope = scope.clone();
    list_in(storage, &scope, options)
        .try_filter_map(move |item| {
            std::future::ready(Ok(match item {
                Listed::Object(meta)
                    if !exclusions.exclude(&meta.key) && scope.contains_data(&meta.key) =>
                {
                    Some(Entry {
                        tier,
                        ..entry(meta)
                    })
                }
                Listed::Object(_) | Listed::Other { .. } => None,
            }))
        })
        .boxed()
}
