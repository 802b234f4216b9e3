//! The suite that every sink has to pass, on Azurite.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{Sink, conformance};
use arc_backup_test_azurite::Azurite;

async fn check(config: AzureConfig) {
    // One each: Azurite gets slow with what others have in it.
    let azurite = Azurite::start();
    conformance::check(|| async {
        let config = AzureConfig {
            connection_string: Some(azurite.connection_string()),
            container: azurite.container().await,
            ..config.clone()
        };
        Arc::new(AzureSink::new(config).unwrap()) as Arc<dyn Sink>
    })
    .await;
}

/// Lost if it fails: whatever the pipeline relies on.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_conforms() {
    check(AzureConfig::default()).await;
}

/// Lost if it fails: the same below a prefix, in small blocks and ranges; and setting aside, which
/// needs a prefix.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_conforms() {
    check(AzureConfig {
        prefix: Some("/site-7/arc".to_owned()),
        part_bytes: 1 << 20,
        range_bytes: 64 << 10,
        ..AzureConfig::default()
    })
    .await;
}
