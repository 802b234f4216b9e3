//! What is known of the targets: their lists of backups, and the history.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;

use crate::manifest::BackupId;
use crate::operations::owner::Owner;
use crate::operations::{
    ArcBackup, Operation, OperationKind, Status, is_restoring, keep_whole_runs,
};
use crate::repository::{Freshness, Listing, Repository};
use crate::schedule::{configured, health};

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
    /// Whether a backup without the SQLite databases lacks something, by the configuration.
    pub(super) needs_metadata: bool,
    pub(super) targets: Vec<TargetFacts>,
    /// A restore that was interrupted while it changed live data, and what to do.
    pub(super) interrupted: Option<String>,
    /// What is wrong with the schedules.
    pub(super) schedules: Option<String>,
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
    let listings = join_all(repositories.map(list));
    let (listings, history) = futures::join!(listings, engine.operations(0, RECENT));
    let listings = without_incomplete_runs(engine, listings).await;
    let (history, unread) = match history {
        Ok(history) => (history, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    let default_target = &engine.settings().backup.default_target;
    let has_databases = |name: &str| {
        let mut settings = engine.targets().map(|(settings, _)| settings);
        settings.any(|one| one.name == name && !one.databases.is_empty())
    };
    let targets = (listings.into_iter())
        .map(|(repository, listing)| TargetFacts {
            name: repository.name().to_owned(),
            last: last_attempt(&history, repository, default_target),
            // Every configuration has the target `local`; many never write to it. One for the
            // databases that it names is empty while these have no files.
            is_optional: wanted.is_none()
                && repository.name() != default_target
                && (repository.name() == "local" || has_databases(repository.name())),
            listing,
        })
        .collect();
    let is_restoring = engine.busy().is_some_and(|by| is_restoring(&by.operation));
    let interrupted = match is_restoring {
        true => None,
        false => engine.restore_in_progress().await,
    };
    Facts {
        now: Timestamp::now(),
        own: engine.instance(),
        owner: Owner::of(engine.settings()),
        needs_metadata: engine.settings().backup.include_metadata,
        targets,
        interrupted: interrupted.map(|restore| format!("{restore}: {}", restore.remedy())),
        schedules: match wanted {
            None => schedules(engine).await,
            Some(_) => None,
        },
        unread,
    }
}

/// What is wrong with the schedules of the configuration.
async fn schedules(engine: &ArcBackup) -> Option<String> {
    let health = health(engine, configured(engine.settings())).await;
    health.wrong()
}

type Listed<'a> = (&'a Repository, Result<Listing, String>);

async fn list(repository: &Repository) -> Listed<'_> {
    let listed = async {
        let listing = repository.list_with(Freshness::Recent).await?;
        // What an earlier list read of them proves nothing of now.
        let newest = (listing.backups.iter()).find(|one| one.state.is_good() && one.is_whole());
        let is_whole = match newest.map(|one| BackupId::parse(&one.backup_id)) {
            Some(Ok(id)) if newest.is_some_and(|one| one.leg.is_none()) => {
                repository.load(&id).await.is_ok()
            }
            _ => true,
        };
        match is_whole {
            true => Ok(listing),
            false => repository.list().await,
        }
    };
    let listing = tokio::time::timeout(LIST_TIMEOUT, listed).await;
    let listing = match listing {
        Ok(listing) => listing.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {} s", LIST_TIMEOUT.as_secs())),
    };
    (repository, listing)
}

/// The lists without the legs of runs that are not known to be whole. The other targets are listed
/// only where there are legs.
async fn without_incomplete_runs<'a>(
    engine: &'a ArcBackup,
    listings: Vec<Listed<'a>>,
) -> Vec<Listed<'a>> {
    let has_legs = |(_, listing): &Listed<'_>| {
        (listing.as_ref()).is_ok_and(|one| one.backups.iter().any(|one| one.leg.is_some()))
    };
    if !listings.iter().any(has_legs) {
        return listings;
    }
    let is_listed = |name: &str| listings.iter().any(|(one, _)| one.name() == name);
    let others = (engine.targets().map(|(_, repository)| repository))
        .filter(|repository| !is_listed(repository.name()));
    let others = join_all(others.map(list)).await;
    let asked = listings.len();
    let (repositories, listings): (Vec<_>, Vec<_>) = listings.into_iter().chain(others).unzip();
    let names = repositories.iter().map(|one| one.name().to_owned());
    let mut named: Vec<_> = names.zip(listings).collect();
    keep_whole_runs(&mut named);
    let listings = named.into_iter().map(|(_, listing)| listing);
    repositories.into_iter().zip(listings).take(asked).collect()
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
            && (operation.target.as_deref().unwrap_or(default_target) == repository.name()
                || (operation.targets.iter()).any(|name| name == repository.name()))
    })?;
    Some(LastAttempt {
        started_at: last.started_at.parse().ok()?,
        error: (last.status == Status::Failed).then(|| {
            (last.error.clone()).unwrap_or_else(|| "the history does not say why".to_owned())
        }),
    })
}
