//! Authentication with Arc's own tokens.
//!
//! The service has no accounts of its own: whoever holds an admin token of the Arc instance beside it may
//! use it. Tokens are looked up read-only in Arc's database ([`AuthSettings::db_path`]); where that holds
//! none, the bootstrap token of `arc.toml` and the token that [`Authenticator::ensure_token`] made count.
//!
//! A refused token always costs the caller time, is always the same [`Denied::Invalid`], and is never
//! written to a log. What a hash costs to check is bounded: a token is checked once at a time, two hashes
//! are computed at once, and the verdict is kept for `auth.cache_ttl`, never past the token's expiry.

mod authenticator;
mod cache;
mod candidate;
mod check;
mod database;
mod error;
mod expiry;
mod flights;
mod generated;
mod identity;
mod keeper;
mod lanes;
mod notices;
mod secret;
mod settings;
mod store;
mod token;
mod token_hash;

pub use authenticator::Authenticator;
pub use error::AuthError;
pub use identity::{Denied, Identity};
pub use secret::Secret;
pub use settings::AuthSettings;
pub use token::{fingerprint, token_from_parts};
