//! The configuration file in force: `arc.toml`.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use arc_backup_core::{
    Body, Change, ChangeStream, Digest, Discard, Discarded, Entry, EntryStream, Error, ErrorKind,
    Key, Restore, RestoreSummary, Result, Secrets, Section, Snapshot, SnapshotRequest, Source,
    SourceReport, Staging, Tier, Upload,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::companions::kept_path;
use super::redaction;
use super::replace::{self, Attributes, Replacement, real_place};
use super::staged_file::{StagedFile, discard_staged, staged_name, version_of};
use crate::files::{create_folder, file_error, folder_of, sync_file};

const NAME: &str = "arc.toml";

/// `arc.toml`, wherever it was found.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    path: PathBuf,
    exists: bool,
    keep_in: Option<PathBuf>,
    secrets: Vec<&'static str>,
}

impl ConfigSource {
    /// The file in force; where there is none, the place that a restore writes it to.
    #[must_use]
    pub fn new(path: PathBuf, exists: bool) -> Self {
        Self {
            path,
            exists,
            keep_in: None,
            secrets: Vec::new(),
        }
    }

    /// Names of keys that are secrets, beside those whose names say so.
    #[must_use]
    pub fn with_secrets(mut self, names: Vec<&'static str>) -> Self {
        self.secrets = names;
        self
    }

    /// Keeps a file that a restore writes over in `folder`: beside a single file that is mounted
    /// into a container, the kept file would be lost with the container.
    #[must_use]
    pub fn keep_in(mut self, folder: impl Into<PathBuf>) -> Self {
        self.keep_in = Some(folder.into());
        self
    }

    fn io(&self, operation: &'static str, error: std::io::Error) -> Error {
        Error::from_io(operation, self.path.display().to_string(), error)
    }

    /// The file without its secrets, with the names of their variables.
    fn redacted(&self) -> Result<(Bytes, Vec<String>)> {
        let text = std::fs::read_to_string(&self.path).map_err(|e| self.io("read", e))?;
        let redacted = redaction::redact(&text, &self.secrets).map_err(|reason| {
            let subject = self.path.display().to_string();
            let detail = format!("its secrets can't be found: {reason}");
            Error::new(ErrorKind::Invalid, "read", subject, detail)
        })?;
        Ok((redacted.text.into(), redacted.variables))
    }
}

#[async_trait]
impl Source for ConfigSource {
    fn section(&self) -> &str {
        Section::Config.as_str()
    }

    async fn snapshot(&self, request: SnapshotRequest) -> Result<Box<dyn Snapshot>> {
        let (mut text, mut report) = (None, SourceReport::default());
        let entries = if self.exists {
            let meta = std::fs::metadata(&self.path).map_err(|e| self.io("read", e))?;
            if request.secrets == Secrets::Redact {
                let (redacted, variables) = self.redacted()?;
                text = Some(redacted);
                report.redacted = variables;
            }
            let size = (text.as_ref()).map_or(meta.len(), |text: &Bytes| text.len() as u64);
            vec![Entry {
                modified: meta.modified().ok(),
                mode: Some(meta.mode() & 0o777),
                ..Entry::new(Key::parse(NAME).expect("a fixed name"), size)
            }]
        } else {
            Vec::new()
        };
        Ok(Box::new(ConfigSnapshot {
            source: self.clone(),
            entries,
            text,
            report,
        }))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(ConfigRestore {
            source: self.clone(),
            staging,
            state: Mutex::default(),
        }))
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        Ok(discard_staged(&self.path, NAME, discard))
    }
}

/// Checks that a restore could put a configuration file at `path`; an error says why not.
pub(crate) fn check_config_place(path: &Path) -> Result<()> {
    replace::check(&real_place(path)?).map(drop)
}

struct ConfigSnapshot {
    source: ConfigSource,
    entries: Vec<Entry>,
    /// The file without secrets, where these are not in the backup.
    text: Option<Bytes>,
    report: SourceReport,
}

#[async_trait]
impl Snapshot for ConfigSnapshot {
    fn entries(&self) -> EntryStream<'_> {
        stream::iter(self.entries.iter().cloned().map(Ok)).boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        if let Some(text) = &self.text {
            return Ok(Body::from_bytes(text.clone()));
        }
        let file = File::open(&self.source.path).map_err(|e| self.source.io("read", e))?;
        Ok(Body::File {
            file,
            len: entry.size,
        })
    }

    fn report(&self) -> SourceReport {
        self.report.clone()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct ConfigRestore {
    source: ConfigSource,
    staging: Staging,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    planned: Option<Planned>,
    summary: RestoreSummary,
    /// Whether the staged file got secrets that the backup does not have.
    is_filled: bool,
}

/// The file in the backup, and where it goes.
#[derive(Clone)]
struct Planned {
    entry: Entry,
    /// Where the live file really is.
    path: PathBuf,
    /// Whether the live file is replaced: not where it has the same bytes, and can't be renamed
    /// over.
    is_needed: bool,
    staged: Option<Staged>,
}

/// The staged file.
#[derive(Clone)]
struct Staged {
    path: PathBuf,
    /// How it replaces the live file; `None` where that turned out to have the same bytes, and
    /// can't be renamed over.
    how: Option<Replacement>,
}

impl ConfigRestore {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn planned(&self) -> Option<Planned> {
        self.state().planned.clone()
    }

    fn staged_file(&self) -> Option<Staged> {
        self.planned()?.staged
    }

    /// The live file; empty where there is none, or none that can be read.
    fn live_text(&self) -> String {
        let path = self.planned().map(|planned| planned.path);
        path.and_then(|path| std::fs::read_to_string(path).ok())
            .unwrap_or_default()
    }

    /// Puts a text with secrets in the place of the staged one; warns of those that are missing.
    fn fill(&self, staged: &Path, text: &str, missing: &[String]) -> Result<()> {
        let write = || {
            std::fs::write(staged, text)?;
            sync_file(&File::options().write(true).open(staged)?)
        };
        write().map_err(|e| file_error("write", staged, e))?;
        let mut state = self.state();
        state.is_filled = true;
        if !missing.is_empty() {
            state.summary.warnings.push(format!(
                "the backup has no secrets of {NAME}, and the live file has none for these, or not beside the same address: set {}, or write each secret in \
                 the place of its `${{…}}`, before Arc starts{}",
                missing.join(", "),
                of_elements(missing)
            ));
        }
        Ok(())
    }

    /// Finds out how the live file can be replaced: where it can't be, that is an error before
    /// anything changes.
    fn check_place(&self, planned: &Planned) -> Result<Option<Replacement>> {
        let path = &planned.path;
        let folder = folder_of(path);
        let how = create_folder(folder)
            .map_err(|e| file_error("create", folder, e))
            .and_then(|()| replace::check(path));
        match how {
            Ok(Replacement::Rename) => Ok(Some(Replacement::Rename)),
            // A file that can't be renamed over, and has the same bytes, is best left alone.
            _ if is_same(path, &planned.entry, &self.source.secrets) => Ok(None),
            Ok(Replacement::InPlace) => Ok(Some(Replacement::InPlace)),
            Err(error) => {
                let detail = format!(
                    "{}: make that possible (a mount that can be written), or restore without it (without `--with-config` or \
                     `restore_config`) and put `config/{NAME}` of the backup there by hand",
                    error.detail()
                );
                let subject = path.display().to_string();
                Err(Error::new(error.kind(), "restore", subject, detail))
            }
        }
    }
}

/// Says that a variable with a number in it, which is of an element of an array, sets nothing.
fn of_elements(missing: &[String]) -> &'static str {
    let is_number = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
    match (missing.iter()).any(|name| name.split('_').any(is_number)) {
        true => "; what has a number in its name is set in the file only",
        false => "",
    }
}

/// Whether the live file has the bytes of `entry` already, or has them without its secrets.
fn is_same(path: &Path, entry: &Entry, secrets: &[&str]) -> bool {
    let is_entry = |text: &str| Some(Digest::of(text.as_bytes())) == entry.sha256;
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file())
        && std::fs::read_to_string(path).is_ok_and(|text| {
            let redacted = || redaction::redact(&text, secrets);
            is_entry(&text) || redacted().is_ok_and(|redacted| is_entry(&redacted.text))
        })
}

/// Whether both files can be read, and have the same bytes.
fn is_same_file(one: &Path, other: &Path) -> bool {
    matches!((std::fs::read(one), std::fs::read(other)), (Ok(one), Ok(other)) if one == other)
}

#[async_trait]
impl Restore for ConfigRestore {
    async fn plan(&self, mut entries: EntryStream<'_>) -> Result<RestoreSummary> {
        while let Some(entry) = entries.next().await {
            let entry = entry?;
            if &*entry.key != NAME {
                let subject = format!("config/{}", entry.key);
                return Err(Error::new(
                    ErrorKind::Invalid,
                    "restore",
                    subject,
                    "only arc.toml belongs there",
                ));
            }
            let path = real_place(&self.source.path)?;
            let is_needed = replace::may_be_renamed_over(&path)
                || !is_same(&path, &entry, &self.source.secrets);
            let mut state = self.state();
            if is_needed {
                (state.summary.needed_files, state.summary.needed_bytes) = (1, entry.size);
                state.summary.replaced_files = u64::from(path.exists());
            } else {
                (state.summary.unchanged_files, state.summary.unchanged_bytes) = (1, entry.size);
            }
            state.planned = Some(Planned {
                entry,
                path,
                is_needed,
                staged: None,
            });
        }
        Ok(self.state().summary.clone())
    }

    fn needed(&self) -> EntryStream<'_> {
        let needed = self.planned().filter(|planned| planned.is_needed);
        stream::iter(needed.map(|planned| Ok(planned.entry))).boxed()
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        let Some(planned) = self.planned() else {
            let subject = format!("{}/{}", Section::Config, entry.key);
            return Err(Error::new(
                ErrorKind::Invalid,
                "restore",
                subject,
                "it was not planned",
            ));
        };
        let how = self.check_place(&planned)?;
        let name = staged_name(&self.staging.operation_id, NAME);
        let path = match how {
            Some(Replacement::Rename) => planned.path.with_file_name(name),
            Some(Replacement::InPlace) | None => self.staging.scratch.join(name),
        };
        self.state().planned = Some(Planned {
            staged: Some(Staged {
                path: path.clone(),
                how,
            }),
            ..planned
        });
        StagedFile::create(path, entry)
    }

    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        let Some(staged) = self.staged_file() else {
            return Ok(());
        };
        let fault = |detail: String| {
            let subject = format!("config/{NAME}");
            Error::new(ErrorKind::Corrupt, "restore", subject, detail)
        };
        let text = std::fs::read_to_string(&staged.path).map_err(|e| fault(e.to_string()))?;
        // The message alone: the error's own text quotes the line, which may hold a secret.
        text.parse::<toml::Table>()
            .map_err(|e| fault(format!("it is not valid TOML: {}", e.message())))?;
        // Its bytes were those of the backup, by their SHA-256, when it was staged.
        match redaction::fill(&text, &self.live_text()).map_err(fault)? {
            Some(filled) => self.fill(&staged.path, &filled.text, &filled.missing),
            None => Ok(()),
        }
    }

    async fn apply(&self) -> Result<()> {
        let Some(planned) = self.planned() else {
            return Ok(());
        };
        let Some((staged, how)) =
            (planned.staged).and_then(|staged| Some((staged.path, staged.how?)))
        else {
            return Ok(());
        };
        let path = &planned.path;
        if self.state().is_filled && is_same_file(&staged, path) {
            return std::fs::remove_file(&staged).map_err(|e| file_error("remove", &staged, e));
        }
        if path.exists() {
            let kept = match (how, &self.source.keep_in) {
                (Replacement::InPlace, Some(folder)) => {
                    create_folder(folder).map_err(|e| file_error("create", folder, e))?;
                    kept_path(&folder.join(NAME), &self.staging.operation_id)
                }
                _ => kept_path(path, &self.staging.operation_id),
            };
            replace::keep_bytes(path, &kept)?;
            self.state().summary.kept.push(kept.display().to_string());
        }
        let attributes = Attributes {
            mode: planned.entry.mode,
            modified: planned.entry.modified,
        };
        replace::replace(&staged, path, how, attributes)
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(self.state().summary.clone())
    }

    fn changes(&self) -> Option<ChangeStream<'_>> {
        let is_replaced = (self.staged_file()).is_some_and(|staged| staged.how.is_some());
        let change = self.planned().filter(|_| is_replaced).map(|planned| {
            let before = std::fs::metadata(&planned.path).ok();
            Change {
                key: planned.entry.key.clone(),
                tier: Tier::Hot,
                before: before.map(|meta| version_of(&meta)),
                after: Some((&planned.entry).into()),
            }
        });
        Some(stream::iter(change.map(Ok)).boxed())
    }

    async fn abort(&self) -> Result<()> {
        let Some(staged) = self.staged_file() else {
            return Ok(());
        };
        match std::fs::remove_file(&staged.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(file_error("remove", &staged.path, error))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: a restore that fails where the file can't be written, and has nothing to
    /// write to it.
    #[test]
    fn a_file_is_the_same_with_its_secrets_too() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(NAME);
        let live = "[mqtt]\npassword = \"hush\"\nport = 1883\n";
        std::fs::write(&path, live).expect("written");
        let redacted = redaction::redact(live, &[]).expect("valid TOML").text;
        let is_same = |text: &str| {
            let entry = Entry {
                sha256: Some(Digest::of(text.as_bytes())),
                ..Entry::new(Key::parse(NAME).expect("a key"), text.len() as u64)
            };
            is_same(&path, &entry, &[])
        };
        assert!(is_same(live) && is_same(&redacted));
        assert!(!is_same(&redacted.replace("1883", "8883")) && !is_same(""));
    }
}
