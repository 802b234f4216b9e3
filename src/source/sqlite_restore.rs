//! Restoring databases: each is staged beside its place, checked, and then put in its place.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arc_backup_core::{
    BlockingJob, Change, ChangeStream, Entry, EntryStream, Error, ErrorKind, Restore,
    RestoreSummary, Result, Section, Staging, Tier, Upload,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::carried_rows::CarriedRows;
use super::companions::remove_all_of;
use super::pending::{check_pending, move_pending, pending_restores};
use super::put_back::{check_place, put_back, wait_until_free};
use super::replace::{Attributes, real_place};
use super::snapshot::check_file;
use super::staged_file::{StagedFile, staged_name, version_of};
use crate::config::Database;
use crate::files::{create_folder, file_error, with_suffix};

pub(super) struct SqliteRestore {
    databases: Vec<Database>,
    /// The places that the configuration names, by the files of the databases.
    configured: BTreeMap<String, PathBuf>,
    staging: Staging,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The rows of the cold tier to be carried over, by the file of the database.
    carried: BTreeMap<String, CarriedRows>,
    needed: Vec<Entry>,
    summary: RestoreSummary,
}

impl SqliteRestore {
    pub(super) fn new(mut databases: Vec<Database>, staging: Staging) -> Self {
        let configured = (databases.iter())
            .map(|database| (database.file.clone(), database.path.clone()))
            .collect();
        for database in &mut databases {
            // SQLite follows a link, and has its `-wal` beside the file that the link leads to. A
            // dangling link is moved away.
            if let Ok(real) = real_place(&database.path) {
                database.path = real;
            }
        }
        Self {
            databases,
            configured,
            staging,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn database(&self, entry: &Entry) -> Result<&Database> {
        self.databases.iter().find(|database| database.file == entry.key.as_str()).ok_or_else(|| {
            Error::new(
                ErrorKind::Invalid,
                "restore",
                format!("metadata/{}", entry.key),
                "the configuration does not name this database: add its key to arc.toml, or restore without metadata",
            )
        })
    }

    fn staged_path(&self, database: &Database) -> PathBuf {
        let name = staged_name(&self.staging.operation_id, &database.file);
        database.path.with_file_name(name)
    }

    /// The place of a database as the configuration names it: Arc stages its own restores there.
    fn configured(&self, database: &Database) -> PathBuf {
        (self.configured.get(&database.file)).map_or_else(|| database.path.clone(), PathBuf::clone)
    }

    fn planned(&self) -> Vec<(Database, PathBuf, Attributes)> {
        let needed = self.state().needed.clone();
        (needed.iter())
            .filter_map(|entry| {
                let database = self.database(entry).ok()?;
                let attributes = Attributes {
                    mode: entry.mode,
                    modified: None,
                };
                Some((database.clone(), self.staged_path(database), attributes))
            })
            .collect()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let counted = BlockingJob::begin();
        let work = move || {
            let _counted = counted;
            job()
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|e| Error::new(ErrorKind::Other, "restore", "metadata", e.to_string()))?
    }
}

#[async_trait]
impl Restore for SqliteRestore {
    async fn plan(&self, mut entries: EntryStream<'_>) -> Result<RestoreSummary> {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            let database = self.database(&entry)?;
            let pending = pending_restores(&self.configured(database));
            let mut state = self.state();
            state.summary.warnings.extend(pending.iter().map(|path| {
                format!(
                    "Arc has staged a restore of its own in {}: it is moved away, as Arc would put it over the restored \
                     database at its next start",
                    path.display()
                )
            }));
            state.summary.needed_files += 1;
            state.summary.needed_bytes = state.summary.needed_bytes.saturating_add(entry.size);
            let path = std::path::absolute(&database.path)
                .map_err(|e| file_error("find", &database.path, e))?;
            // Staged, then once more in the live database's `-wal`, while the old bytes are kept.
            let live: u64 = ["", "-wal"]
                .iter()
                .filter_map(|suffix| std::fs::metadata(with_suffix(&path, suffix)).ok())
                .map(|meta| meta.len())
                .sum();
            state.summary.replaced_files += u64::from(path.exists());
            let room = entry.size.saturating_mul(2).saturating_add(live);
            state.summary.room.push((path, room));
            state.needed.push(entry);
        }
        Ok(self.state().summary.clone())
    }

    fn needed(&self) -> EntryStream<'_> {
        stream::iter(self.state().needed.clone().into_iter().map(Ok)).boxed()
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let database = self.database(entry)?;
        if let Some(folder) = database.path.parent() {
            create_folder(folder).map_err(|e| file_error("create", folder, e))?;
        }
        StagedFile::create(self.staged_path(database), entry)
    }

    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        for (database, staged, _) in self.planned() {
            let configured = self.configured(&database);
            let scope = &self.staging.scope;
            // Of files out of scope, the live rows say where they are.
            if !scope.includes(&Section::Data) || scope.is_selective() {
                let to = (self.staging.scratch).join(format!("{}.cold-rows", database.file));
                let live = database.path.clone();
                let carried = self.blocking(move || CarriedRows::read(&live, to)).await?;
                let carried = carried.map(|rows| (database.file.clone(), rows));
                self.state().carried.extend(carried);
            }
            self.blocking(move || {
                check_file(&staged)?;
                check_place(&database.path)?;
                check_pending(&configured)?;
                wait_until_free(&database.path)
            })
            .await?;
        }
        Ok(())
    }

    async fn apply(&self) -> Result<()> {
        for (database, staged, attributes) in self.planned() {
            let operation_id = self.staging.operation_id.clone();
            let activity = self.staging.activity.clone();
            let (configured, id) = (self.configured(&database), operation_id.clone());
            let (path, carried) = (
                database.path.clone(),
                self.state().carried.get(&database.file).cloned(),
            );
            let moved = self
                .blocking(move || move_pending(&configured, &id))
                .await?;
            (self.state().summary.kept).extend(moved.iter().map(|path| path.display().to_string()));
            let kept = self
                .blocking(move || {
                    put_back(
                        &database.path,
                        &staged,
                        &operation_id,
                        &activity,
                        attributes,
                    )
                })
                .await?;
            self.state()
                .summary
                .kept
                .extend(kept.map(|path| path.display().to_string()));
            if let Some(carried) = carried
                && let Err(fault) = carried.apply(&path).await?
            {
                self.state().summary.warnings.push(format!(
                    "{}: which files have moved to the cold tier since the backup could not be recorded ({fault}): Arc may \
                     not find them until it scans the tiers",
                    path.display()
                ));
            }
        }
        Ok(())
    }

    fn changes(&self) -> Option<ChangeStream<'_>> {
        let planned = self.state().needed.clone().into_iter().map(|entry| {
            let place = &self.database(&entry)?.path;
            let before = std::fs::symlink_metadata(place).ok();
            Ok(Change {
                key: entry.key.clone(),
                tier: Tier::Hot,
                before: before.map(|meta| version_of(&meta)),
                after: Some((&entry).into()),
            })
        });
        Some(stream::iter(planned).boxed())
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(self.state().summary.clone())
    }

    async fn abort(&self) -> Result<()> {
        for (_, staged, _) in self.planned() {
            remove_all_of(&staged)?;
        }
        Ok(())
    }
}
