//! The base of a backup: the earlier one whose unchanged files are reused.

use std::time::SystemTime;

use arc_backup_core::{EntityTag, Scope};
use futures::{StreamExt, stream};
use jiff::Timestamp;

use crate::Result;
use crate::backup_type::BackupType;
use crate::manifest::{BackupId, Inventory, InventoryFault, Manifest, SourceInfo};
use crate::operations::BackupOptions;
use crate::operations::backup::same_file::Moments;
use crate::operations::context::Context;
use crate::operations::doubts::{Doubts, Health};
use crate::operations::instance_id;
use crate::operations::verify::sampling::Run;
use crate::repository::{Loaded, Note, SampleCursor};
use crate::times::system_time;

/// How many more backups are looked at for one of all databases, once one of some was found.
const MORE: usize = 500;
/// How many manifests are read at once, behind that of the newest backup: mostly that one is the
/// base.
const LOADS: usize = 16;
/// How many backups of some databases are kept in mind, should the list of files of one be damaged.
const OF_SOME: usize = 3;

/// The earlier backup whose unchanged files are reused.
#[derive(Debug, Clone)]
pub(crate) struct Base {
    pub(crate) id: BackupId,
    /// Its list of files, checked, in the scratch folder.
    pub(crate) inventory: Inventory,
    pub(crate) moments: Moments,
    pub(crate) way: Way,
    pub(crate) rehash: Rehash,
    /// The other backups with bytes of its files, and how many files each holds.
    pub(crate) holders: Vec<(BackupId, u64)>,
}

/// How a file of the base becomes one of the new backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// By a hard link.
    Link,
    /// The inventory names the backup that holds the bytes.
    Refer,
    /// By a copy within the store: the new backup is a full one.
    Copy,
}

/// Which of the reused files are read, and compared with what the base says of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Rehash {
    /// None.
    None,
    /// All.
    All,
    /// A share, in turn.
    Share(Run),
}

impl Rehash {
    /// Whether the file at `path` in the backup is read.
    pub(crate) fn draws(&self, path: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Share(run) => run.span.contains(path),
        }
    }
}

impl Base {
    /// The type of a backup that is made with it.
    pub(crate) fn backup_type(&self) -> BackupType {
        match self.way {
            Way::Link | Way::Refer => BackupType::Incremental,
            Way::Copy => BackupType::Full,
        }
    }
}

/// Finds the base of this backup, and reports it to the status. `None`: every file is copied.
///
/// # Errors
/// When an incremental backup is wanted and the target does not answer.
pub(crate) async fn find(context: &Context, options: &BackupOptions) -> Result<Option<Base>> {
    let mode = context.settings.backup.mode;
    let wanted = options.backup_type.unwrap_or(mode);
    let found = match way(context, wanted) {
        Some(way) => match search(context, options, way).await {
            Err(error) if wanted == BackupType::Full => {
                tracing::warn!(%error, "the files are read, and not copied within the store");
                None
            }
            found => found?,
        },
        None => None,
    };
    if wanted == BackupType::Incremental && found.is_none() {
        context.warn(format!(
            "{} holds no earlier backup of this instance whose files can be reused: this backup is a full one",
            context.repository.label()
        ));
    }
    if options.rehash && found.is_none() {
        context
            .warn("nothing was compared: this backup reads every file, and reuses none".to_owned());
    }
    let made = (found.as_ref()).map_or(BackupType::Full, Base::backup_type);
    let base = (found.as_ref()).filter(|_| made == BackupType::Incremental);
    context.running.update(|operation| {
        // Of several legs, one that reuses files decides.
        if operation.backup_type != Some(BackupType::Incremental) {
            operation.backup_type = Some(made);
        }
        if operation.base_backup_id.is_none() {
            operation.base_backup_id = base.map(|base| base.id.to_string());
        }
    });
    if let Some(base) = &found {
        tracing::info!(base = %base.id, way = ?base.way, "unchanged files are those of an earlier backup");
    }
    Ok(found)
}

/// How files can be reused in this target; `None` where they are not.
fn way(context: &Context, wanted: BackupType) -> Option<Way> {
    let sink = context.repository.sink();
    let has_strong_tags = context.storage.properties().entity_tag == EntityTag::Strong;
    match wanted {
        BackupType::Incremental if sink.hard_links().is_some() => Some(Way::Link),
        BackupType::Incremental => Some(Way::Refer),
        BackupType::Full if sink.hard_links().is_some() => None,
        BackupType::Full => (has_strong_tags && sink.server_copy().is_some()).then_some(Way::Copy),
    }
}

/// A backup that may be the base, and is not known to be damaged.
struct Found {
    id: BackupId,
    loaded: Loaded,
    note: Note,
}

/// The newest backup that can be the base, if possible one of all databases that are wanted.
async fn search(context: &Context, options: &BackupOptions, way: Way) -> Result<Option<Base>> {
    let repository = &context.repository;
    let own = SourceInfo {
        backend: String::new(),
        location: context.storage.location(),
        instance: instance_id::instance_id(context.settings.backup.state_folder()),
    };
    let children = repository.sink().list_children(None).await?;
    let mut ids: Vec<_> = (children.iter())
        .filter_map(|child| BackupId::parse(child.name()).ok())
        .filter(|id| *id != context.id)
        .collect();
    // An id begins with the moment at which its backup began.
    ids.sort_unstable_by(|a, b| b.cmp(a));
    let mut of_some: Vec<Found> = Vec::new();
    let mut doubts = Doubts::of(repository).await?;
    let mut more = MORE;
    let load = move |id: BackupId| async move { repository.load(&id).await };
    let (newest, older) = ids.split_at(ids.len().min(1));
    let mut loads = (stream::iter(newest.to_vec()).then(load))
        .chain(stream::iter(older.to_vec()).map(load).buffered(LOADS))
        .boxed();
    for of_one_second in ids.chunk_by(|a, b| a.moment() == b.moment()) {
        context.check_cancelled()?;
        if !of_some.is_empty() {
            let Some(left) = more.checked_sub(1) else {
                break;
            };
            more = left;
        }
        let mut found = Vec::new();
        for id in of_one_second {
            let Some(load) = loads.next().await else {
                break;
            };
            match load {
                Ok(loaded) if is_of_this_data(&loaded, &own) => found.push((id.clone(), loaded)),
                Ok(_) => {}
                Err(error) if error.is_unanswered() => return Err(error),
                Err(error) => tracing::debug!(%id, %error, "not the base"),
            }
        }
        found.sort_by_key(|(_, loaded)| loaded.manifest.created_at.parse::<Timestamp>().ok());
        for (id, loaded) in found.into_iter().rev() {
            let note = match doubts.look(repository, &id).await? {
                Health::Good(note) => *note,
                Health::Bad => continue,
            };
            let found = Found { id, loaded, note };
            if !covers(&found.loaded.manifest, &options.scope) {
                if of_some.len() < OF_SOME {
                    of_some.push(found);
                }
                continue;
            }
            if let Some(base) = open(context, options, found, &doubts, way).await? {
                return Ok(Some(base));
            }
        }
    }
    for found in of_some {
        if let Some(base) = open(context, options, found, &doubts, way).await? {
            return Ok(Some(base));
        }
    }
    Ok(None)
}

fn is_of_this_data(loaded: &Loaded, own: &SourceInfo) -> bool {
    let source = loaded.manifest.source.as_ref();
    loaded.sealed && source.is_some_and(|source| source.is_same_as(own))
}

fn covers(manifest: &Manifest, scope: &Scope) -> bool {
    manifest.covered_databases().cover(scope.databases())
}

/// Reads its list of files; `None`, and a warning, where that is damaged.
async fn open(
    context: &Context,
    options: &BackupOptions,
    found: Found,
    doubts: &Doubts,
    way: Way,
) -> Result<Option<Base>> {
    let Found { id, loaded, note } = found;
    let moment = (loaded.manifest.consistency.as_ref())
        .and_then(|consistency| consistency.moment.parse::<Timestamp>().ok());
    let Some(moment) = moment else {
        return Ok(None);
    };
    let read = context
        .repository
        .inventory(&id, &loaded, context.scratch()?);
    let inventory = match read.await {
        Ok(inventory) => inventory,
        Err(InventoryFault::Other(error)) if error.is_unanswered() => return Err(error),
        Err(fault) => {
            context.warn(format!(
                "the files of backup `{id}` can't be reused, as its list of files can't be used: {fault}; verify it"
            ));
            return Ok(None);
        }
    };
    let doubt = doubts.about(&loaded.manifest, &note);
    if let Some(why) = doubt {
        context.warn(format!(
            "{why}, and `{id}`, whose files are reused, may share files with it: each file is read and compared before it is reused"
        ));
    }
    let is_read = options.rehash || doubt.is_some();
    let rehash = match (is_read, context.settings.backup.rehash_share) {
        (true, _) => Rehash::All,
        (false, Some(share)) => Rehash::Share(Run::new(cursor(&loaded.manifest), share)),
        (false, None) => Rehash::None,
    };
    let holders = (loaded.manifest.stored_in.iter())
        .filter_map(|(holder, totals)| Some((BackupId::parse(holder).ok()?, totals.files)));
    Ok(Some(Base {
        id,
        holders: holders.collect(),
        inventory,
        moments: Moments {
            base: system_time(moment),
            now: SystemTime::now(),
        },
        way,
        rehash,
    }))
}

/// Where the files that are read again begin: behind those that the base has read.
fn cursor(manifest: &Manifest) -> SampleCursor {
    (manifest.rehashed).map_or_else(SampleCursor::default, |rehashed| SampleCursor {
        next: rehashed.next,
        covered: rehashed.covered,
    })
}
