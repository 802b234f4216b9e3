//! What is known of the targets: their lists of backups, and the history.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use crate::operations::owner::Owner;
use crate::operations::{ArcBackup, Operation, OperationKind, Status};
use crate::repository::{Listing, Repository};

/// How long a target may take to list its backups.
const LIST_TIMEOUT: Duration = Duration::from_secs(30);
/// How many operations are searched for the last backup of each target.
const RECENT: u64 = 200;

/// What is known when a check begins.
pub(super) struct Facts {
    pub(super) now: Timestamp,
    /// The name of this instance. Where several share a target, only its own backups count.
    pub(super) own: Option<String>,
    /// What Arc names it by.
    pub(super) owner: Owner,
    pub(super) targets: Vec<TargetFacts>,
    /// A restore that was interrupted while it changed live data, and what to do.
    pub(super) interrupted: Option<String>,
    /// Why the history can't be read.
    pub(super) unread: Option<String>,
}

/// What is known of a target.
pub(super) struct TargetFacts {
    pub(super) name: String,
    /// Its backups, or why it can't be listed.
    pub(super) listing: Result<Listing, String>,
    pub(super) last: Option<LastAttempt>,
    /// Whether it may be without backups, as long as none was made there.
    pub(super) is_optional: bool,
}

/// The last backup that has ended.
pub(super) struct LastAttempt {
    pub(super) started_at: Timestamp,
    /// Why it failed, if it did.
    pub(super) error: Option<String>,
}

/// Collects what is known of all targets, or of the target `wanted`.
pub(super) async fn collect(engine: &ArcBackup, wanted: Option<&str>) -> Facts {
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
    Facts {
        now: Timestamp::now(),
        own: engine.instance(),
        owner: Owner::of(engine.settings()),
        targets,
        interrupted: interrupted.map(|restore| format!("{restore}: {}", restore.remedy())),
        unread,
    }
}

/// The last backup of all databases to a target that has ended, with whatever result.
fn last_attempt(
    history: &[Operation],
    repository: &Repository,
    default_target: &str,
) -> Option<LastAttempt> {
    let last = history.iter().find(|operation| {
        operation.operation == OperationKind::Backup
            && operation.status != Status::Running
            && operation.scope.is_empty()
            && operation.target.as_deref().unwrap_or(default_target) == repository.name()
    })?;
    Some(LastAttempt {
        started_at: last.started_at.parse().ok()?,
        error: (last.status == Status::Failed).then(|| {
            (last.error.clone()).unwrap_or_else(|| "the history does not say why".to_owned())
        }),
    })
}
