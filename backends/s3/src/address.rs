//! Which store a bucket is in.

use crate::store::Store;

/// The place of all that AWS keeps.
pub(crate) const AWS: &str = "aws";

/// The host, whatever the keys and the spelling. The names of AWS's buckets are the same in all
/// regions.
pub(crate) fn address_place(store: &Store) -> String {
    let Some(endpoint) = &store.config.endpoint else {
        return AWS.to_owned();
    };
    let endpoint = endpoint.to_ascii_lowercase();
    let host = endpoint
        .split_once("://")
        .map_or(endpoint.as_str(), |(_, rest)| rest);
    let host = host
        .trim_end_matches('/')
        .trim_end_matches(":443")
        .trim_end_matches(":80");
    if host.ends_with(".amazonaws.com") {
        AWS.to_owned()
    } else {
        host.to_owned()
    }
}
