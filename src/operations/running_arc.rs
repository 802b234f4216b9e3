//! A running Arc, whose compaction works at the files that a restore replaces.
//!
//! A job that has read its inputs before a restore writes its output after it; one that has written its output deletes its inputs
//! after it: either way what is live is no longer what was restored. So a restore waits until no job is under way, as far as that
//! can be seen: by the states of jobs in the storage, and, where `backup.arc_url` names it, by Arc's own word.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
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
/// After which the state of a job is of none that runs.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// What Arc says of its compaction; any token may ask.
const STATS: &str = "/api/v1/compaction/stats";
/// The lock that a process with a database in WAL mode open holds on the byte of its `-shm`: SQLite's `UNIX_SHM_DMS`.
const OPEN_BYTE: u64 = 128;

/// How often in a row Arc may give no answer, once it has said that it compacts.
const UNCLEAR: u32 = 5;

#[derive(Deserialize)]
struct Stats {
    cycle_running: bool,
    #[serde(default)]
    current_cycle_id: Option<i64>,
}

/// Whether Arc compacts, by its own word.
enum Word {
    /// There is nobody to be asked.
    None,
    Compacts,
    /// It does not; the number of its last cycle.
    Rests(Option<i64>),
    /// It answers, and does not say; why.
    Unclear(String),
    /// There is no answer; why.
    Silent(String),
}

/// Whether a restore may go on.
enum Look {
    Quiet(Option<i64>),
    /// A job is under way: what it is, and how Arc is seen to run.
    Busy(String, String),
}

/// Arc, as far as a restore can see it.
pub(super) struct RunningArc<'a> {
    context: &'a Context,
    /// Why it gave no answer: one that is dead is not waited for again and again.
    silent: Mutex<Option<String>>,
    /// Its last cycle when it rested before what is live was looked at.
    cycle: Mutex<Option<i64>>,
}

impl<'a> RunningArc<'a> {
    pub(super) fn new(context: &'a Context) -> Self {
        Self {
            context,
            silent: Mutex::default(),
            cycle: Mutex::default(),
        }
    }

    /// Waits until no compaction job of a running Arc is under way, before what is live is looked at. Fails when that takes too
    /// long. States that the backup holds are of no job that runs.
    pub(super) async fn await_quiet(&self, inventory: &Inventory) -> Result<()> {
        match self.wait(inventory).await? {
            Look::Quiet(cycle) => {
                *locked(&self.cycle) = cycle;
                Ok(())
            }
            Look::Busy(job, seen) => Err(Error::Failed(format!(
                "{job}, and Arc runs ({seen}): it would change what is restored. Wait until that has ended, or stop Arc, and \
                 restore then"
            ))),
        }
    }

    /// Whether Arc has rested since, right before the first change: else what was planned no longer fits.
    pub(super) async fn check_quiet(&self, inventory: &Inventory) -> Result<()> {
        let began = match self.look(&states_of(inventory)?).await? {
            Look::Busy(job, _) => Some(job),
            Look::Quiet(cycle) => {
                let before = *locked(&self.cycle);
                (before.is_some() && cycle.is_some() && cycle != before)
                    .then(|| "Arc has compacted".to_owned())
            }
        };
        match began {
            None => Ok(()),
            Some(job) => Err(Error::Failed(format!(
                "{job} since it was looked at what is live: what was planned no longer fits. Restore again when Arc's compaction has \
                 ended, or stop Arc"
            ))),
        }
    }

    /// Waits before the last look at what is live, all of which is in force by now: what a job leaves that had begun unseen is found
    /// by that. Warns of what can't be known.
    pub(super) async fn settle(&self, inventory: &Inventory) {
        let why = match self.wait(inventory).await {
            Ok(Look::Quiet(Some(_))) => return,
            Ok(Look::Quiet(None)) => {
                let Some((seen, why)) = self.unasked().await else {
                    return;
                };
                format!(
                    "Arc runs ({seen}), and {why}: a job that had begun before this restore may still change what was restored"
                )
            }
            Ok(Look::Busy(job, seen)) => format!(
                "all is restored, but Arc runs ({seen}), and {job}: it may still change what was restored"
            ),
            Err(error) => format!(
                "all is restored, but whether Arc compacts was not waited for ({error}): a job may still change what was restored"
            ),
        };
        self.context.warn(format!(
            "{why}. Look at the data when compaction has ended, and run the same restore again if need be: it changes only what \
             differs. Safest is to stop Arc first"
        ));
    }

    async fn wait(&self, inventory: &Inventory) -> Result<Look> {
        let context = self.context;
        let known = states_of(inventory)?;
        let begun = Instant::now();
        let before = context.running.snapshot().phase;
        loop {
            context.check_cancelled()?;
            let look = self.look(&known).await?;
            let Look::Busy(job, seen) = &look else {
                context
                    .running
                    .update(|operation| operation.phase.clone_from(&before));
                return Ok(look);
            };
            if begun.elapsed() > PATIENCE {
                return Ok(look);
            }
            tracing::debug!(job, seen, "waiting for Arc's compaction");
            context.running.phase("waiting for Arc's compaction");
            tokio::select! {
                () = context.running.cancel.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    /// Looks once, and as often as it takes where Arc said that it compacts and then gives no clear answer.
    async fn look(&self, known: &BTreeSet<Key>) -> Result<Look> {
        let mut word = self.ask().await;
        if let Word::Compacts = word {
            let mut unclear = 0;
            while unclear < UNCLEAR {
                tokio::time::sleep(PAUSE).await;
                self.context.check_cancelled()?;
                match self.ask().await {
                    Word::Rests(cycle) => {
                        word = Word::Rests(cycle);
                        break;
                    }
                    Word::Unclear(_) | Word::Silent(_) | Word::None => unclear += 1,
                    Word::Compacts => {
                        return Ok(Look::Busy(
                            "Arc says that it compacts".to_owned(),
                            "it answers".to_owned(),
                        ));
                    }
                }
            }
        }
        let cycle = match &word {
            Word::Rests(cycle) => Some(cycle.unwrap_or_default()),
            _ => None,
        };
        let Some(state) = self.pending_state(known).await? else {
            return Ok(Look::Quiet(cycle));
        };
        let job = format!("a compaction job has not ended (`{state}`)");
        match self.seen(&word) {
            Some(seen) => Ok(Look::Busy(job, seen)),
            None => {
                let why = match &word {
                    Word::Silent(why) => format!(" ({why})"),
                    _ => String::new(),
                };
                self.context.warn(format!(
                    "{job}: Arc is not seen to run{why}, and so nothing waits for that; an Arc that runs all the same may change what \
                     is restored"
                ));
                Ok(Look::Quiet(cycle))
            }
        }
    }

    /// How Arc is seen to run, in words; `None` where it is not, which is no proof that it does not.
    fn seen(&self, word: &Word) -> Option<String> {
        for database in &self.context.settings.databases {
            let shm = crate::source::beside(&database.path, "-shm");
            if let Some(process) = opener(&shm) {
                return Some(format!(
                    "process {process} has `{}` open",
                    database.path.display()
                ));
            }
        }
        match word {
            Word::Compacts | Word::Rests(_) | Word::Unclear(_) => Some("it answers".to_owned()),
            Word::None | Word::Silent(_) => None,
        }
    }

    /// How Arc is seen to run, and why it does not say whether it compacts.
    async fn unasked(&self) -> Option<(String, String)> {
        let word = self.ask().await;
        let why = match &word {
            Word::None => {
                "`backup.arc_url` names no Arc to be asked whether it compacts".to_owned()
            }
            Word::Unclear(why) | Word::Silent(why) => {
                format!("whether it compacts is not known: {why}")
            }
            Word::Compacts | Word::Rests(_) => return None,
        };
        Some((self.seen(&word)?, why))
    }

    /// The state of a job in the storage. What is no state of a job, or has been there for a day, is of none that runs.
    async fn pending_state(&self, known: &BTreeSet<Key>) -> Result<Option<Key>> {
        let storage = &self.context.storage;
        let mut listing = storage.list(ListOptions {
            prefix: format!("{}/", crate::source::STATES),
            ..ListOptions::default()
        });
        while let Some(item) = listing.next().await {
            let Listed::Object(meta) = item? else {
                continue;
            };
            if !meta.key.ends_with(".json") || known.contains(&meta.key) {
                continue;
            }
            let age = meta.modified.and_then(|modified| modified.elapsed().ok());
            let is_old = age.is_some_and(|age| age > STALE);
            if is_old || !crate::source::tells_of_a_job(&**storage, &meta).await? {
                self.context.warn(format!(
                    "`{}` is taken for the state of no job that runs: it is {}",
                    meta.key,
                    if is_old {
                        "older than a day"
                    } else {
                        "not readable as one"
                    }
                ));
                continue;
            }
            return Ok(Some(meta.key));
        }
        Ok(None)
    }

    async fn ask(&self) -> Word {
        let Some(arc) = &self.context.settings.backup.arc else {
            return Word::None;
        };
        if let Some(why) = &*locked(&self.silent) {
            return Word::Silent(why.clone());
        }
        let token = self.context.token.as_ref();
        let answer = tokio::select! {
            answer = flush::get(arc, STATS, token) => answer,
            () = self.context.running.cancel.cancelled() => {
                return Word::Unclear("it was not waited for".to_owned());
            }
        };
        match answer {
            Ok((200..300, body)) => match serde_json::from_str::<Stats>(&body) {
                Ok(stats) if stats.cycle_running => Word::Compacts,
                Ok(stats) => Word::Rests(stats.current_cycle_id),
                Err(error) => Word::Unclear(format!(
                    "`{}{STATS}` answers something else ({error})",
                    arc.url
                )),
            },
            Ok((status, _)) => Word::Unclear(flush::explain(
                arc,
                status,
                arc.token.is_some() || token.is_some(),
            )),
            Err(why) => {
                *locked(&self.silent) = Some(why.clone());
                Word::Silent(why)
            }
        }
    }
}

fn locked<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
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
