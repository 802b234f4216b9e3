//! The time of modification of a stored file, which shows whether something wrote into it since.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Whether a stored file has the time of its record, as finely as its file system keeps times.
pub(super) fn is_same_time(stored: Option<SystemTime>, record: Option<SystemTime>) -> bool {
    let (Some(stored), Some(record)) = (stored, record) else {
        return true;
    };
    let apart = (stored.duration_since(record)).unwrap_or_else(|error| error.duration());
    let since = (stored.duration_since(UNIX_EPOCH)).unwrap_or_else(|error| error.duration());
    let step = match since.subsec_nanos() {
        // FAT keeps every other second.
        0 => Duration::from_secs(2),
        nanos if nanos.is_multiple_of(1_000_000) => Duration::from_millis(1),
        nanos if nanos.is_multiple_of(1000) => Duration::from_micros(1),
        nanos if nanos.is_multiple_of(100) => Duration::from_nanos(100),
        _ => Duration::from_nanos(1),
    };
    apart < step
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a write that goes unnoticed where times are fine, and files that are read
    /// each time where a file system cuts times off.
    #[test]
    fn times_are_compared_as_finely_as_they_are_kept() {
        let at = |nanoseconds| Some(UNIX_EPOCH + Duration::from_nanos(nanoseconds));
        let record = at(5_123_456_789);
        for (stored, expected) in [
            (record, true),
            (at(5_123_456_788), false),
            (at(5_123_456_700), true),
            (at(5_123_456_000), true),
            (at(5_123_000_000), true),
            (at(5_124_000_000), true),
            (at(5_125_000_000), false),
            (at(5_000_000_000), true),
            (at(4_000_000_000), true),
            (at(8_000_000_000), false),
            (at(2_000_000_000), false),
            (None, true),
        ] {
            assert_eq!(is_same_time(stored, record), expected, "{stored:?}");
        }
    }
}
