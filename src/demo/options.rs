//! What may be chosen about a sample instance.

use std::num::NonZeroU16;

/// What may be chosen about a new sample instance. An existing one stays as it is.
#[derive(Debug, Clone)]
pub struct DemoOptions {
    /// The seed of the values: the same seed gives the same bytes. File names do not depend on it.
    pub seed: u64,
    /// Rows of each measurement per hour. Default 200, some 2 MB altogether.
    pub rows_per_hour: NonZeroU16,
}

impl Default for DemoOptions {
    fn default() -> Self {
        Self {
            seed: 20_260_211,
            rows_per_hour: const { NonZeroU16::new(200).expect("200 is not 0") },
        }
    }
}
