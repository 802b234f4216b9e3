//! The token in a request: where it stands, and what is kept of it.

use sha2::{Digest, Sha256};

/// The longest token that is looked at, in bytes. Arc's own are 44 long.
pub(crate) const MAX_TOKEN_BYTES: usize = 1024;

/// Finds the token of a request, in Arc's order: `Authorization: Bearer X`,
/// `Authorization: Token X`, any other `Authorization` value as a whole, `x-api-key`, the query
/// parameter `p`.
///
/// Empty values are skipped, a scheme with nothing after it among them. The scheme's case counts,
/// as it does for Arc.
#[must_use]
pub fn token_from_parts(
    authorization: Option<&str>,
    x_api_key: Option<&str>,
    query_p: Option<&str>,
) -> Option<String> {
    let authorization = authorization.map(|value| match value {
        "Bearer" | "Token" => "",
        _ => value
            .strip_prefix("Bearer ")
            .or_else(|| value.strip_prefix("Token "))
            .unwrap_or(value),
    });
    [authorization, x_api_key, query_p]
        .into_iter()
        .flatten()
        .find(|value| !value.is_empty())
        .map(str::to_owned)
}

/// SHA-256 of the token: what caches and operations know it by.
#[must_use]
pub fn fingerprint(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// `token_prefix` of a token in Arc's table: the first 16 hex characters of its SHA-256.
pub(crate) fn prefix(fingerprint: &[u8; 32]) -> String {
    hex(&fingerprint[..8])
}

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a token is worth a look-up. Bcrypt ends at a NUL, so that a token with one would match
/// others.
pub(crate) fn is_acceptable(token: &str) -> bool {
    token.len() <= MAX_TOKEN_BYTES && !token.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: clients that can authenticate to Arc and not to this service.
    #[test]
    fn token_is_found_in_arcs_order() {
        let cases = [
            (Some("Bearer a"), Some("k"), Some("p"), Some("a")),
            (Some("Token b"), Some("k"), None, Some("b")),
            (Some("plain"), Some("k"), None, Some("plain")),
            (Some("Basic eDp5"), None, None, Some("Basic eDp5")),
            (Some("Bearer Token x"), None, None, Some("Token x")),
            (Some(""), Some("k"), Some("p"), Some("k")),
            (Some("Bearer "), Some("k"), None, Some("k")),
            (Some("Bearer"), None, Some("p"), Some("p")),
            (Some("Token"), None, None, None),
            (None, Some(""), Some("p"), Some("p")),
            (None, None, Some(""), None),
            (None, None, None, None),
        ];
        for (authorization, key, query, expected) in cases {
            assert_eq!(
                token_from_parts(authorization, key, query).as_deref(),
                expected,
                "{authorization:?} {key:?} {query:?}"
            );
        }
    }

    /// Guards against: a prefix by which no row is found.
    #[test]
    fn prefix_is_arcs() {
        let token = "sample-admin-token-0123456789abcdef0123456789";
        assert_eq!(prefix(&fingerprint(token)), "13b74645f0456592");
    }

    /// Guards against: unlimited hashing for strangers, and bcrypt's stop at a NUL.
    #[test]
    fn oversized_and_nul_tokens_are_refused() {
        assert!(is_acceptable(&"x".repeat(1024)));
        assert!(!is_acceptable(&"x".repeat(1025)));
        assert!(!is_acceptable("a\0b"));
    }
}
