//! The check itself.

use super::evaluation::evaluate;
use super::facts::collect;
use super::options::CheckOptions;
use super::report::CheckReport;
use crate::Result;
use crate::operations::ArcBackup;

/// Checks the backups of all targets, or of one.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown target. A target that can't be reached
/// is a finding, not an error.
pub async fn check(engine: &ArcBackup, options: &CheckOptions) -> Result<CheckReport> {
    let wanted = options.target.as_deref();
    if wanted.is_some() {
        engine.repository(wanted)?;
    }
    Ok(evaluate(options, &collect(engine, wanted).await))
}
