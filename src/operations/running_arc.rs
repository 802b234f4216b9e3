//! A running Arc, whose compaction works at the files that a restore replaces.
//!
//! A job that has read its inputs before a restore writes its output after it; one that has written its output deletes its inputs
//! after it: either way what is live is no longer what was restored. So a restore waits until no job is under way, as far as that
//! can be seen: by the states of jobs in the storage, and, where `backup.arc_url` names it, by Arc's own word.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use arc_backup_core::{Key, ListOptions, Listed};
use futures::StreamExt;
use serde::Deserialize;

use super::context::Context;
use super::flush;
use crate::manifest::Inventory;
use crate::{Error, Result};

/// How long a job may take until a restore gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is asked for.
const PAUSE: Duration = Duration::from_millis(500);
/// What Arc says of its compaction; any token may ask.
const STATS: &str = "/api/v1/compaction/stats";
/// The lock that a process with a database in WAL mode open holds on the byte of its `-shm`: SQLite's `UNIX_SHM_DMS`.
const OPEN_BYTE: u64 = 128;

#[derive(Deserialize)]
struct Stats {
    cycle_running: bool,
}

/// Arc, as far as a restore can see it.
pub(super) struct RunningArc<'a> {
    context: &'a Context,
    /// It gave no answer once: one that is dead is not waited for again and again.
    is_silent: AtomicBool,
}

impl<'a> RunningArc<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            is_silent: AtomicBool::new(false),
        }
    }

    /// How Arc is seen to run, in words; `None` where it is not, which is no proof that it does not.
    async fn seen(&self) -> Option<String> {
        let context = self.context;
        for database in &context.settings.databases {
            let shm = crate::source::beside(&database.path, "-shm");
            if let Some(process) = opener(&shm) {
                return Some(format!(
                    "process {process} has `{}` open",
                    database.path.display()
                ));
            }
        }
        let answers = matches!(self.compacts().await, Some(Ok(_)));
        let arc = context.settings.backup.arc.as_ref().filter(|_| answers)?;
        Some(format!("`{}` answers", arc.url))
    }

    /// Waits until no compaction job of a running Arc is under way. Fails when that takes too long. States that the backup holds are
    /// of no job that runs.
    pub(super) async fn await_quiet(&self, inventory: &Inventory) -> Result<()> {
        let context = self.context;
        let known = states_of(inventory)?;
        let begun = Instant::now();
        let mut phase = None;
        loop {
            context.check_cancelled()?;
            let Some(job) = self.job(&known).await? else {
                if let Some(phase) = phase {
                    context.running.update(|operation| operation.phase = phase);
                }
                return Ok(());
            };
            let Some(seen) = self.seen().await else {
                context.warn(format!(
                "{job}: Arc is not seen to run, and so nothing waits for that; an Arc that runs all the same may change what is \
                 restored"
            ));
                return Ok(());
            };
            if begun.elapsed() > PATIENCE {
                return Err(Error::Failed(format!(
                    "{job}, and Arc runs ({seen}): it would change what is restored. Wait until that has ended, or stop Arc, and \
                 restore then"
                )));
            }
            if phase.is_none() {
                tracing::info!(job, seen, "waiting for Arc's compaction");
                phase = Some(context.running.snapshot().phase);
                context.running.phase("waiting for Arc's compaction");
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// A compaction job that is under way, in words.
    async fn job(&self, known: &BTreeSet<Key>) -> Result<Option<String>> {
        let context = self.context;
        if matches!(self.compacts().await, Some(Ok(true))) {
            return Ok(Some("Arc says that it compacts".to_owned()));
        }
        let mut listing = context.storage.list(ListOptions {
            prefix: format!("{}/", crate::source::STATES),
            ..ListOptions::default()
        });
        while let Some(item) = listing.next().await {
            if let Listed::Object(meta) = item?
                && meta.key.ends_with(".json")
                && !known.contains(&meta.key)
            {
                return Ok(Some(format!(
                    "a compaction job has not ended (`{}`)",
                    meta.key
                )));
            }
        }
        Ok(None)
    }

    /// What the operator of an Arc that runs should know of a restore of its data: where Arc itself could not be asked, a job may have
    /// been under way of which nothing is to be seen yet.
    pub(super) async fn warn(&self) {
        let context = self.context;
        if matches!(self.compacts().await, Some(Ok(_))) {
            return;
        }
        let Some(seen) = self.seen().await else {
            return;
        };
        let why = match &context.settings.backup.arc {
            Some(arc) => format!(
                "`{}` (`backup.arc_url`) does not say whether it compacts",
                arc.url
            ),
            None => "`backup.arc_url` names no Arc to be asked whether it compacts".to_owned(),
        };
        context.warn(format!(
        "Arc runs ({seen}), and {why}: a job that had begun before this restore may still change what was restored. Look at the data \
         when compaction has ended, and run the same restore again if need be: it changes only what differs. Safest is to stop Arc first"
    ));
    }

    /// Whether Arc compacts, by its own word, or why it does not say; `None` where nobody is to be asked.
    async fn compacts(&self) -> Option<Result<bool, String>> {
        let arc = self.context.settings.backup.arc.as_ref()?;
        if self.is_silent.load(Ordering::Relaxed) {
            return Some(Err("it gave no answer before".to_owned()));
        }
        let answer = flush::get(arc, STATS, self.context.token.as_ref()).await;
        let stats = answer.and_then(|text| {
            let stats: Result<Stats, _> = serde_json::from_str(&text);
            (stats.map(|stats| stats.cycle_running)).map_err(|error| error.to_string())
        });
        self.is_silent.fetch_or(stats.is_err(), Ordering::Relaxed);
        Some(stats)
    }
}

/// The process, not this one, that holds SQLite's lock of who has a database open; by the kernel's list, as to open the file
/// and close it again would end this process's own locks on it.
fn opener(shm: &Path) -> Option<u32> {
    let meta = std::fs::metadata(shm).ok()?;
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", meta.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| holder(line, &file))
}

/// The process of a line such as `3: POSIX  ADVISORY  READ 4711 fd:00:1234 128 128`, if it is another's on the byte of that file.
fn holder(line: &str, file: &str) -> Option<u32> {
    let mut columns = line.split_ascii_whitespace();
    let is_posix = columns.nth(1)? == "POSIX";
    let pid = columns.nth(2)?.parse().ok()?;
    let is_file = columns.next()? == file;
    let start: u64 = columns.next()?.parse().ok()?;
    let end = columns.next()?;
    let end = end.parse().unwrap_or(u64::MAX);
    (is_posix && is_file && (start..=end).contains(&OPEN_BYTE) && !is_ours(pid)).then_some(pid)
}

/// Whether a process is this program: a service of ours looks tokens up in the database.
fn is_ours(pid: u32) -> bool {
    let program = |pid: &str| std::fs::read_link(format!("/proc/{pid}/exe")).ok();
    pid == std::process::id()
        || program(&pid.to_string()).is_some_and(|program_of| Some(program_of) == program("self"))
}

/// The files in a backup that tell of compaction jobs.
fn states_of(inventory: &Inventory) -> Result<BTreeSet<Key>> {
    let mut states = BTreeSet::new();
    for record in inventory.records()? {
        let record = record?;
        if record.section() == crate::source::DATA && crate::source::is_state(&record.entry.key) {
            states.insert(record.entry.key);
        }
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost otherwise: that Arc runs, to a list of another form.
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
            assert_eq!(holder(line, "fd:00:1234"), found, "{line}");
        }
        let ours = format!("3: POSIX  ADVISORY  READ {own} fd:00:1234 128 128");
        assert_eq!(holder(&ours, "fd:00:1234"), None);
    }
}
