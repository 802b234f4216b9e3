//! The cold tier of a restore: its objects, and the place for those that are replaced.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_backup_core::{AsideMode, ErrorKind, Key, Meta, Result, Sink, Staging};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::aside::Aside;
use super::cold_places::objects;
use super::tiering::Tiering;

/// The folder for files of the cold tier, where what is replaced goes to the target.
const ASIDE_FOLDER: &str = "_cold_tier";

/// The cold tier of a restore.
pub(super) struct ColdRestore {
    pub(super) tiering: Option<Tiering>,
    /// Where replaced objects of the cold tier go.
    pub(super) aside: Option<Aside>,
    pub(super) aside_bytes: AtomicU64,
    pub(super) aside_files: AtomicU64,
    /// Whether the backup holds files of the cold tier: only then are others there extra.
    pub(super) is_held: AtomicBool,
    keeps_extra: bool,
    /// Objects that the backup does not hold.
    pub(super) extra_files: AtomicU64,
    /// Objects that can't be read as they are archived, and were compared by their sizes.
    pub(super) archived: AtomicU64,
}

impl ColdRestore {
    pub(super) fn new(tiering: Option<Tiering>, staging: &Staging) -> Self {
        let cold = tiering.as_ref().and_then(|tiering| tiering.cold.clone());
        let aside = cold.map(|cold| {
            Aside::new(
                cold,
                &staging.operation_id,
                staging.aside.clone(),
                &staging.activity,
            )
            .in_folder(ASIDE_FOLDER)
        });
        Self {
            tiering,
            aside,
            aside_bytes: AtomicU64::new(0),
            aside_files: AtomicU64::new(0),
            is_held: AtomicBool::new(false),
            keeps_extra: staging.keeps_extra_cold,
            extra_files: AtomicU64::new(0),
            archived: AtomicU64::new(0),
        }
    }

    /// Whether objects that the backup does not hold are extra: where it holds the cold tier, and
    /// lacks nothing of it.
    pub(super) fn has_extra(&self) -> bool {
        self.is_held.load(Ordering::Relaxed) && !self.keeps_extra
    }

    /// How many are.
    pub(super) fn extra(&self) -> u64 {
        match self.has_extra() {
            true => self.extra_files.load(Ordering::Relaxed),
            false => 0,
        }
    }

    /// The cold tier, where Arc has one.
    pub(super) fn sink(&self) -> Option<&Arc<dyn Sink>> {
        self.tiering.as_ref()?.cold.as_ref()
    }

    /// The live objects of the cold tier.
    pub(super) fn live(&self, staging: &Staging) -> BoxStream<'static, Result<Meta>> {
        match self.sink() {
            Some(cold) => objects(cold, staging),
            None => stream::empty().boxed(),
        }
    }

    /// What there is to say at the end.
    pub(super) fn warnings(&self) -> Vec<String> {
        let archived = self.archived.load(Ordering::Relaxed);
        let text = format!(
            "{archived} files of the cold tier are in an archive tier, and were compared by their sizes only"
        );
        (archived > 0).then_some(text).into_iter().collect()
    }

    /// Makes sure, before anything changes, that what is replaced can be set aside.
    pub(super) async fn prepare(&self) -> Result<()> {
        let bytes = self.aside_bytes.load(Ordering::Relaxed);
        match &self.aside {
            Some(aside) if bytes > 0 => aside.prepare(bytes).await,
            _ => Ok(()),
        }
    }

    /// Removes what [`prepare`](Self::prepare) has made to try it.
    pub(super) async fn abort(&self) -> Result<()> {
        match &self.aside {
            Some(aside) if self.aside_bytes.load(Ordering::Relaxed) > 0 => aside.remove().await,
            _ => Ok(()),
        }
    }

    /// Removes the objects that were set aside, or names the place where they are.
    pub(super) async fn keep_or_remove(&self, remove: bool) -> Result<Option<String>> {
        let files = self.aside_files.load(Ordering::Relaxed);
        let Some(aside) = &self.aside else {
            return Ok(None);
        };
        if remove || files == 0 {
            self.abort().await?;
            return Ok(None);
        }
        let location = aside.location().unwrap_or_default();
        Ok(Some(format!("{location} ({files} files of the cold tier)")))
    }

    pub(super) async fn set_aside(&self, key: &Key, mode: AsideMode) -> Result<()> {
        let Some(aside) = &self.aside else {
            return Ok(());
        };
        match aside.keep(key, mode).await {
            Ok(()) => {
                self.aside_files.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
