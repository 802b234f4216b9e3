//! Locks in S3 that expire sooner than the product's, for tests that wait for them.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::sync::Arc;
use std::time::Duration;

use arc_backup_s3::{S3Config, S3Settings, S3Sink};

/// Sets, in a child, the milliseconds after which a lock is renewed, and after which its holder
/// counts as dead.
pub const LOCK_TIMES: &str = "ARC_TEST_LOCK_TIMES";

/// In the child: S3 whose locks expire sooner.
pub fn with_short_locks(registry: &mut arc_backup::Registry) {
    let Ok(times) = std::env::var(LOCK_TIMES) else {
        return;
    };
    let millis = |text: &str| Duration::from_millis(text.parse().unwrap());
    let (renewal, expiry) = times.split_once(',').unwrap();
    let (renewal, expiry) = (millis(renewal), millis(expiry));
    registry.add_sink("s3", move |target, settings| {
        let text = |name: &str| {
            let value = settings.values.text(&format!("{}.{name}", target.key));
            value.unwrap().unwrap_or_default()
        };
        let mut config = S3Config::from_settings(S3Settings {
            bucket: text("s3_bucket"),
            endpoint: text("s3_endpoint"),
            access_key: text("s3_access_key"),
            secret_key: text("s3_secret_key"),
            path_style: true,
            prefix: text("s3_prefix"),
            ..S3Settings::default()
        })
        .unwrap();
        (config.lock_renewal, config.lock_expiry) = (renewal, expiry);
        Ok(Arc::new(S3Sink::new(config).unwrap()))
    });
}
