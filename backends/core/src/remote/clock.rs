//! Clocks that are too far apart for signatures.

use std::time::{Duration, SystemTime};

/// What to do about a clock that is wrong.
pub const SET_CLOCK: &str = "set the clock of this machine, and keep it right with NTP (`timedatectl set-ntp true`, chrony): \
    requests that are signed at a wrong time are refused";

/// From which difference on a refusal is taken to be the clock's fault. S3 and Azure refuse
/// requests from 15 minutes on.
const TOO_FAR: Duration = Duration::from_secs(10 * 60);

/// A text that says that this machine's clock is too far from the time `theirs` of a store's answer
/// that has come `now`; `None` where it is not.
#[must_use]
pub fn clock_fault(theirs: SystemTime, now: SystemTime) -> Option<String> {
    let (apart, how) = match now.duration_since(theirs) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(error) => (error.duration(), "behind"),
    };
    (apart >= TOO_FAR).then(|| {
        let minutes = apart.as_secs() / 60;
        format!("the clock of this machine is {minutes} min {how} that of the store")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: hours spent on a key that is right.
    #[test]
    fn a_clock_is_blamed_from_ten_minutes_on() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let minutes = |count: u64| Duration::from_secs(60 * count);
        assert_eq!(clock_fault(now - minutes(9), now), None);
        let ahead = clock_fault(now - minutes(20), now).expect("too far");
        assert!(ahead.contains("20 min ahead"), "{ahead}");
        let behind = clock_fault(now + minutes(20), now).expect("too far");
        assert!(behind.contains("20 min behind"), "{behind}");
    }
}
