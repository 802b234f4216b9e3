//! The suite that every [`Sink`] has to pass: each guarantee of the trait as a case that can fail.
//!
//! It works from outside, through the trait alone, so that one suite serves every backend, this
//! project's and a third party's. The optional objects that a sink gives are tested, and what it
//! promises in its [`SinkProperties`](crate::SinkProperties); the others are not asked for.

mod aside;
mod calls;
mod copies;
mod listing;
mod locks;
mod properties;
mod reading;
mod removing;
mod snapshots;
mod staging;
mod writing;

use std::future::Future;
use std::sync::Arc;

use crate::Sink;

/// Tests the sinks that `make` gives: a fresh one for each case, with nothing in it, that nobody
/// else uses.
///
/// Returns when the sink keeps every guarantee.
///
/// ```
/// use std::sync::Arc;
/// use arc_backup_core::{MemorySink, Sink, conformance};
///
/// # #[tokio::main]
/// # async fn main() {
/// conformance::check(|| async { Arc::new(MemorySink::new()) as Arc<dyn Sink> }).await;
/// # }
/// ```
///
/// # Panics
/// With a message that names the guarantee, at the first that is broken.
pub async fn check<F, Fut>(make: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn Sink>>,
{
    writing::is_empty_at_first(&*make().await).await;
    writing::shows_an_object_when_committed(&*make().await).await;
    writing::replaces_at_once(&*make().await).await;
    writing::leaves_nothing_of_what_is_given_up(&*make().await).await;
    writing::creates_only_what_is_new(&*make().await).await;
    writing::keeps_every_byte(&*make().await).await;
    writing::takes_bytes_through_the_local_file(&*make().await).await;
    reading::reads_ranges(&*make().await).await;
    reading::notices_a_changed_object(&*make().await).await;
    listing::carries_odd_keys(&*make().await).await;
    listing::lists_in_byte_order(&*make().await).await;
    listing::limits_a_listing(&*make().await).await;
    listing::lists_many(&*make().await).await;
    listing::lists_one_level(&*make().await).await;
    removing::deletes(&*make().await).await;
    removing::removes_a_tree(&*make().await).await;
    writing::takes_concurrent_writers(&*make().await).await;
    properties::keeps_attributes(&*make().await).await;
    properties::gives_each_write_a_tag(&*make().await).await;
    staging::stages(&*make().await).await;
    aside::sets_aside(&*make().await).await;
    copies::copies_within_the_store(&*make().await).await;
    copies::duplicates(&*make().await).await;
    copies::moves_a_tree(&*make().await).await;
    snapshots::holds_a_snapshot(&*make().await).await;
    locks::locks(&*make().await).await;
    properties::is_durable(&*make().await).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySink;

    #[tokio::test]
    async fn the_sink_in_memory_conforms() {
        check(|| async { Arc::new(MemorySink::new()) as Arc<dyn Sink> }).await;
    }
}
