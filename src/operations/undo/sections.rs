//! Taking back what a restore changed in a storage of files: the data, or a warehouse.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arc_backup_core::{AsideMode, ErrorKind, Key};
use futures::stream::{self, TryStreamExt};
use futures::{StreamExt, TryFutureExt};

use crate::operations::undo::changes::{LineWriter, Merged, read};
use crate::operations::undo::decide::{Decision, Places, UndoAction, UndoStep};
use crate::source::{Aside, sync};
use crate::{Error, Result};

/// How many files are looked at at once, where the storage does not say.
const AT_ONCE: usize = 8;
/// How many files that stand in the way are named.
const SAMPLE: usize = 20;

/// What an undo will do with files of the data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct FileFigures {
    /// Files that return.
    pub(crate) returned_files: u64,
    /// Their bytes.
    pub(crate) returned_bytes: u64,
    /// Files that go.
    pub(crate) removed_files: u64,
    /// Live files that are set aside.
    pub(crate) aside_files: u64,
    /// Their bytes.
    pub(crate) aside_bytes: u64,
    /// Files that are as they were before the restore.
    pub(crate) unchanged_files: u64,
    /// Files that stand in the way.
    pub(crate) refused_files: u64,
    /// The first of them, each with its reason.
    pub(crate) refused: Vec<(String, String)>,
}

impl FileFigures {
    fn add(&mut self, section: &str, key: String, decision: &Decision) {
        match decision {
            Decision::AsBefore => self.unchanged_files += 1,
            Decision::Step(step) => {
                let size_of = |version: &Option<_>| {
                    let version: Option<&super::lines::VersionLine> = version.as_ref();
                    version.map_or(0, |version| version.size)
                };
                self.aside_files += u64::from(step.change.before.is_some());
                self.aside_bytes += size_of(&step.change.before);
                match step.action {
                    UndoAction::Remove => self.removed_files += 1,
                    UndoAction::PutBack(_) => {
                        self.returned_files += 1;
                        self.returned_bytes += size_of(&step.change.after);
                    }
                }
            }
            Decision::Refused(reason) => {
                self.refused_files += 1;
                if self.refused.len() < SAMPLE {
                    (self.refused).push((format!("{section}/{key}"), reason.clone()));
                }
            }
        }
    }
}

/// A section of files that is taken back.
pub(crate) struct FilesUndo {
    pub(crate) section: String,
    pub(crate) places: Places,
    /// Where the undo sets live files aside.
    pub(crate) own: Aside,
    /// Its steps, in byte order of the keys, in the scratch folder.
    pub(crate) steps: PathBuf,
    pub(crate) figures: FileFigures,
    done: AtomicU64,
}

impl FilesUndo {
    /// Decides what becomes of each file that the runs of the restore changed. Changes nothing.
    pub(crate) async fn plan(
        section: &str,
        places: Places,
        own: Aside,
        changes: &[PathBuf],
        scratch: &Path,
    ) -> Result<Self> {
        let steps = scratch.join(format!("{section}.undo"));
        let mut writer = LineWriter::create(&steps)?;
        let mut figures = FileFigures::default();
        let merged = Merged::of(changes.iter().map(PathBuf::as_path))?;
        let at_once = places.storage.properties().concurrency.unwrap_or(AT_ONCE);
        {
            let decisions = stream::iter(merged).map(async |change| {
                let change = change?;
                let key = change.key.clone();
                Ok::<_, Error>((key, places.decide(change).await?))
            });
            let mut decisions = std::pin::pin!(decisions.buffered(at_once));
            while let Some((key, decision)) = decisions.try_next().await? {
                if places.cancel.is_cancelled() {
                    return Err(Error::Cancelled("cancelled".to_owned()));
                }
                figures.add(section, key, &decision);
                if let Decision::Step(step) = &decision {
                    writer.add(step)?;
                }
            }
        }
        writer.finish()?;
        Ok(Self {
            section: section.to_owned(),
            places,
            own,
            steps,
            figures,
            done: AtomicU64::new(0),
        })
    }

    /// How many files were taken back so far, of how many.
    pub(crate) fn done(&self) -> (u64, u64) {
        let all = self.figures.returned_files + self.figures.removed_files;
        (self.done.load(Ordering::Relaxed), all)
    }

    fn steps(&self) -> Result<Box<dyn Iterator<Item = Result<UndoStep>> + Send>> {
        read(&self.steps)
    }

    /// Writes what it is about to change to the file `path`, durably.
    pub(crate) fn record(&self, path: &Path) -> Result<()> {
        let mut writer = LineWriter::create(path)?;
        for step in self.steps()? {
            writer.add(&step?.change)?;
        }
        writer.finish()
    }

    /// Makes sure, before anything changes, that live files can be set aside.
    pub(crate) async fn prepare(&self) -> Result<()> {
        match self.figures.aside_files {
            0 => Ok(()),
            _ => Ok(self.own.prepare(self.figures.aside_bytes).await?),
        }
    }

    /// Takes all of it back.
    pub(crate) async fn apply(&self, on_step: impl Fn(u64) + Sync) -> Result<()> {
        let storage = &self.places.storage;
        let durability = storage.durability().await?;
        let at_once = storage.properties().concurrency.unwrap_or(1);
        stream::iter(self.steps()?)
            .try_for_each_concurrent(at_once, async |step| {
                self.places.activity.note();
                let bytes = self.apply_step(&step).await?;
                self.done.fetch_add(1, Ordering::Relaxed);
                on_step(bytes);
                Ok(())
            })
            .await?;
        Ok(sync(&*durability, &self.places.activity).await?)
    }

    async fn apply_step(&self, step: &UndoStep) -> Result<u64> {
        let key = key_of(step)?;
        match step.action {
            UndoAction::Remove => {
                self.set_aside(&key, AsideMode::Move).await?;
                Ok(0)
            }
            UndoAction::PutBack(run) => {
                // Whatever is there now, also a file that appeared since.
                self.set_aside(&key, AsideMode::Keep).await?;
                self.places.runs[run].put_back(&key).await?;
                Ok((step.change.after.as_ref()).map_or(0, |after| after.size))
            }
        }
    }

    async fn set_aside(&self, key: &Key, mode: AsideMode) -> Result<()> {
        match self.own.keep(key, mode).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            kept => Ok(kept?),
        }
    }

    /// Looks once more at what is live; names what is not as it was before the restore.
    pub(crate) async fn check(&self) -> Result<Vec<(String, String)>> {
        let storage = &self.places.storage;
        let at_once = storage.properties().concurrency.unwrap_or(AT_ONCE);
        let looked = stream::iter(self.steps()?).map(async |step| {
            let step = step?;
            let live = storage.head(&key_of(&step)?).map_err(Error::from).await?;
            let size = live.map(|live| live.size);
            let wanted = step.change.after.as_ref().map(|after| after.size);
            let text = match (size, wanted) {
                (size, wanted) if size == wanted => return Ok(None),
                (_, None) => "it was written again during the undo",
                (None, Some(_)) => "deleted by another process during the undo",
                (Some(_), Some(_)) => "changed by another process during the undo",
            };
            let path = format!("{}/{}", self.section, step.change.key);
            Ok::<_, Error>(Some((path, text.to_owned())))
        });
        let found = looked
            .buffered(at_once)
            .try_filter_map(|found| std::future::ready(Ok(found)));
        found.try_collect().await
    }

    /// How many live files were set aside, and where.
    pub(crate) fn set_aside_location(&self) -> Option<String> {
        match self.figures.aside_files {
            0 => None,
            _ => self.own.location(),
        }
    }
}

fn key_of(step: &UndoStep) -> Result<Key> {
    step.change.parsed_key().ok_or_else(|| {
        Error::Failed(format!(
            "the record names `{}`, which is no key",
            step.change.key
        ))
    })
}
