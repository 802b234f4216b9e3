//! The cold tier of a restore: its objects, and the place for those that are replaced.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_backup_core::{
    AsideMode, ColdHeld, ErrorKind, ExtraFiles, Key, Meta, Result, Section, Sink, Staging,
};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::aside::Aside;
use super::cold_places::objects;
use super::named::Named;
use super::pending::pending_restores;
use super::settle::locked;
use super::tiering::Tiering;
use super::twice::Twice;

/// The end of the folder's name for files of the cold tier, where what is replaced goes to the
/// target.
pub(crate) const ASIDE_SUFFIX: &str = ".cold-tier";

/// The cold tier of a restore.
pub(super) struct ColdRestore {
    pub(super) tiering: Option<Tiering>,
    /// Where replaced objects of the cold tier go.
    pub(super) aside: Option<Aside>,
    /// The objects that interrupted runs have set aside, with their policies.
    earlier: Vec<(Aside, ExtraFiles)>,
    pub(super) aside_bytes: AtomicU64,
    /// Bytes of extra objects, which are set aside where these do not stay.
    pub(super) extra_bytes: AtomicU64,
    pub(super) aside_files: AtomicU64,
    /// Whether the backup holds files of the cold tier: only then are others there extra.
    pub(super) is_held: AtomicBool,
    held: ColdHeld,
    /// Objects that the backup does not hold.
    pub(super) extra_files: AtomicU64,
    /// Objects that can't be read as they are archived, and were compared by their sizes.
    pub(super) archived: AtomicU64,
    policy: ExtraFiles,
    /// Whether databases are restored too.
    with_metadata: bool,
    /// Outputs of compaction whose inputs are restored.
    pub(super) twice: Mutex<Twice>,
    /// Extra objects that stay, as what is archived can't be set aside.
    pub(super) kept_archived: Mutex<Named>,
}

impl ColdRestore {
    pub(super) fn new(tiering: Option<Tiering>, staging: &Staging) -> Self {
        let cold = tiering.as_ref().and_then(|tiering| tiering.cold.clone());
        let aside_of = |id| {
            let cold = cold.clone()?;
            let aside = Aside::new(cold, id, staging.aside.clone(), &staging.activity);
            Some(aside.in_folder_beside(ASIDE_SUFFIX))
        };
        let aside = aside_of(&staging.operation_id);
        let earlier = (staging.earlier.iter())
            .filter_map(|(id, policy)| Some((aside_of(id)?, *policy)))
            .collect();
        Self {
            tiering,
            aside,
            earlier,
            extra_bytes: AtomicU64::new(0),
            aside_bytes: AtomicU64::new(0),
            aside_files: AtomicU64::new(0),
            is_held: AtomicBool::new(staging.cold_held == ColdHeld::All),
            held: staging.cold_held,
            extra_files: AtomicU64::new(0),
            archived: AtomicU64::new(0),
            policy: staging.extra_files,
            with_metadata: staging.scope.includes(&Section::Metadata),
            twice: Mutex::default(),
            kept_archived: Mutex::default(),
        }
    }

    /// Whether objects that the backup does not hold are extra: where it holds the cold tier, and
    /// lacks nothing of it.
    pub(super) fn has_extra(&self) -> bool {
        self.is_held.load(Ordering::Relaxed) && !matches!(self.held, ColdHeld::AllBut(_))
    }

    /// What there is to say of files that the backup does not hold, before anything changes.
    pub(super) fn warnings_of_plan(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let ColdHeld::AllBut(count @ 1..) = self.held {
            warnings.push(format!(
                "this backup does not hold {count} files of the cold tier that were there: they are not restored"
            ));
        }
        if !self.with_metadata
            && let Some(tiering) = &self.tiering
        {
            warnings.extend(pending_restores(&tiering.database).iter().map(|path| {
                format!(
                    "Arc has staged a restore of its own in {}: at its next start it replaces the database, and with it \
                     the rows of `tier_files`; move it away before, or restore with the databases",
                    path.display()
                )
            }));
        }
        let extra = self.extra_files.load(Ordering::Relaxed);
        if extra > 0 && !self.has_extra() {
            warnings.push(format!(
                "{extra} files of the cold tier are not in this backup, and stay: rows that were compacted since may be \
                 served twice"
            ));
        }
        let twice = locked(&self.twice).finished();
        if self.keeps_extra() {
            warnings.extend(twice);
        }
        warnings
    }

    /// Whether extra objects stay, by the policy or as the backup may lack them.
    fn keeps_extra(&self) -> bool {
        self.policy == ExtraFiles::Keep || !self.has_extra()
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
        match &self.tiering {
            Some(tiering) => objects(tiering, staging),
            None => stream::empty().boxed(),
        }
    }

    /// What there is to say at the end.
    pub(super) fn warnings(&self) -> Vec<String> {
        let archived = self.archived.load(Ordering::Relaxed);
        let text = format!(
            "{archived} files of the cold tier are in an archive tier, and were compared by their sizes only"
        );
        let kept = locked(&self.kept_archived).to_text(
            "of the cold tier are not in the backup, and were kept: they are archived, and can't be set aside",
        );
        let compared = (archived > 0).then_some(text);
        compared.into_iter().chain(kept).collect()
    }

    fn bytes_to_set_aside(&self) -> u64 {
        let extra = match self.keeps_extra() {
            true => 0,
            false => self.extra_bytes.load(Ordering::Relaxed),
        };
        self.aside_bytes.load(Ordering::Relaxed) + extra
    }

    /// Removes the objects that interrupted runs have set aside where both runs remove them;
    /// returns where the others are.
    pub(super) async fn remove_earlier(&self, remove: bool) -> Result<Vec<String>> {
        let mut left = Vec::new();
        for (aside, policy) in &self.earlier {
            if remove && *policy == ExtraFiles::Remove {
                aside.remove().await?;
            } else if !aside.is_absent() {
                left.extend(aside.location());
            }
        }
        Ok(left)
    }

    /// Makes sure, before anything changes, that what is replaced can be set aside.
    pub(super) async fn prepare(&self) -> Result<()> {
        let bytes = self.bytes_to_set_aside();
        match &self.aside {
            Some(aside) if bytes > 0 => aside.prepare(bytes).await,
            _ => Ok(()),
        }
    }

    /// Removes what [`prepare`](Self::prepare) has made to try it.
    pub(super) async fn abort(&self) -> Result<()> {
        match &self.aside {
            Some(aside) if self.bytes_to_set_aside() > 0 => aside.remove().await,
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
