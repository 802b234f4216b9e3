//! A running Arc, whose compaction works at the files that a restore replaces.
//!
//! A job that has read its inputs before a restore writes its output after it; one that has written its output deletes its inputs
//! after it: either way what is live is no longer what was restored. So a restore waits until no job is under way, as far as that
//! can be seen: by Arc's own word, where `backup.arc_url` names it; else by the states of jobs in the storage and the processes of an Arc
//! on this machine.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use arc_backup_core::{Key, ListOptions, Listed};
use futures::StreamExt;
use serde::Deserialize;

use crate::config::Settings;
use crate::manifest::Inventory;
use crate::operations::Phase;
use crate::operations::backup::flush;
use crate::operations::context::Context;
use crate::{Error, Result};

/// How long a job may take until a restore gives up.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often it is asked for.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(10);
/// The same, for whoever only shows whether Arc runs.
const GLANCE: Duration = Duration::from_secs(2);
/// After which a state that the backup holds too is of no job that runs: Arc looks at what is left of jobs only when it starts.
const ORPHANED: Duration = Duration::from_secs(600);
/// After which the state of a job is of none that runs.
const STALE: Duration = Duration::from_secs(24 * 3600);
/// What Arc says of its compaction; any token may ask.
const STATS: &str = "/api/v1/compaction/stats";
/// The lock that a process with a database in WAL mode open holds on the byte of its `-shm`: SQLite's `UNIX_SHM_DMS`.
const OPEN_BYTE: u64 = 128;

/// How often in a row there is to be no job, once one was seen.
const IN_A_ROW: u32 = 3;
/// How often in a row Arc may give no clear answer, once it has said that it compacts.
const UNCLEAR: u32 = 5;

#[derive(Deserialize)]
struct Stats {
    cycle_running: bool,
    #[serde(default)]
    total_jobs_completed: u64,
    #[serde(default)]
    total_jobs_failed: u64,
}

/// How many compaction jobs Arc has done since it was started.
type Jobs = (u64, u64);

/// Whether Arc compacts, by its own word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    /// There is nobody to be asked.
    None,
    Compacts,
    Rests(Jobs),
    /// It has no compaction.
    Off,
    /// It answers, and does not say, or gives no answer in time; why.
    Unclear(String),
    /// Nobody listens there.
    Stopped(String),
}

/// Whether a restore may go on.
enum Look {
    Quiet(Word),
    /// A job is under way: what it is, and how Arc is seen to run.
    Busy(String, String),
}

/// Arc, as far as a restore can see it.
pub(crate) struct RunningArc<'a> {
    context: &'a Context,
    /// The files in the backup that tell of compaction jobs.
    known: BTreeSet<Key>,
    /// What it said before what is live was looked at.
    before: Word,
}

impl<'a> RunningArc<'a> {
    /// Waits until no compaction job of a running Arc is under way, before what is live is looked at. Fails when that takes too
    /// long.
    pub(crate) async fn await_quiet(context: &'a Context, inventory: &Inventory) -> Result<Self> {
        let mut arc = Self {
            context,
            known: states_of(inventory)?,
            before: Word::None,
        };
        match arc.wait(ORPHANED).await? {
            Look::Quiet(word) => arc.before = word,
            Look::Busy(job, seen) => {
                return Err(Error::Failed(format!(
                    "{job}, and Arc runs ({seen}): it would change what is restored. Wait until that has ended, or stop Arc, and \
                     restore then"
                )));
            }
        }
        Ok(arc)
    }

    /// Whether Arc has rested since, right before the first change: else what was planned no longer fits.
    pub(crate) async fn check_quiet(&self) -> Result<()> {
        let began = match self.look(ORPHANED).await? {
            Look::Busy(job, _) => Some(job),
            Look::Quiet(now) => match (&self.before, now) {
                (Word::Rests(before), Word::Rests(now)) => {
                    (now != *before).then(|| "Arc has compacted, or was started anew".to_owned())
                }
                (Word::Rests(_), Word::Unclear(why)) => {
                    Some(format!("Arc may have compacted ({why})"))
                }
                _ => None,
            },
        };
        match began {
            None => Ok(()),
            Some(job) => Err(Error::Failed(format!(
                "{job} since it was looked at what is live: what was planned may no longer fit. Restore again when Arc's compaction \
                 has ended, or stop Arc"
            ))),
        }
    }

    /// Waits before the last look at what is live, all of which is in force by now: what a job leaves that had begun unseen is found
    /// by that. Warns of what can't be known.
    pub(crate) async fn settle(&self) -> Result<()> {
        let why = match self.wait(Duration::ZERO).await? {
            Look::Quiet(word) => {
                let why = match &word {
                    Word::Rests(_) | Word::Off | Word::Compacts => return Ok(()),
                    Word::None => {
                        "`backup.arc_url` names no Arc to be asked whether it compacts".to_owned()
                    }
                    Word::Unclear(why) | Word::Stopped(why) => {
                        format!("whether it compacts is not known: {why}")
                    }
                };
                let Some(seen) = self.seen(&word) else {
                    return Ok(());
                };
                format!(
                    "Arc runs ({seen}), and {why}: a job that had begun before this restore may still change what was restored"
                )
            }
            Look::Busy(job, seen) => format!(
                "all is restored, but Arc runs ({seen}), and {job}: it may still change what was restored"
            ),
        };
        self.context.warn(format!(
            "{why}. Look at the data when compaction has ended, and run the same restore again if need be: it changes only what \
             differs. Safest is to stop Arc first"
        ));
        Ok(())
    }

    async fn wait(&self, orphaned: Duration) -> Result<Look> {
        let context = self.context;
        let begun = Instant::now();
        let before = context.running.snapshot().phase;
        // Jobs follow each other: who is not told that there is none looks some more times.
        let mut quiet = IN_A_ROW;
        loop {
            context.check_cancelled()?;
            let look = self.look(orphaned).await?;
            if let Look::Quiet(word) = &look
                && !matches!(word, Word::Rests(_) | Word::Off)
                && quiet < IN_A_ROW
            {
                quiet += 1;
                self.pause().await;
                continue;
            }
            let Look::Busy(job, seen) = &look else {
                context.running.update(|operation| operation.phase = before);
                return Ok(look);
            };
            if begun.elapsed() > PATIENCE {
                return Ok(look);
            }
            tracing::debug!(job, seen, "waiting for Arc's compaction");
            context.running.phase(Phase::WaitingForCompaction);
            quiet = 0;
            self.pause().await;
        }
    }

    async fn pause(&self) {
        tokio::select! {
            () = self.context.running.cancel.cancelled() => {}
            () = tokio::time::sleep(PAUSE) => {}
        }
    }

    /// Looks once, and as often as it takes where Arc said that it compacts and then gives no clear answer. States that the
    /// backup holds too are of no job that runs when they are as old as `orphaned`.
    async fn look(&self, orphaned: Duration) -> Result<Look> {
        let mut word = self.ask().await;
        self.context.check_cancelled()?;
        if word == Word::Compacts {
            for _ in 0..UNCLEAR {
                self.pause().await;
                self.context.check_cancelled()?;
                word = self.ask().await;
                if !matches!(word, Word::Unclear(_)) {
                    break;
                }
            }
            if matches!(word, Word::Compacts | Word::Unclear(_)) {
                let job = "Arc says that it compacts".to_owned();
                return Ok(Look::Busy(job, "it answers".to_owned()));
            }
        }
        let is_told = matches!(word, Word::Rests(_) | Word::Off);
        if !is_told
            && let Some((arc, job)) = self.opener().and_then(|(arc, _)| Some((arc, job_of(arc)?)))
        {
            let job = format!("its process {job} compacts");
            return Ok(Look::Busy(job, format!("process {arc}")));
        }
        let Some(state) = self.pending_state(orphaned).await? else {
            return Ok(Look::Quiet(word));
        };
        let job = format!("a compaction job has not ended (`{state}`)");
        let left_behind = match &word {
            // No job of an Arc that rests is under way; one that was killed has left it.
            Word::Rests(_) => (self.ask().await == word).then_some("Arc says that it rests"),
            Word::Off => Some("Arc's compaction is off"),
            _ => None,
        };
        let why = match (left_behind, self.seen(&word)) {
            (None, Some(seen)) => return Ok(Look::Busy(job, seen)),
            (Some(why), _) => why.to_owned(),
            (None, None) => match &word {
                Word::Stopped(why) => format!("Arc is not seen to run ({why})"),
                _ => "Arc is not seen to run".to_owned(),
            },
        };
        self.context.warn(format!(
            "{job}: {why}, and so nothing waits for that; an Arc that runs all the same may change what is restored"
        ));
        Ok(Look::Quiet(word))
    }

    /// The process that has a database of Arc's open, and that database.
    fn opener(&self) -> Option<(u32, &Path)> {
        opener_of(&self.context.settings)
    }

    /// How Arc is seen to run, in words; `None` where it is not, which is no proof that it does not.
    fn seen(&self, word: &Word) -> Option<String> {
        if let Some((process, database)) = self.opener() {
            return Some(format!(
                "process {process} has `{}` open",
                database.display()
            ));
        }
        match word {
            Word::None | Word::Stopped(_) => None,
            _ => Some("`backup.arc_url`".to_owned()),
        }
    }

    /// The state of a job in the storage. What is no state of a job, or has been there for a day, is of none that runs.
    async fn pending_state(&self, orphaned: Duration) -> Result<Option<Key>> {
        let storage = &self.context.storage;
        let mut listing = storage.list(ListOptions {
            prefix: format!("{}/", crate::source::STATES),
            ..ListOptions::default()
        });
        while let Some(item) = listing.next().await {
            let Listed::Object(meta) = item? else {
                continue;
            };
            let age = meta.modified.and_then(|modified| modified.elapsed().ok());
            let age = age.unwrap_or_default();
            if !meta.key.ends_with(".json") || self.known.contains(&meta.key) && age >= orphaned {
                continue;
            }
            let what = match crate::source::tells_of_a_job(&**storage, &meta).await? {
                // It has ended this moment.
                None => continue,
                Some(false) => "not readable as one",
                Some(true) if age > STALE => "older than a day",
                Some(true) => return Ok(Some(meta.key)),
            };
            self.context.warn(format!(
                "`{}` is taken for the state of no job that runs: it is {what}",
                meta.key
            ));
        }
        Ok(None)
    }

    async fn ask(&self) -> Word {
        let Some(arc) = &self.context.settings.backup.arc else {
            return Word::None;
        };
        let asked = flush::get(arc, STATS, self.context.token.as_ref());
        let answer = tokio::select! {
            answer = tokio::time::timeout(ANSWER, asked) => answer,
            () = self.context.running.cancel.cancelled() => {
                return Word::Unclear("it was not waited for".to_owned());
            }
        };
        let url = &arc.url;
        match answer {
            Err(_) => Word::Unclear(format!(
                "`{url}` gives no answer within {} s",
                ANSWER.as_secs()
            )),
            Ok(Ok((200..300, body))) => match serde_json::from_str::<Stats>(&body) {
                Ok(stats) if stats.cycle_running => Word::Compacts,
                Ok(stats) => Word::Rests((stats.total_jobs_completed, stats.total_jobs_failed)),
                Err(error) => {
                    Word::Unclear(format!("`{url}{STATS}` answers something else ({error})"))
                }
            },
            // An Arc whose compaction is off has no such path.
            Ok(Ok((404, _))) => Word::Off,
            Ok(Ok((status @ (401 | 403), _))) => Word::Unclear(format!(
                "`{url}` refuses the token, or asks for one (HTTP {status}): set `backup.arc_token`"
            )),
            Ok(Ok((status, _))) => Word::Unclear(format!("`{url}{STATS}` answers HTTP {status}")),
            Ok(Err(why)) if why.contains("refused") => Word::Stopped(why),
            Ok(Err(why)) => Word::Unclear(why),
        }
    }
}

/// Whether Arc runs, as far as that can be seen, and how it was.
pub(crate) enum Seen {
    Runs(String),
    Stopped(String),
    Unknown,
}

/// Looks once whether Arc runs: who has its databases open, and whether `backup.arc_url` answers.
pub(crate) async fn look_for_arc(settings: &Settings) -> Seen {
    if let Some((process, path)) = opener_of(settings) {
        return Seen::Runs(format!("process {process} has `{}` open", path.display()));
    }
    let Some(arc) = &settings.backup.arc else {
        return Seen::Unknown;
    };
    match tokio::time::timeout(GLANCE, flush::get(arc, STATS, None)).await {
        Ok(Ok(_)) => Seen::Runs(format!("`{}` answers", arc.url)),
        Ok(Err(why)) if why.contains("refused") => Seen::Stopped(why),
        Ok(Err(_)) | Err(_) => Seen::Unknown,
    }
}

/// The process that has a database of Arc's open on this machine, and that database: Arc, as far as
/// can be seen.
pub(crate) fn opener_of(settings: &Settings) -> Option<(u32, &Path)> {
    settings.databases.iter().find_map(|database| {
        let shm = crate::source::beside(&database.path, "-shm");
        Some((opener(&shm)?, &*database.path))
    })
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

/// The compaction job of a running Arc: a child of its own, `arc compact …`.
fn job_of(arc: u32) -> Option<u32> {
    std::fs::read_dir("/proc")
        .ok()?
        .flatten()
        .find_map(|process| {
            let pid = process.file_name().to_str()?.parse().ok()?;
            let arguments = std::fs::read(process.path().join("cmdline")).ok()?;
            let is_job = arguments.split(|byte| *byte == 0).nth(1)? == b"compact";
            let status = std::fs::read_to_string(process.path().join("stat")).ok()?;
            // Behind the name, in which anything may be: the state, and the parent.
            let parent = status.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?;
            (is_job && parent.parse() == Ok(arc)).then_some(pid)
        })
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
