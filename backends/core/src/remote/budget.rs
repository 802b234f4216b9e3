//! How much memory bodies may take.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Heartbeat;

/// Bytes are counted in these units: a semaphore counts in 32 bits.
const UNIT_BYTES: u64 = 4 << 10;

/// A number of bytes that may be held at once, given out in the order of asking.
///
/// A sink has one for writing and one for reading. One operation copies in one direction, so that
/// its copies ask for the two in one order: two holders that wait for each other would wait for
/// ever.
#[derive(Debug, Clone)]
pub struct Budget {
    units: u32,
    free: Arc<Semaphore>,
}

impl Budget {
    /// A budget of `bytes`.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES).clamp(1, 1 << 28)).unwrap_or(1);
        Self {
            units,
            free: Arc::new(Semaphore::new(units as usize)),
        }
    }

    /// Whether all of it is free.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.free.available_permits() == self.units as usize
    }

    /// Waits until `bytes` are free and takes them. More than the whole budget is cut to all of it,
    /// so that an object of any size goes through, alone.
    pub async fn reserve(&self, bytes: u64) -> Reservation {
        let units = u32::try_from(bytes.div_ceil(UNIT_BYTES))
            .unwrap_or(u32::MAX)
            .clamp(1, self.units);
        let permit = self.free.clone().acquire_many_owned(units).await;
        Reservation {
            bytes: u64::from(units) * UNIT_BYTES,
            _permit: permit.ok(),
        }
    }

    /// The same, within a request that is watched: waiting for room here is not silence of the
    /// store's.
    pub async fn reserve_with_heartbeat(&self, bytes: u64, beat: &Heartbeat) -> Reservation {
        let reserved = self.reserve(bytes);
        tokio::pin!(reserved);
        loop {
            tokio::select! {
                biased;
                reservation = &mut reserved => {
                    beat.wait();
                    return reservation;
                }
                () = tokio::time::sleep(INTERVAL) => beat.wait(),
            }
        }
    }
}

/// How often a request that waits for room reports so: well below any policy's limit on silence.
const INTERVAL: Duration = Duration::from_secs(1);

/// Bytes of a [`Budget`], given back when this is dropped.
#[derive(Debug)]
pub struct Reservation {
    bytes: u64,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Reservation {
    /// How many bytes they are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Retrier, RetryPolicy};
    use super::*;

    /// A store that is well must not be given up because this program had no room for its bytes.
    #[tokio::test(start_paused = true)]
    async fn waiting_for_room_is_no_silence() {
        let budget = Budget::new(1);
        let held = budget.reserve(1).await;
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(300)).await;
            drop(held);
        });
        let retrier = Retrier::new(RetryPolicy::default(), 1);
        let done = retrier.call("read", "a", |beat| {
            let budget = budget.clone();
            async move {
                budget.reserve_with_heartbeat(1, &beat).await;
                Ok(())
            }
        });
        done.await.expect("it waits, and goes on");
    }
}
