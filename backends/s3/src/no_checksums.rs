//! Requests to stores that know no checksums but MD5: without any header that names another.

use aws_sdk_s3::config::http::HttpRequest;
use aws_sdk_s3::config::interceptors::BeforeTransmitInterceptorContextMut;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// What the names of these headers begin with.
const CHECKSUM_HEADERS: [&str; 2] = ["x-amz-checksum-", "x-amz-sdk-checksum-"];

/// Takes the headers away from every request before it is signed, also those that the SDK adds by
/// itself.
#[derive(Debug)]
pub(crate) struct NoChecksums;

impl Intercept for NoChecksums {
    fn name(&self) -> &'static str {
        "NoChecksums"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        remove_checksums(context.request_mut());
        Ok(())
    }
}

pub(crate) fn remove_checksums(request: &mut HttpRequest) {
    let names: Vec<_> = (request.headers().iter())
        .map(|(name, _)| name.to_owned())
        .filter(|name| CHECKSUM_HEADERS.iter().any(|start| name.starts_with(start)))
        .collect();
    for name in names {
        request.headers_mut().remove(name);
    }
}
