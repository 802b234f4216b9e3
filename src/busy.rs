//! The report for whoever finds the slot taken: who runs what, since when, how far it is.

use std::fmt;
use std::time::Duration;

use indicatif::HumanBytes;
use jiff::Timestamp;

use crate::holder::Holder;
use crate::times;

/// The operation that runs, and keeps another from beginning.
#[derive(Debug, Clone, PartialEq)]
pub struct Busy {
    /// Who runs it.
    pub holder: Holder,
    /// How far it is, where this instance knows.
    pub progress: Option<BusyProgress>,
    /// When the lock of the target is free at the latest, if its holder is dead. Absent where the
    /// lock ends with its process, and where the process is known to live.
    pub lock_expires_at: Option<Timestamp>,
}

/// How far an operation is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BusyProgress {
    /// What it does: `copying`, `verifying`, …
    pub phase: Option<String>,
    /// Files that it has done.
    pub processed_files: u64,
    /// All files that it has to do, as far as is known.
    pub total_files: u64,
    /// Bytes that it has done.
    pub processed_bytes: u64,
    /// All bytes that it has to do, as far as is known.
    pub total_bytes: u64,
}

impl From<Holder> for Busy {
    fn from(holder: Holder) -> Self {
        Self {
            holder,
            progress: None,
            lock_expires_at: None,
        }
    }
}

impl Busy {
    /// The lock of a target whose locks end this long after their holder's last sign of life.
    pub(crate) fn of_target(holder: Holder, lock_expiry: Option<Duration>) -> Self {
        let is_alive = holder.is_alive();
        Self {
            lock_expires_at: lock_expiry
                .filter(|_| !is_alive)
                .and_then(|expiry| Timestamp::now().checked_add(expiry).ok()),
            ..holder.into()
        }
    }
}

impl fmt::Display for Busy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.holder)?;
        let now = Timestamp::now();
        if let Some(started) = self.holder.started_at {
            write!(f, ", since {}", seconds(started))?;
            // The clock of another host may be ahead.
            if let Ok(age) = Duration::try_from(now.duration_since(started)) {
                write!(f, " ({} ago)", times::long(age))?;
            }
        }
        if let Some(progress) = self.progress.as_ref().and_then(BusyProgress::describe) {
            write!(f, ", {progress}")?;
        }
        if let Some(expires) = self.lock_expires_at {
            let left = Duration::try_from(expires.duration_since(now)).unwrap_or_default();
            write!(
                f,
                "; if that process is dead, its lock is free by {} (in {})",
                seconds(expires),
                times::long(left)
            )?;
        }
        Ok(())
    }
}

impl BusyProgress {
    /// How far an operation is: `copying, 15 of 105 files, 1.00 MiB of 4.00 MiB (25%)`; `None` for
    /// one that has only just begun.
    fn describe(&self) -> Option<String> {
        if self.total_files == 0 {
            return self.phase.clone();
        }
        let (done, all) = match self.total_bytes {
            0 => (self.processed_files, self.total_files),
            all => (self.processed_bytes, all),
        };
        let percent = match all {
            0 => String::new(),
            // A share for people: a float is exact enough.
            all => format!(" ({:.0}%)", (done as f64 / all as f64 * 100.0).floor()),
        };
        Some(format!(
            "{}, {} of {} files, {} of {}{percent}",
            self.phase.as_deref().unwrap_or("running"),
            self.processed_files,
            self.total_files,
            HumanBytes(self.processed_bytes),
            HumanBytes(self.total_bytes),
        ))
    }
}

/// RFC 3339, in whole seconds.
fn seconds(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a wait of unknown length: the report says how far the other operation is.
    #[test]
    fn busy_says_since_when_how_far_and_when_the_lock_of_the_dead_is_free() {
        let mut holder = Holder::this("backup", "20260211-143022-5f0c1d2e");
        holder.started_at = Timestamp::now()
            .checked_sub(jiff::Span::new().seconds(125))
            .ok();
        let mut busy = Busy::of_target(holder.clone(), Some(Duration::from_secs(76)));
        assert_eq!(busy.lock_expires_at, None, "this very process lives");
        busy.progress = Some(BusyProgress {
            phase: Some("copying".to_owned()),
            total_files: 105,
            processed_files: 15,
            total_bytes: 4 << 20,
            processed_bytes: 1 << 20,
        });
        let said = busy.to_string();
        let wanted = "(2m 5s ago), copying, 15 of 105 files, 1.00 MiB of 4.00 MiB (25%)";
        assert!(said.ends_with(wanted), "{said}");
        holder.process = None;
        let said = Busy::of_target(holder, Some(Duration::from_secs(76))).to_string();
        assert!(said.contains("its lock is free by "), "{said}");
        assert!(said.contains("(in 1m 1"), "{said}");
    }
}
