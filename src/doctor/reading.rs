//! What a backup will read: every folder of the data, and a file of each.

use std::time::Duration;

use arc_backup_core::{Access, Error, ErrorKind, GetOptions, ListOptions, Listed, Meta, Sink};
use futures::{StreamExt, stream};
use indicatif::{HumanBytes, HumanCount};
use tokio::time::Instant;

use super::check::Check;
use super::explain::explain;
use crate::config::Backends;
use crate::operations::ArcBackup;
use crate::source::Exclusions;

/// Arc's data, as checks name it.
pub(super) const SUBJECT: &str = "data storage";
/// How long the data is listed.
const LISTING: Duration = Duration::from_secs(10);
/// How long files are opened, behind that.
const OPENING: Duration = Duration::from_secs(10);
/// How many files are opened on local disk, each in a folder of its own.
const OPENED_LOCALLY: usize = 2000;
/// How many objects are asked for in a store.
const OPENED_REMOTELY: usize = 5;
/// How many files are opened at once.
const AT_ONCE: usize = 8;
/// How many places are named.
const NAMED: usize = 5;

/// What a full backup takes of the data, as far as it was listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    pub(super) files: u64,
    pub(super) bytes: u64,
    /// Whether all of it was listed.
    pub(super) is_whole: bool,
}

impl Needs {
    /// The bytes, for people.
    pub(super) fn describe(&self) -> String {
        let least = if self.is_whole { "" } else { "at least " };
        format!("{least}{}", HumanBytes(self.bytes))
    }
}

/// What the listing has found.
#[derive(Default)]
struct Found {
    needs: Needs,
    folders: u64,
    /// The first file of each folder.
    first: Vec<Meta>,
    archived: Places,
    unlisted: Places,
}

/// Places with a fault: how many, the first of them, and one fault.
#[derive(Default)]
struct Places {
    count: u64,
    named: Vec<String>,
    fault: Option<Error>,
}

impl Places {
    fn add(&mut self, place: &str, fault: Option<Error>) {
        self.count += 1;
        if self.named.len() < NAMED {
            self.named.push(match &fault {
                Some(fault) => format!("{place} ({})", fault.detail()),
                None => place.to_owned(),
            });
        }
        if self.fault.is_none() {
            self.fault = fault;
        }
    }

    fn describe(&self) -> String {
        let more = match self.count - self.named.len() as u64 {
            0 => String::new(),
            count => format!(", and {} more", HumanCount(count)),
        };
        format!("{}{more}", self.named.join(", "))
    }
}

/// Lists the data as a backup does and opens a sample of its files. Returns what a full backup
/// takes.
pub(super) async fn data(engine: &ArcBackup) -> (Vec<Check>, Option<Needs>) {
    let storage = &**engine.storage();
    let backends = &engine.settings().backends;
    let properties = storage.properties();
    let is_local = properties.local_path.is_some();
    if (properties.local_path).is_some_and(|root| !root.is_dir()) {
        // The check `list` reports that.
        return (Vec::new(), None);
    }
    let found = match list(storage, engine.exclusions()).await {
        Ok(found) => found,
        Err(error) => {
            let check = Check::failed(backends, SUBJECT, "read", "storage", &error);
            return (vec![check], None);
        }
    };
    let mut archived = found.archived;
    let sample = sample(found.first, properties.access);
    let (tried, unopened) = open(storage, sample, &mut archived).await;
    let needs = found.needs;
    let mut checks = Vec::new();
    for (places, what) in [
        (&found.unlisted, "folders or files cannot be read"),
        (&unopened, "files that were tried cannot be opened"),
    ] {
        if let Some(fault) = &places.fault {
            let text = format!("{} {what}: {}", HumanCount(places.count), places.describe());
            let (setting, remedy) = remedy(backends, is_local, fault);
            checks.push(Check::bad(SUBJECT, "read", text).look_at(setting, remedy));
        }
    }
    if archived.count > 0 {
        let text = format!(
            "{} objects are in an archive tier, where no backup can read them: {}",
            HumanCount(archived.count),
            archived.describe()
        );
        checks.push(Check::bad(SUBJECT, "read", text).look_at(
            "storage",
            "restore (S3) or rehydrate (Azure) them in the store, and let no lifecycle rule archive what Arc uses",
        ));
    }
    if checks.is_empty() {
        let whole = match needs.is_whole {
            true => String::new(),
            false => format!(
                "; the listing is incomplete: it was stopped after {} s",
                LISTING.as_secs()
            ),
        };
        let text = format!(
            "{} files in {} folders, {}; {tried} of them were opened{whole}",
            HumanCount(needs.files),
            HumanCount(found.folders),
            needs.describe()
        );
        checks.push(Check::good(SUBJECT, "read", text));
    }
    (checks, Some(needs))
}

/// The setting and remedy for what cannot be read.
fn remedy(backends: &Backends, is_local: bool, fault: &Error) -> (String, String) {
    match (is_local, fault.kind()) {
        (true, ErrorKind::PermissionDenied) => (
            "storage.local_path".to_owned(),
            "run as the user that Arc runs as, or let this user read the data (chown, chmod, setfacl): a backup fails otherwise"
                .to_owned(),
        ),
        (true, _) => (
            "storage.local_path".to_owned(),
            "look at the disk (`dmesg`): a backup fails where it cannot read a file".to_owned(),
        ),
        (false, _) => explain(backends, "storage", fault),
    }
}

/// Lists the data until the end, or until the time is up.
async fn list(storage: &dyn Sink, exclusions: &Exclusions) -> Result<Found, Error> {
    let ends = Instant::now() + LISTING;
    let mut found = Found::default();
    let mut folder = None;
    let mut listing = storage.list(ListOptions {
        skip: exclusions.keys.clone(),
        ..ListOptions::default()
    });
    loop {
        let row = match tokio::time::timeout_at(ends, listing.next()).await {
            Err(_) => return Ok(found),
            Ok(None) => {
                found.needs.is_whole = true;
                return Ok(found);
            }
            Ok(Some(row)) => row,
        };
        let meta = match row {
            Ok(Listed::Object(meta)) => meta,
            // A backup counts links and special files, and does not hold them.
            Ok(Listed::Other { .. }) => continue,
            Err(error) if error.is_of_one_place() => {
                let place = error.subject().to_owned();
                // A folder may have a name that no file can have.
                let inside = match place.ends_with('/') {
                    true => format!("{place}x"),
                    false => place.clone(),
                };
                if !exclusions.exclude(&inside) {
                    found.unlisted.add(&place, Some(error));
                }
                continue;
            }
            Err(error) => return Err(error),
        };
        if exclusions.exclude(&meta.key) {
            continue;
        }
        found.needs.files += 1;
        found.needs.bytes = found.needs.bytes.saturating_add(meta.size);
        let of_file = meta
            .key
            .rsplit_once('/')
            .map(|(folder, _)| folder.to_owned());
        if found.needs.files == 1 || of_file != folder {
            folder = of_file;
            found.folders += 1;
            // With many folders, the sample must include late ones too.
            if found.first.len() == 2 * OPENED_LOCALLY {
                let mut keep = false;
                found.first.retain(|_| {
                    keep = !keep;
                    keep
                });
            }
            found.first.push(meta.clone());
        }
        if meta.archived {
            found.archived.add(&meta.key, None);
        }
    }
}

/// The files to open, spread over those that there are.
fn sample(first: Vec<Meta>, access: Access) -> Vec<Meta> {
    let most = match access {
        Access::Direct => OPENED_LOCALLY,
        Access::Network => OPENED_REMOTELY,
    };
    let step = first.len().div_ceil(most).max(1);
    first.into_iter().step_by(step).collect()
}

/// Opens the files. Returns how many were tried, and those that cannot be opened. Files in an
/// archive tier are recorded apart.
async fn open(storage: &dyn Sink, sample: Vec<Meta>, archived: &mut Places) -> (usize, Places) {
    let ends = Instant::now() + OPENING;
    let mut opened = stream::iter(sample)
        .filter(|meta| std::future::ready(!meta.archived))
        .map(async |meta| {
            let options = GetOptions {
                range: Some(0..1),
                ..GetOptions::default()
            };
            let found = storage.get(&meta.key, options).await;
            (meta, found.map(drop))
        })
        .buffer_unordered(AT_ONCE);
    let (mut tried, mut unopened) = (0, Places::default());
    while let Ok(Some((meta, outcome))) = tokio::time::timeout_at(ends, opened.next()).await {
        tried += 1;
        match outcome {
            Ok(()) => {}
            // Arc has removed or rewritten it since the listing.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Changed) => {}
            Err(error) if error.kind() == ErrorKind::Archived => archived.add(&meta.key, None),
            Err(error) => unopened.add(&meta.key, Some(error)),
        }
    }
    (tried, unopened)
}
