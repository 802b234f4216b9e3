//! The speed of a writer's changes.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A fixed number of turns per second.
pub struct Pace {
    next: Mutex<Instant>,
    interval: Duration,
    unbounded: AtomicBool,
}

impl Pace {
    pub fn new(per_second: u32) -> Self {
        Self {
            next: Mutex::new(Instant::now()),
            interval: Duration::from_secs(1) / per_second,
            unbounded: AtomicBool::new(false),
        }
    }

    pub fn unbounded(&self, unbounded: bool) {
        self.unbounded.store(unbounded, Ordering::SeqCst);
    }

    /// Waits for a turn. Missed turns of up to half a second are made up for.
    pub async fn turn(&self) {
        if !self.unbounded.load(Ordering::SeqCst) {
            tokio::time::sleep_until(self.next().into()).await;
        }
    }

    /// Takes a turn without waiting, so that the next caller waits longer.
    pub fn turn_at_once(&self) {
        self.next();
    }

    fn next(&self) -> Instant {
        let mut next = self.next.lock().unwrap();
        let earliest = Instant::now().checked_sub(Duration::from_millis(500));
        *next = earliest.map_or(*next, |earliest| earliest.max(*next)) + self.interval;
        *next
    }
}
