//! How much memory bodies may take.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes are counted in these units: a semaphore counts in 32 bits.
const UNIT_BYTES: u64 = 4 << 10;

/// A number of bytes that may be held at once, given out in the order of asking.
///
/// Who needs buffers of two budgets asks the one for writing first: two holders that wait for each other would
/// wait for ever.
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

    /// Waits until `bytes` are free and takes them. More than the whole budget is cut to all of it, so that an
    /// object of any size goes through, alone.
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
}

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
