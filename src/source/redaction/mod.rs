//! `arc.toml` without its secrets, and with them again.
//!
//! A backup that goes to a remote store has the name of a variable in the place of each secret:
//! `"${ARC_STORAGE_S3_SECRET_KEY}"`. Everything else stays as it was written, comments too. A
//! restore takes the secrets from the live file.

mod comments;
mod credentials;
mod fill;
mod leaves;
mod names;
mod redact;
mod secrets;

pub(super) use fill::fill;
pub(super) use redact::redact;
