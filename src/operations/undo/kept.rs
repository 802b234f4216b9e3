//! Taking back databases and `arc.toml`, which a restore keeps beside their places.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use arc_backup_core::{Digest, Entry, Hasher, Restore, Section, Source, Staging};
use futures::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::files::{sync_folder, with_suffix};
use crate::operations::undo::lines::ChangeLine;
use crate::operations::undo::pending::kept_pending;
use crate::operations::undo::record::Record;
use crate::source::{WITH_COMPANIONS, kept_path, real_place, set_file_aside, snapshot};
use crate::{Error, Result};

/// How much of a file is read at once.
const PIECE_BYTES: usize = 1 << 20;

/// The files of this machine that a restore replaces: the databases and `arc.toml`.
fn places(settings: &Settings) -> Vec<(Section, String, PathBuf)> {
    let databases = (settings.databases.iter())
        .map(|one| (Section::Metadata, one.file.clone(), one.path.clone()));
    let config = (
        Section::Config,
        "arc.toml".to_owned(),
        settings.config_path.clone(),
    );
    databases.chain([config]).collect()
}

/// Where an operation may have kept the file that was at `place`.
fn candidates(settings: &Settings, section: &Section, place: &Path, id: &str) -> Vec<PathBuf> {
    let real = real_place(place).unwrap_or_else(|_| place.to_owned());
    let mut all = vec![kept_path(&real, id)];
    if *section == Section::Config {
        // Where it was written over in its place.
        all.push(kept_path(
            &settings.backup.state_folder().join("arc.toml"),
            id,
        ));
    }
    all
}

/// All files of databases and of `arc.toml` that the operation has replaced.
fn replaced_by(settings: &Settings, operation_id: &str) -> Vec<PathBuf> {
    (places(settings).iter())
        .flat_map(|(section, _, place)| candidates(settings, section, place, operation_id))
        .collect()
}

/// Those that are there, companions included.
fn with_companions(all: &[PathBuf]) -> Vec<PathBuf> {
    let mut found: Vec<_> = (all.iter())
        .flat_map(|kept| WITH_COMPANIONS.map(|suffix| with_suffix(kept, suffix)))
        .filter(|path| std::fs::symlink_metadata(path).is_ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// What becomes of one of these files.
#[derive(Debug, Clone)]
pub(crate) enum KeptAction {
    /// This file is put in its place.
    PutBack(PathBuf),
    /// The restore brought it: it is set aside.
    SetAside,
}

/// A database, or `arc.toml`, that is taken back.
#[derive(Debug, Clone)]
pub(crate) struct KeptFile {
    pub(crate) section: Section,
    pub(crate) key: String,
    pub(crate) place: PathBuf,
    pub(crate) action: KeptAction,
}

/// What becomes of the file of a change; `None` where it is as it was before the restore.
///
/// # Errors
/// Why the restore can't be taken back.
pub(crate) fn decide(
    settings: &Settings,
    section: &Section,
    change: &ChangeLine,
    runs: &[Record],
) -> Result<Option<KeptFile>, String> {
    let mut all = places(settings).into_iter();
    let Some((_, key, place)) = all.find(|(of, key, _)| of == section && *key == change.key) else {
        return Err(format!(
            "the configuration no longer names `{}`: add its key to arc.toml",
            change.key
        ));
    };
    let real = real_place(&place).map_err(|error| error.to_string())?;
    let of = |action| {
        Ok(Some(KeptFile {
            section: section.clone(),
            key: key.clone(),
            place: real.clone(),
            action,
        }))
    };
    if change.before.is_none() {
        let is_there = std::fs::symlink_metadata(&real).is_ok();
        return match is_there && change.after.is_some() {
            true => of(KeptAction::SetAside),
            false => Ok(None),
        };
    }
    // The first run has kept what was there before.
    let kept = (runs.iter())
        .flat_map(|run| candidates(settings, section, &place, &run.operation_id))
        .find(|path| std::fs::symlink_metadata(path).is_ok());
    let is_finished = runs.last().is_some_and(|run| run.is_finished);
    match kept {
        Some(kept) => of(KeptAction::PutBack(kept)),
        // Not replaced yet, or not at all, as it was the same.
        None if !is_finished || *section == Section::Config => Ok(None),
        None => Err("what was there before the restore is no longer kept".to_owned()),
    }
}

/// A section of such files.
pub(crate) struct KeptUndo {
    pub(crate) section: Section,
    pub(crate) files: Vec<KeptFile>,
    /// Those that are put back, each with the file that has its bytes.
    entries: Vec<(Entry, PathBuf)>,
    /// Puts them back.
    restore: Box<dyn Restore>,
    /// What must be free on local disk before they are staged.
    pub(crate) room: Vec<(PathBuf, u64)>,
}

impl KeptUndo {
    /// Plans what returns. Writes nothing outside of the scratch folder.
    pub(crate) async fn plan(
        section: &Section,
        files: Vec<KeptFile>,
        source: &dyn Source,
        staging: Staging,
    ) -> Result<Self> {
        let mut entries = Vec::new();
        for file in &files {
            let KeptAction::PutBack(kept) = &file.action else {
                continue;
            };
            let from = readable(section, &file.key, kept, &staging).await?;
            let entry = entry_of(&file.key, kept, &from)?;
            entries.push((entry, from));
        }
        let restore = source.restore(staging).await?;
        let rows = entries.iter().map(|(entry, _)| Ok(entry.clone()));
        let rows: Vec<_> = rows.collect();
        let summary = restore.plan(stream::iter(rows).boxed()).await?;
        Ok(Self {
            section: section.clone(),
            files,
            entries,
            restore,
            room: summary.room,
        })
    }

    /// Stages the files that return. Changes nothing that is live.
    pub(crate) async fn stage(&self) -> Result<()> {
        for (entry, from) in &self.entries {
            let mut upload = self.restore.begin(entry).await?;
            let fault = |error| Error::io("read", from, error);
            let mut file = std::fs::File::open(from).map_err(fault)?;
            loop {
                let mut piece = vec![0; PIECE_BYTES];
                let count = file.read(&mut piece).map_err(fault)?;
                if count == 0 {
                    break;
                }
                piece.truncate(count);
                upload.write(piece.into()).await?;
            }
            upload.commit().await?;
            self.restore.staged(entry).await?;
        }
        Ok(())
    }

    /// Makes the last checks.
    pub(crate) async fn ready(&self) -> Result<()> {
        Ok(self.restore.ready().await?)
    }

    /// Removes what was staged.
    pub(crate) async fn abort(&self) -> Result<()> {
        Ok(self.restore.abort().await?)
    }

    /// Puts the files in their places; returns where the live ones are kept, and warnings.
    pub(crate) async fn apply(&self, operation_id: &str) -> Result<(Vec<String>, Vec<String>)> {
        let mut kept = Vec::new();
        for file in &self.files {
            if matches!(file.action, KeptAction::SetAside) {
                let aside = set_file_aside(&file.place, operation_id)?;
                kept.push(aside.display().to_string());
            }
        }
        self.restore.apply().await?;
        let summary = self.restore.finish().await?;
        kept.extend(summary.kept);
        Ok((kept, summary.warnings))
    }

    /// What it is about to change, for its own record.
    pub(crate) fn changes(&self) -> Vec<ChangeLine> {
        let mut lines: Vec<_> = (self.files.iter())
            .map(|file| {
                let version = |path: &Path| {
                    let meta = std::fs::metadata(path).ok()?;
                    Some(super::lines::VersionLine {
                        size: meta.len(),
                        ..Default::default()
                    })
                };
                ChangeLine {
                    key: file.key.clone(),
                    cold: false,
                    before: version(&file.place),
                    after: match &file.action {
                        KeptAction::PutBack(kept) => version(kept),
                        KeptAction::SetAside => None,
                    },
                }
            })
            .collect();
        lines.sort_by(|a, b| a.key.cmp(&b.key));
        lines
    }
}

/// The kept file as one file: of a database that was moved with its `-wal`, a snapshot.
async fn readable(section: &Section, key: &str, kept: &Path, staging: &Staging) -> Result<PathBuf> {
    if *section != Section::Metadata {
        return Ok(kept.to_owned());
    }
    // Databases in two folders may have files of one name; their keys differ.
    let (from, to) = (kept.to_owned(), staging.scratch.join(key));
    let (activity, copy) = (staging.activity.clone(), to.clone());
    let made = tokio::task::spawn_blocking(move || {
        snapshot(&from, &copy, &CancellationToken::new(), &activity)
    });
    made.await?.map_err(|error| {
        let kept = kept.display();
        Error::from(error).context(format!(
            "what is kept in `{kept}` is no database that can be put back: stop Arc, and move it to its place by hand"
        ))
    })?;
    Ok(to)
}

fn entry_of(key: &str, kept: &Path, from: &Path) -> Result<Entry> {
    let fault = |error| Error::io("read", from, error);
    let meta = std::fs::metadata(kept).map_err(fault)?;
    let (size, digest) = digest_of(from).map_err(fault)?;
    let key = arc_backup_core::Key::parse(key)
        .map_err(|error| Error::Failed(format!("`{key}` is no key: {error}")))?;
    Ok(Entry {
        sha256: Some(digest),
        modified: meta.modified().ok(),
        mode: Some(meta.mode() & 0o777),
        ..Entry::new(key, size)
    })
}

fn digest_of(path: &Path) -> std::io::Result<(u64, Digest)> {
    let mut file = std::fs::File::open(path)?;
    let (mut hasher, mut size, mut piece) = (Hasher::new(), 0, vec![0; PIECE_BYTES]);
    loop {
        let count = file.read(&mut piece)?;
        if count == 0 {
            return Ok((size, hasher.finish()));
        }
        hasher.update(&piece[..count]);
        size += count as u64;
    }
}

/// Removes all files that the operation has kept; absent ones are not an error.
pub(crate) fn remove_kept(settings: &Settings, operation_id: &str) -> Result<()> {
    remove_files(&kept_pending(settings, operation_id))?;
    remove_replaced(settings, operation_id)
}

/// Removes those that it has replaced, and not what Arc had staged.
pub(crate) fn remove_replaced(settings: &Settings, operation_id: &str) -> Result<()> {
    remove_files(&replaced_by(settings, operation_id))
}

fn remove_files(all: &[PathBuf]) -> Result<()> {
    // Companions first: a database's own name leads to them.
    for path in with_companions(all).iter().rev() {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", path, error));
            }
            _ => sync_folder(path)?,
        }
    }
    Ok(())
}
