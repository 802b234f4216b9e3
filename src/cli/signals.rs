//! The signals that ask the process to end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::{Error, Result};

/// The signals, each with the reason that it gives.
const SIGNALS: [(i32, &str); 3] = [
    (SIGTERM, "ended by SIGTERM"),
    (SIGINT, "ended by SIGINT"),
    (SIGHUP, "ended by SIGHUP"),
];

/// The signals that the process receives: the first asks it to end, a second one ends it at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    asked: CancellationToken,
    reason: Arc<OnceLock<&'static str>>,
}

impl Signals {
    /// Begins to listen. Signals that were ignored when the process was started stay ignored, as
    /// `nohup` asks for. Must be called in a runtime.
    pub(super) fn listen() -> Self {
        let signals = Self::default();
        let ignored = ignored();
        let again = Arc::new(AtomicBool::new(false));
        for (number, reason) in SIGNALS {
            if ignored & 1 << (number - 1) != 0 {
                continue;
            }
            // In this order: otherwise the first signal would end the process.
            let code = 128 + number;
            let registered =
                signal_hook::flag::register_conditional_shutdown(number, code, again.clone())
                    .and_then(|_| signal_hook::flag::register(number, again.clone()))
                    .and_then(|_| signal(SignalKind::from_raw(number)));
            match registered {
                Ok(mut stream) => {
                    let signals = signals.clone();
                    tokio::spawn(async move {
                        if stream.recv().await.is_some() {
                            let _ = signals.reason.set(reason);
                            signals.asked.cancel();
                        }
                    });
                }
                // It keeps its usual effect.
                Err(error) => tracing::warn!(%error, number, "cannot listen for a signal"),
            }
        }
        signals
    }

    /// Returns when a signal asks the process to end, with the reason.
    pub(super) async fn received(&self) -> &'static str {
        self.asked.cancelled().await;
        self.reason.get().copied().unwrap_or("asked to end")
    }

    /// The result of `work`, unless a signal comes first: then `work` is dropped.
    pub(super) async fn or_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            biased;
            done = work => done,
            reason = self.received() => Err(Error::Cancelled(reason.to_owned())),
        }
    }

    /// Whether a signal was received.
    pub(super) fn were_received(&self) -> bool {
        self.asked.is_cancelled()
    }
}

/// The signals that this process was started to ignore, one bit each.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
