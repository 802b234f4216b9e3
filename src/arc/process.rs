//! Arc's processes on this machine, as `/proc` shows them.

use std::fmt;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use crate::config::Database;
use crate::files::with_suffix;

/// The byte of a `-shm` file that every process locks which has the database open in WAL mode:
/// SQLite's `UNIX_SHM_DMS`.
const OPEN_BYTE: u64 = 128;

/// A process that has a database of Arc's open: Arc, as far as can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ArcProcess<'a> {
    pub(crate) pid: u32,
    /// The database.
    database: &'a Path,
}

impl fmt::Display for ArcProcess<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, database } = self;
        write!(f, "process {pid} has `{}` open", database.display())
    }
}

impl<'a> ArcProcess<'a> {
    /// The process that has one of the databases open, if there is one on this machine.
    pub(crate) fn find(databases: &'a [Database]) -> Option<Self> {
        databases.iter().find_map(|database| {
            Some(Self {
                pid: pid_with_open(&with_suffix(&database.path, "-shm"))?,
                database: &database.path,
            })
        })
    }

    /// Its compaction job: a child of its own, `arc compact …`.
    pub(crate) fn compaction_job(&self) -> Option<u32> {
        std::fs::read_dir("/proc")
            .ok()?
            .flatten()
            .find_map(|process| {
                let pid = process.file_name().to_str()?.parse().ok()?;
                let arguments = std::fs::read(process.path().join("cmdline")).ok()?;
                let is_job = arguments.split(|byte| *byte == 0).nth(1)? == b"compact";
                let status = std::fs::read_to_string(process.path().join("stat")).ok()?;
                // After the name, which may contain anything: the state, then the parent.
                let parent = status.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?;
                (is_job && parent.parse() == Ok(self.pid)).then_some(pid)
            })
    }
}

/// The process, not this one, that holds SQLite's lock of an open database. It is looked up in the
/// kernel's list: opening and closing the file would end this process's own locks on it.
fn pid_with_open(shm: &Path) -> Option<u32> {
    let meta = std::fs::metadata(shm).ok()?;
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| lock_holder(line, &file))
}

/// The process of a line such as `3: POSIX  ADVISORY  READ 4711 fd:00:1234 128 128`, if it is
/// another process with a lock on that byte of the file.
fn lock_holder(line: &str, file: &str) -> Option<u32> {
    let mut columns = line.split_ascii_whitespace();
    let is_posix = columns.nth(1)? == "POSIX";
    let pid = columns.nth(2)?.parse().ok()?;
    let is_file = columns.next()? == file;
    let start: u64 = columns.next()?.parse().ok()?;
    let end = columns.next()?;
    let end = end.parse().unwrap_or(u64::MAX);
    (is_posix && is_file && (start..=end).contains(&OPEN_BYTE) && !is_own_program(pid))
        .then_some(pid)
}

/// Whether a process is this program: its service looks tokens up in the database.
fn is_own_program(pid: u32) -> bool {
    let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    pid == std::process::id()
        || program(&pid.to_string()).is_some_and(|program_of| Some(program_of) == program("self"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a running Arc that is missed because the kernel's list has another form.
    #[test]
    fn a_database_that_is_open_elsewhere_is_seen() {
        let own = std::process::id();
        for (line, found) in [
            (
                "3: POSIX  ADVISORY  READ 4711 fd:00:1234 128 128",
                Some(4711),
            ),
            (
                "3: POSIX  ADVISORY  READ 4711 fd:00:1234 120 EOF",
                Some(4711),
            ),
            ("3: POSIX  ADVISORY  READ 4711 fd:00:1234 123 123", None),
            ("3: POSIX  ADVISORY  READ 4711 fd:00:1235 128 128", None),
            ("3: FLOCK  ADVISORY  WRITE 4711 fd:00:1234 0 EOF", None),
            ("3: -> POSIX  ADVISORY  WRITE 4711 fd:00:1234 128 128", None),
            ("", None),
        ] {
            assert_eq!(lock_holder(line, "fd:00:1234"), found, "{line}");
        }
        let ours = format!("3: POSIX  ADVISORY  READ {own} fd:00:1234 128 128");
        assert_eq!(lock_holder(&ours, "fd:00:1234"), None);
    }
}
