//! Who holds a lock.

use jiff::Timestamp;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

/// What a lock says of its holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// `backup`, `restore`, …
    pub operation: String,
    /// Its id.
    pub operation_id: String,
    /// The backup that it makes or reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_id: Option<String>,
    /// The process.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// Since when.
    pub started_at: Option<Timestamp>,
    /// Which process it is among all that ever had its number, where the system shows that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessIdentity>,
}

/// What distinguishes a process from every other one, on any machine and at any time, whatever its
/// number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessIdentity {
    /// `/proc/sys/kernel/random/boot_id`: another with each start of a machine, and no two machines
    /// have the same.
    pub boot_id: String,
    /// The namespace of process numbers, which a container may have of its own: `pid:[4026531836]`.
    pub pid_namespace: String,
    /// When it was started, in clock ticks since the machine was: field 22 of `/proc/<pid>/stat`.
    pub start_ticks: u64,
}

impl ProcessIdentity {
    /// That of this process; `None` where the system does not show it.
    fn own() -> Option<Self> {
        match Look::at(std::process::id()) {
            Look::Lives(start_ticks) => Self::with(start_ticks),
            Look::Dead | Look::Unknown => None,
        }
    }

    /// That of a process of this machine and namespace that was started then.
    fn with(start_ticks: u64) -> Option<Self> {
        // What `/proc` shows may be another namespace's.
        let own = std::fs::read_to_string("/proc/self/stat").ok()?;
        let is_ours = own.split(' ').next()?.parse() == Ok(std::process::id());
        if !is_ours {
            return None;
        }
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let pid_namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
        Some(Self {
            boot_id: boot_id.trim().to_owned(),
            pid_namespace: pid_namespace.to_str()?.to_owned(),
            start_ticks,
        })
    }
}

/// What the system shows of a process number.
enum Look {
    /// A process that was started then.
    Lives(u64),
    Dead,
    /// There is one, which this user may not look at (`hidepid`).
    Unknown,
}

impl Look {
    fn at(pid: u32) -> Self {
        if let Some((state, start_ticks)) = stat_of(pid) {
            // A zombie is dead, and only waits for its parent.
            return match state {
                'Z' | 'X' => Self::Dead,
                _ => Self::Lives(start_ticks),
            };
        }
        let number = i32::try_from(pid).ok().and_then(Pid::from_raw);
        match number.map(test_kill_process) {
            Some(Err(Errno::SRCH)) => Self::Dead,
            _ => Self::Unknown,
        }
    }
}

/// The state of a process, and when it was started.
fn stat_of(pid: u32) -> Option<(char, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The fields behind the name, which may contain anything, begin with the third: the state.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace();
    Some((
        fields.next()?.chars().next()?,
        fields.nth(18)?.parse().ok()?,
    ))
}

/// The operation id of a holder of which nothing is known.
const UNKNOWN: &str = "unknown";

impl Holder {
    /// This process, for an operation.
    #[must_use]
    pub fn this(operation: &str, operation_id: &str) -> Self {
        let pid = std::process::id();
        Self {
            operation: operation.to_owned(),
            operation_id: operation_id.to_owned(),
            backup_id: None,
            pid,
            host: rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            started_at: Some(Timestamp::now()),
            process: ProcessIdentity::own(),
        }
    }

    /// Whether it is known to be dead: a process of this machine whose number is free, or another
    /// process's. Of a process elsewhere, or in another container, nothing is known.
    #[must_use]
    pub fn is_dead(&self) -> bool {
        let Some(process) = &self.process else {
            return false;
        };
        let here = ProcessIdentity::with(process.start_ticks);
        here.as_ref() == Some(process)
            && match Look::at(self.pid) {
                Look::Lives(start_ticks) => start_ticks != process.start_ticks,
                Look::Dead => true,
                Look::Unknown => false,
            }
    }

    /// Whether it is known to live: a process of this machine that was started when it says.
    pub(crate) fn is_alive(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            ProcessIdentity::with(process.start_ticks).as_ref() == Some(process)
                && matches!(Look::at(self.pid), Look::Lives(ticks) if ticks == process.start_ticks)
        })
    }

    /// Whether its lock does not say which operation it is.
    pub(crate) fn is_unknown(&self) -> bool {
        self.operation_id == UNKNOWN
    }

    pub(crate) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("plain data is valid JSON")
    }

    /// The holder in a lock's text; of one whose text is unreadable nothing is known.
    pub(crate) fn from_text(text: &str) -> Self {
        serde_json::from_str(text).unwrap_or_else(|_| Self {
            operation: "operation".to_owned(),
            operation_id: UNKNOWN.to_owned(),
            backup_id: None,
            pid: 0,
            host: "unknown".to_owned(),
            started_at: None,
            process: None,
        })
    }
}

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            operation,
            operation_id,
            pid,
            host,
            ..
        } = self;
        write!(f, "{operation} {operation_id} of process {pid} on {host}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a living holder that loses its lock. Only a process of this machine and
    /// namespace can be known to be dead.
    #[test]
    fn only_a_process_of_here_is_known_to_be_dead() {
        let alive = Holder::this("backup", "x");
        assert!(alive.process.is_some(), "the system shows it");
        assert!(!alive.is_dead() && alive.is_alive());
        let mut child = std::process::Command::new("true").spawn().expect("it runs");
        let of_child = |holder: &Holder| Holder {
            pid: child.id(),
            process: holder.process.clone().map(|process| ProcessIdentity {
                start_ticks: process.start_ticks + 1_000_000,
                ..process
            }),
            ..holder.clone()
        };
        let dead = of_child(&alive);
        child.wait().expect("it ends");
        assert!(dead.is_dead());
        assert_eq!(Holder::from_text(&dead.to_text()), dead);
        let elsewhere = |change: fn(&mut ProcessIdentity)| {
            let mut holder = dead.clone();
            change(holder.process.as_mut().expect("it has one"));
            holder
        };
        for unknown in [
            elsewhere(|process| process.boot_id = "another machine".to_owned()),
            elsewhere(|process| process.pid_namespace = "pid:[1]".to_owned()),
            Holder {
                process: None,
                ..dead.clone()
            },
            Holder::from_text("nonsense"),
        ] {
            assert!(!unknown.is_dead() && !unknown.is_alive(), "{unknown:?}");
        }
        // Its number is another's now.
        let again = Holder {
            pid: std::process::id(),
            ..dead
        };
        assert!(again.is_dead());
    }
}
