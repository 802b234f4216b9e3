//! `--wait`: waiting for the operation that runs.

use std::time::Duration;

use tokio::time::Instant;

use super::output::print_note;
use super::signals::Signals;
use super::wait_arguments::WaitArguments;
use crate::{Error, Result};

/// How often the slot is tried.
const INTERVAL: Duration = Duration::from_secs(1);

/// Repeats `attempt` as long as another operation runs and `--wait` allows.
pub(super) async fn while_busy<T>(
    arguments: WaitArguments,
    signals: &Signals,
    attempt: impl AsyncFn() -> Result<T>,
) -> Result<T> {
    let until = Instant::now() + arguments.wait.unwrap_or_default();
    let mut waits_for = None;
    loop {
        let busy = match attempt().await {
            Err(Error::Busy(busy)) => busy,
            done => return done,
        };
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Busy(busy));
        }
        if waits_for.as_ref() != Some(&busy.holder.operation_id) {
            print_note!("waiting for {busy}");
            waits_for = Some(busy.holder.operation_id.clone());
        }
        let pause = async {
            tokio::time::sleep(left.min(INTERVAL)).await;
            Ok(())
        };
        signals.or_interrupted(pause).await?;
    }
}
