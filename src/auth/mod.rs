//! Authentication with Arc's own tokens.
//!
//! The service has no accounts of its own: whoever holds an admin token of the Arc instance may use
//! it. Tokens are looked up read-only in Arc's database ([`AuthSettings::db_path`]). Where that
//! holds none, the bootstrap token of `arc.toml` and the token made by
//! [`Authenticator::ensure_token`] are accepted.
//!
//! A refused token always costs the caller time, is always the same [`Denied::Invalid`], and is
//! never written to a log. The work of checking is limited: one check per token at a time, two
//! hashes at once, and the verdict is kept for `auth.cache_ttl`, never past the token's expiry.

mod authenticator;
mod cache;
mod candidate;
mod checker;
mod database;
mod error;
mod expiry;
mod generated;
mod hash_limits;
mod identity;
mod log_throttle;
mod settings;
mod single_flight;
mod store;
mod token;
mod token_hash;
mod token_sources;

pub use authenticator::Authenticator;
pub use identity::{Denied, Identity};
pub use settings::AuthSettings;
pub use token::{fingerprint, token_from_parts};
