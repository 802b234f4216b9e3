//! The suite that every sink has to pass, on local disk.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arc_backup_core::{Sink, conformance};
use arc_backup_local::{LocalConfig, LocalSink};

/// Lost if it fails: whatever the pipeline relies on.
#[tokio::test(flavor = "multi_thread")]
async fn local_disk_conforms() {
    let top = tempfile::tempdir().unwrap();
    let number = AtomicU32::new(0);
    conformance::check(|| async {
        // The root does not exist yet.
        let root = top
            .path()
            .join(number.fetch_add(1, Ordering::Relaxed).to_string());
        Arc::new(LocalSink::new(LocalConfig::new(root))) as Arc<dyn Sink>
    })
    .await;
}
