//! Whether a bucket keeps versions, as its answers show: asking for it would need a permission of
//! its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// The version that an object has where versioning was never switched on, or is suspended.
const NO_VERSION: &str = "null";

/// Looks at every answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    kept: Arc<AtomicBool>,
}

impl Versions {
    pub(crate) fn are_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Intercept for Versions {
    fn name(&self) -> &'static str {
        "Versions"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let version = context.response().headers().get("x-amz-version-id");
        if version.is_some_and(|version| version != NO_VERSION) {
            self.kept.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}
