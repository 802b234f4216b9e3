//! Listings of what is in scope.

use std::sync::Arc;

use arc_backup_core::{ListOptions, Listed, Result, Scope, Sink};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

/// Lists what a storage has of the data in scope, and perhaps more: `options` are those of each
/// prefix. A place that can't be read is passed over where nothing in scope is in it.
pub(super) fn list_in(
    storage: &Arc<dyn Sink>,
    scope: &Scope,
    options: ListOptions,
) -> BoxStream<'static, Result<Listed>> {
    let (storage, scope) = (storage.clone(), scope.clone());
    stream::iter(scope.data_prefixes())
        .flat_map(move |prefix| {
            storage.list(ListOptions {
                prefix,
                ..options.clone()
            })
        })
        .filter(move |item| {
            let is_ignored = matches!(item, Err(fault) if scope.ignores(fault));
            std::future::ready(!is_ignored)
        })
        .boxed()
}
