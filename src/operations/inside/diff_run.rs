//! Comparing two backups, or a backup with the live data: two sorted lists, walked at once.

use std::sync::Arc;
use std::time::SystemTime;

use arc_backup_core::{Scope, Section};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use jiff::Timestamp;

use super::diff::{Change, Counting, Diff, DiffSide, between_backups, since_backup};
use super::opened::OpenedBackup;
use crate::manifest::{BackupId, Record};
use crate::operations::backup::same_file::Moments;
use crate::operations::selected::{check_names_of_either, without_section};
use crate::operations::shared_places::nested_tiers;
use crate::operations::{ArcBackup, DataSelection};
use crate::sorted::{Joined, merge_join};
use crate::source::live_files;
use crate::times::system_time;
use crate::{Error, Result};

/// What is compared.
#[derive(Debug, Clone)]
pub struct DiffOptions {
    /// The first backup.
    pub a: BackupId,
    /// The second one; `None` for the live data.
    pub b: Option<BackupId>,
    /// The target that the backups are in.
    pub target: Option<String>,
    /// What of them is compared, by the paths of files.
    pub scope: Scope,
    /// How many files of each change are named at most.
    pub sample: usize,
}

type Records = BoxStream<'static, Result<Record>>;

impl ArcBackup {
    /// Says what is different in another backup, or in the live data. Each file that is not known
    /// to be the same is given to `take` too. Neither list is held in memory, and no file is read:
    /// backups are compared by their SHA-256, live files by what proves them to an incremental
    /// backup.
    ///
    /// # Errors
    /// As [`open`](Self::open), those of the storage, those of `take`, and [`Error::Invalid`] where
    /// an item of the scope matches nothing on either side.
    pub async fn diff(
        &self,
        options: &DiffOptions,
        take: impl FnMut(Change, &str) -> Result<()> + Send,
    ) -> Result<Diff> {
        let target = options.target.as_deref();
        match &options.b {
            Some(b) => {
                let (a, b) = (self.open(&options.a, target), self.open(b, target));
                let (a, b) = futures::try_join!(a, b)?;
                between(&a, &b, options, take).await
            }
            None => {
                let a = self.open(&options.a, target).await?;
                self.diff_live(&a, options, take).await
            }
        }
    }

    async fn diff_live(
        &self,
        a: &OpenedBackup,
        options: &DiffOptions,
        take: impl FnMut(Change, &str) -> Result<()> + Send,
    ) -> Result<Diff> {
        if let Some(root) = self.storage.properties().local_path
            && !root.is_dir()
        {
            return Err(Error::Failed(format!(
                "the storage root `{}` (`storage.local_path`) is not a folder: is its volume mounted?",
                root.display()
            )));
        }
        let manifest = &a.loaded().manifest;
        let now = SystemTime::now();
        let taken = (manifest.consistency.as_ref())
            .and_then(|consistency| consistency.moment.parse::<Timestamp>().ok());
        let moments = Moments {
            // Without a moment, none is known to be before it.
            base: taken.map_or(SystemTime::UNIX_EPOCH, system_time),
            now,
        };
        let scope = (options.scope.clone()).of_databases(manifest.covered_databases());
        let cold = match &self.cold {
            Some(cold) => Some((cold, nested_tiers(&self.storage, cold)?.in_cold)),
            None => None,
        };
        let live = live_files(&self.storage, self.exclusions(), cold, &scope)
            .map_err(Error::from)
            .map(|entry| Record::new(&Section::Data, entry?))
            .boxed();
        let before = stream::iter(a.inventory().records_of(&Section::Data)?).boxed();
        let tags = self.storage.properties().entity_tag;
        let counting = walk(before, live, &scope, options, take, |before, live| {
            since_backup(before, live, tags, &moments)
        });
        let mut warnings = warnings(a);
        warnings.push(
            "only the data is compared: databases and arc.toml change while Arc runs".to_owned(),
        );
        let live = DiffSide::Live(self.storage.location());
        Ok(counting
            .await?
            .finish(side(a), live, DataSelection::of(&options.scope), warnings))
    }
}

async fn between(
    a: &Arc<OpenedBackup>,
    b: &Arc<OpenedBackup>,
    options: &DiffOptions,
    take: impl FnMut(Change, &str) -> Result<()> + Send,
) -> Result<Diff> {
    let manifests = [a, b].map(|one| (one.id(), &one.loaded().manifest));
    check_names_of_either(manifests, &options.scope)?;
    let records = |one: &OpenedBackup| -> Result<Records> {
        Ok(stream::iter(one.inventory().records()?).boxed())
    };
    let (before, after, scope) = (records(a)?, records(b)?, &options.scope);
    let counting = walk(before, after, scope, options, take, between_backups);
    let counting = counting.await?;
    let mut all = warnings(a);
    for warning in warnings(b) {
        if !all.contains(&warning) {
            all.push(warning);
        }
    }
    Ok(counting.finish(side(a), side(b), DataSelection::of(&options.scope), all))
}

/// Walks both lists at once, and compares what is in scope. Fails where an item that is asked for
/// selects nothing in either list. What is excluded of live data is not in its list.
async fn walk(
    before: Records,
    after: Records,
    scope: &Scope,
    options: &DiffOptions,
    mut take: impl FnMut(Change, &str) -> Result<()>,
    compare: impl Fn(&Record, &Record) -> Change,
) -> Result<Counting> {
    let selection = options.scope.selection();
    let excluded = selection.exclude().iter().filter(|_| options.b.is_some());
    let mut unseen: Vec<_> = selection.include().iter().chain(excluded).collect();
    let mut counting = Counting::default();
    let mut joined = merge_join(before, after);
    while let Some(joined) = joined.try_next().await? {
        let change = match &joined {
            Joined::Left(_) => Change::Removed,
            Joined::Right(_) => Change::Added,
            Joined::Both(before, after) => compare(before, after),
        };
        let (before, after) = joined.into_sides();
        if let Some(record) = after.as_ref().or(before.as_ref()) {
            unseen.retain(|item| !item.selects(&record.entry.key));
            if !scope.contains(&record.section(), &record.entry.key) {
                continue;
            }
        }
        if change != Change::Unchanged
            && let Some(record) = after.as_ref().or(before.as_ref())
        {
            take(change, &record.path)?;
        }
        counting.add(change, before.as_ref(), after.as_ref(), options.sample);
    }
    if let Some(item) = unseen.first() {
        return Err(Error::Invalid(format!(
            "{item}: nothing on either side matches{}",
            without_section(item)
        )));
    }
    Ok(counting)
}

fn side(backup: &OpenedBackup) -> DiffSide {
    DiffSide::Backup {
        id: backup.id().clone(),
        target: backup.target().to_owned(),
    }
}

/// What has to be known of a backup to read the comparison.
fn warnings(backup: &OpenedBackup) -> Vec<String> {
    let (id, manifest) = (backup.id(), &backup.loaded().manifest);
    let mut warnings = Vec::new();
    if !manifest.scope.is_empty() {
        warnings.push(format!(
            "backup `{id}` has the data of {} alone",
            crate::names::shortened(&manifest.scope)
        ));
    }
    if !backup.loaded().sealed {
        warnings.push(format!(
            "Arc itself made backup `{id}`: files of the same size and without a SHA-256 are counted as unknown"
        ));
    }
    if manifest.cold_files_excluded > 0 {
        warnings.push(format!(
            "backup `{id}` lacks {} files of the cold tier",
            manifest.cold_files_excluded
        ));
    }
    warnings
}
