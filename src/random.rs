//! Random names.

use crate::{Error, Result};

/// Random bytes as lower-case hex digits.
///
/// # Errors
/// When the operating system has no random numbers.
pub(crate) fn random_hex<const BYTES: usize>() -> Result<String> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes)
        .map_err(|e| Error::Failed(format!("the system has no random numbers: {e}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
