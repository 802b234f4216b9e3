//! `check`: whether there are backups as new, and as lately verified, as there should be. For
//! monitoring.
//!
//! It asks each target for its list and reads the history; no backup is read, nothing is changed.

mod judge;

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use poem_openapi::{Enum, Object};

use self::judge::{Facts, LastAttempt, TargetFacts, judge};
use crate::Result;
use crate::operations::OperationKind;
use crate::operations::{ArcBackup, Operation, Status};
use crate::repository::Repository;

/// How long a target may take to list its backups.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many operations are looked at for the last backup of each target.
const RECENT: u64 = 200;

/// What is demanded of the backups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckOptions {
    /// Only this target.
    pub target: Option<String>,
    /// How old the newest good backup may be.
    pub max_age: Duration,
    /// For how long no verification may have been clean; `None` demands none.
    pub verified_within: Option<Duration>,
    /// How many good backups there must be.
    pub min_backups: u64,
}

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Enum)]
#[oai(rename_all = "lowercase")]
pub enum CheckStatus {
    /// All is as demanded.
    Ok,
    /// Something is not.
    Critical,
}

impl CheckStatus {
    /// The word that the line begins with.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Critical => "CRITICAL",
        }
    }
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Object)]
pub struct CheckReport {
    /// `ok` or `critical`.
    pub status: CheckStatus,
    /// Whether the status is `ok`.
    pub ok: bool,
    /// All of it in one line, the worst first: what the command prints.
    pub line: String,
    /// When it was checked, RFC 3339, UTC.
    pub checked_at: String,
    /// What is wrong and is of no target: a restore that was interrupted.
    pub faults: Vec<String>,
    /// Each target.
    pub targets: Vec<TargetCheck>,
}

/// What a check found of one target.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct TargetCheck {
    /// Its name.
    pub target: String,
    /// `ok` or `critical`.
    pub status: CheckStatus,
    /// Whether the status is `ok`.
    pub ok: bool,
    /// What was found, in words.
    pub detail: String,
    /// What is wrong, each in words.
    pub faults: Vec<String>,
    /// How many good backups it holds: readable, and not known to be damaged.
    pub backups: u64,
    /// The newest of them.
    pub newest: Option<String>,
    /// When that began, RFC 3339, UTC.
    pub newest_at: Option<String>,
    /// Its age in seconds.
    pub age_seconds: Option<u64>,
    /// When a backup of this target was last verified without fault by reading it, RFC 3339, UTC.
    pub last_verified_at: Option<String>,
}

/// Checks the backups of all targets, or of one.
///
/// # Errors
/// [`Error::Invalid`](crate::Error::Invalid) for an unknown target. What can't be asked is a
/// finding, not an error.
pub async fn check(engine: &ArcBackup, options: &CheckOptions) -> Result<CheckReport> {
    let wanted = options.target.as_deref();
    if wanted.is_some() {
        engine.repository(wanted)?;
    }
    let repositories = (engine.targets().map(|(_, repository)| repository))
        .filter(|repository| wanted.is_none_or(|name| name == repository.name()));
    let listings = join_all(repositories.map(async |repository| {
        let listing = tokio::time::timeout(LIST_TIMEOUT, repository.list()).await;
        let listing = match listing {
            Ok(listing) => listing.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {} s", LIST_TIMEOUT.as_secs())),
        };
        (repository, listing)
    }));
    let (listings, history) = futures::join!(listings, engine.operations(0, RECENT));
    let (history, unread) = match history {
        Ok(history) => (history, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let default_target = &engine.settings().backup.default_target;
    let targets = (listings.into_iter())
        .map(|(repository, listing)| TargetFacts {
            name: repository.name().to_owned(),
            last: last_attempt(&history, repository, default_target),
            // Every configuration has the target `local`; many never write to it.
            is_optional: wanted.is_none()
                && repository.name() == "local"
                && default_target != "local",
            listing,
        })
        .collect();
    let is_restoring = engine
        .busy()
        .is_some_and(|by| by.operation == OperationKind::Restore.as_str());
    let interrupted = match is_restoring {
        true => None,
        false => engine.restore_in_progress().await,
    };
    Ok(judge(
        options,
        &Facts {
            now: Timestamp::now(),
            own: engine.instance(),
            targets,
            interrupted: interrupted.map(|marker| format!("{}: {}", marker, marker.remedy())),
            unread,
        },
    ))
}

/// The last backup to a target that has ended, however it did.
fn last_attempt(
    history: &[Operation],
    repository: &Repository,
    default_target: &str,
) -> Option<LastAttempt> {
    let last = history.iter().find(|operation| {
        operation.operation == OperationKind::Backup
            && operation.status != Status::Running
            && operation.target.as_deref().unwrap_or(default_target) == repository.name()
    })?;
    Some(LastAttempt {
        started_at: last.started_at.parse().ok()?,
        error: (last.status == Status::Failed).then(|| {
            (last.error.clone()).unwrap_or_else(|| "the history does not say why".to_owned())
        }),
    })
}
