//! The signals that ask the process to end.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// The signals that are heeded, with words for each.
const SIGNALS: [(i32, &str); 3] = [
    (SIGTERM, "ended by SIGTERM"),
    (SIGINT, "ended by SIGINT"),
    (SIGHUP, "ended by SIGHUP"),
];

/// What the process was asked to do by signals: the first asks it to end, a second one ends it at once.
#[derive(Debug, Clone, Default)]
pub(super) struct Signals {
    asked: CancellationToken,
    reason: Arc<OnceLock<&'static str>>,
}

impl Signals {
    /// Begins to heed signals, but for those that were ignored when the process was started: `nohup` means that. Called in a
    /// runtime.
    pub(super) fn heed() -> Self {
        let signals = Self::default();
        let ignored = ignored();
        let again = Arc::new(AtomicBool::new(false));
        for (number, reason) in SIGNALS {
            if ignored & 1 << (number - 1) != 0 {
                continue;
            }
            // In this order, or the first would end the process.
            let code = 128 + number;
            let heeded =
                signal_hook::flag::register_conditional_shutdown(number, code, again.clone())
                    .and_then(|_| signal_hook::flag::register(number, again.clone()))
                    .and_then(|_| signal(SignalKind::from_raw(number)));
            match heeded {
                Ok(mut stream) => {
                    let signals = signals.clone();
                    tokio::spawn(async move {
                        if stream.recv().await.is_some() {
                            let _ = signals.reason.set(reason);
                            signals.asked.cancel();
                        }
                    });
                }
                // Then it has its usual effect.
                Err(error) => tracing::warn!(%error, number, "a signal can't be heeded"),
            }
        }
        signals
    }

    /// Returns when the process is asked to end, with words for it.
    pub(super) async fn asked_to_end(&self) -> &'static str {
        self.asked.cancelled().await;
        self.reason.get().copied().unwrap_or("asked to end")
    }

    /// Whether it was.
    pub(super) fn were_asked(&self) -> bool {
        self.asked.is_cancelled()
    }
}

/// The signals that this process ignores, a bit each, as its parent has left them.
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
