//! The suite that every sink has to pass, on Azurite.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{Sink, conformance};
use arc_backup_test_azurite::Azurite;

async fn check(prefix: Option<&str>, adjust: impl Fn(&mut AzureConfig)) {
    let azurite = Azurite::shared();
    conformance::check(|| async {
        let mut config = AzureConfig {
            connection_string: Some(azurite.connection_string()),
            container: azurite.container().await,
            prefix: prefix.map(str::to_owned),
            ..AzureConfig::default()
        };
        adjust(&mut config);
        Arc::new(AzureSink::new(config).unwrap()) as Arc<dyn Sink>
    })
    .await;
}

/// Lost if it fails: whatever the pipeline relies on.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_conforms() {
    check(None, |_| {}).await;
}

/// Lost if it fails: the same, below a prefix; and setting aside, which needs one.
#[tokio::test(flavor = "multi_thread")]
async fn a_prefix_conforms() {
    check(Some("/site-7/arc"), |_| {}).await;
}
