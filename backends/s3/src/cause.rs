//! The causes of a fault, in one line.

use std::error::Error as StdError;
use std::fmt;

/// What the SDK says, without its structures: these hold requests, and requests hold credentials.
#[derive(Debug)]
pub(crate) struct Cause(pub(crate) String);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl StdError for Cause {}

/// An error and its causes, in one line.
pub(crate) fn chain(error: &(dyn StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        next = cause.source();
    }
    text
}

/// The last cause of a chain.
pub(crate) fn innermost(chain: &str) -> String {
    let without_number = chain.split(" (os error").next().unwrap_or(chain);
    let last = without_number.rsplit(": ").next().unwrap_or(without_number);
    last.trim_end_matches('.').to_lowercase()
}
