//! Who holds a lock.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a lock says of its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `backup`, `restore`, …
    pub operation: String,
    /// Its id.
    pub operation_id: String,
    /// The process.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// Since when.
    pub started_at: Option<Timestamp>,
}

impl Holder {
    /// This process, for an operation.
    #[must_use]
    pub fn this(operation: &str, operation_id: &str) -> Self {
        Self {
            operation: operation.to_owned(),
            operation_id: operation_id.to_owned(),
            pid: std::process::id(),
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            started_at: Some(Timestamp::now()),
        }
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain data is valid JSON")
    }

    /// What a lock's text says; a text that is unreadable is a holder of which nothing is known.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            operation: "operation".to_owned(),
            operation_id: "unknown".to_owned(),
            pid: 0,
            host: "unknown".to_owned(),
            started_at: None,
        })
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            operation,
            operation_id,
            pid,
            host,
            ..
        } = self;
        write!(f, "{operation} {operation_id} of process {pid} on {host}")
    }
}
