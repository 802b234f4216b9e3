//! The admin token of a sample instance, made and stored as Arc does.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE};
use sha2::{Digest as _, Sha256};

use super::error::DemoError;

/// Arc's work factor for PBKDF2-HMAC-SHA256.
const ITERATIONS: u32 = 600_000;

/// What Arc keeps of a token.
pub(super) struct StoredToken {
    /// `$pbkdf2-sha256$<iterations>$<salt>$<key>`, Base64 without padding.
    pub(super) hash: String,
    /// The first 16 hex characters of the token's SHA-256, by which Arc finds the row.
    pub(super) prefix: String,
}

/// Makes a token of 32 random bytes, in the URL-safe Base64 that Arc hands out.
pub(super) fn generate() -> Result<String, DemoError> {
    Ok(URL_SAFE.encode(random::<32>()?))
}

/// Returns what Arc would store for `token`, with a salt of its own.
pub(super) fn store(token: &str) -> Result<StoredToken, DemoError> {
    let salt = random::<16>()?;
    let key = derive(token, &salt, ITERATIONS);
    let hash = format!(
        "$pbkdf2-sha256${ITERATIONS}${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(key)
    );
    Ok(StoredToken {
        hash,
        prefix: prefix(token),
    })
}

/// Returns the `token_prefix` of `token`.
pub(super) fn prefix(token: &str) -> String {
    Sha256::digest(token)
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Whether `hash` was stored for `token`. Only the form that this file writes is accepted.
pub(super) fn matches(token: &str, hash: &str) -> bool {
    let Some(("", rest)) = hash.split_once("$pbkdf2-sha256$") else {
        return false;
    };
    let mut parts = rest.split('$');
    let (Some(iterations), Some(salt), Some(key), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let (Ok(ITERATIONS), Ok(salt), Ok(key)) = (
        iterations.parse(),
        STANDARD_NO_PAD.decode(salt),
        STANDARD_NO_PAD.decode(key),
    ) else {
        return false;
    };
    // The caller has the token and the database: timing reveals nothing.
    derive(token, &salt, ITERATIONS)[..] == key[..]
}

fn derive(token: &str, salt: &[u8], iterations: u32) -> [u8; 32] {
    let mut key = [0; 32];
    pbkdf2::pbkdf2_hmac::<Sha256>(token.as_bytes(), salt, iterations, &mut key);
    key
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], DemoError> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes).map_err(DemoError::Random)?;
    Ok(bytes)
}
