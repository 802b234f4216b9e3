//! The configuration file that is in force.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use arc_backup_core::{
    Body, Discard, Discarded, Entry, EntryStream, Error, ErrorKind, Freeze, Frozen, Key, Restore,
    RestoreSummary, Result, Source, SourceReport, Staging, Upload,
};
use async_trait::async_trait;
use futures::{StreamExt, stream};

use super::CONFIG;
use super::put_back::sync_folder;
use super::sqlite_restore::{FileUpload, discard_staged, rotate_kept};

const NAME: &str = "arc.toml";

/// `arc.toml`, wherever it was found.
#[derive(Debug, Clone)]
pub struct ConfigSource {
    path: PathBuf,
    exists: bool,
}

impl ConfigSource {
    /// The file that was in force, or, where there was none, the place that a restore writes it to.
    #[must_use]
    pub fn new(path: PathBuf, exists: bool) -> Self {
        Self { path, exists }
    }

    fn io(&self, operation: &'static str, error: std::io::Error) -> Error {
        Error::from_io(operation, self.path.display().to_string(), error)
    }
}

#[async_trait]
impl Source for ConfigSource {
    fn section(&self) -> &str {
        CONFIG
    }

    async fn freeze(&self, _freeze: Freeze) -> Result<Box<dyn Frozen>> {
        let entries = if self.exists {
            let meta = std::fs::metadata(&self.path).map_err(|e| self.io("read", e))?;
            vec![Entry {
                modified: meta.modified().ok(),
                mode: Some(meta.mode() & 0o777),
                ..Entry::new(Key::parse(NAME).expect("a fixed name"), meta.len())
            }]
        } else {
            Vec::new()
        };
        Ok(Box::new(ConfigView {
            source: self.clone(),
            entries,
        }))
    }

    async fn restore(&self, staging: Staging) -> Result<Box<dyn Restore>> {
        Ok(Box::new(ConfigRestore {
            path: std::path::absolute(&self.path).map_err(|e| self.io("find", e))?,
            staging,
            state: Mutex::default(),
        }))
    }

    async fn discard_unfinished(&self, discard: Discard) -> Result<Discarded> {
        discard_staged(&self.path, NAME, discard)
    }
}

struct ConfigView {
    source: ConfigSource,
    entries: Vec<Entry>,
}

#[async_trait]
impl Frozen for ConfigView {
    fn entries(&self) -> EntryStream<'_> {
        stream::iter(self.entries.iter().cloned().map(Ok)).boxed()
    }

    async fn open(&self, entry: &Entry) -> Result<Body> {
        let file = File::open(&self.source.path).map_err(|e| self.source.io("read", e))?;
        Ok(Body::File {
            file,
            len: entry.size,
        })
    }

    fn report(&self) -> SourceReport {
        SourceReport::default()
    }

    async fn release(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

struct ConfigRestore {
    path: PathBuf,
    staging: Staging,
    state: Mutex<(Option<Entry>, RestoreSummary)>,
}

impl ConfigRestore {
    fn staged_path(&self) -> PathBuf {
        self.path.with_file_name(format!(
            ".arc-backup-{}-{NAME}.tmp",
            self.staging.operation_id
        ))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, (Option<Entry>, RestoreSummary)> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
            let mut state = self.state();
            state.1.needed_files = 1;
            state.1.needed_bytes = entry.size;
            state.0 = Some(entry);
        }
        Ok(self.state().1.clone())
    }

    fn needed(&self) -> EntryStream<'_> {
        stream::iter(self.state().0.clone().map(Ok)).boxed()
    }

    async fn begin(&self, entry: &Entry) -> Result<Box<dyn Upload>> {
        FileUpload::create(self.staged_path(), entry)
    }

    async fn staged(&self, _entry: &Entry) -> Result<()> {
        Ok(())
    }

    async fn ready(&self) -> Result<()> {
        if self.state().0.is_none() {
            return Ok(());
        }
        let fault = |detail: String| {
            let subject = format!("config/{NAME}");
            Error::new(ErrorKind::Corrupt, "restore", subject, detail)
        };
        let text = std::fs::read_to_string(self.staged_path()).map_err(|e| fault(e.to_string()))?;
        // The message alone: the error's own text quotes the line, which may hold a secret.
        text.parse::<toml::Table>()
            .map(drop)
            .map_err(|e| fault(format!("it is no valid TOML: {}", e.message())))
    }

    async fn apply(&self) -> Result<()> {
        let Some(entry) = self.state().0.clone() else {
            return Ok(());
        };
        let (staged, path) = (self.staged_path(), &self.path);
        let io = |operation, error| Error::from_io(operation, path.display().to_string(), error);
        if path.exists() {
            let kept = rotate_kept(path, &self.staging.operation_id)?;
            // A second name, not a rename: at no moment is there no configuration.
            if std::fs::hard_link(path, &kept).is_err() {
                std::fs::copy(path, &kept).map_err(|e| io("keep", e))?;
            }
            self.state().1.kept.push(kept.display().to_string());
        }
        let file = File::options()
            .write(true)
            .open(&staged)
            .map_err(|e| io("write", e))?;
        if let Some(mode) = entry.mode {
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode & 0o777))
                .map_err(|e| io("write", e))?;
        }
        if let Some(modified) = entry.modified {
            file.set_modified(modified).map_err(|e| io("write", e))?;
        }
        let like = if path.exists() {
            path.as_path()
        } else {
            path.parent().unwrap_or(path)
        };
        crate::private::give_to_owner_of(like, &staged).map_err(|e| io("give away", e))?;
        std::fs::rename(&staged, path).map_err(|e| io("write", e))?;
        sync_folder(path)
    }

    async fn finish(&self) -> Result<RestoreSummary> {
        Ok(self.state().1.clone())
    }

    async fn abort(&self) -> Result<()> {
        match std::fs::remove_file(self.staged_path()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::from_io(
                "remove",
                self.staged_path().display().to_string(),
                error,
            )),
            _ => Ok(()),
        }
    }
}
