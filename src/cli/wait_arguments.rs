//! `--wait`, which many commands take.

use std::time::Duration;

use clap::Args;

use crate::times;

#[derive(Debug, Clone, Copy, Args)]
pub(super) struct WaitArguments {
    /// Wait this long while another operation runs, such as 90s, 30m or 2h, instead of ending with
    /// exit code 3 at once.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(super) wait: Option<Duration>,
}

/// Reads a duration.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    times::parse_duration(text).ok_or_else(|| format!("expected {}", times::DURATION_FORM))
}
