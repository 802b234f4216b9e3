//! What the tests of this crate share.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::{Path, PathBuf};

use arc_backup_core::{
    GetOptions, Key, ListOptions, Listed, Meta, OperationId, Result, Sink, WriteOptions,
};
use arc_backup_local::{LocalConfig, LocalSink};
use bytes::Bytes;
use futures::TryStreamExt;
use tempfile::TempDir;

/// A sink on the folder `root` in a folder of its own.
pub struct Place {
    pub top: TempDir,
    pub sink: LocalSink,
}

impl Place {
    pub fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let sink = LocalSink::new(LocalConfig::new(top.path().join("root")));
        Self { top, sink }
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.top.path().join("root").join(below)
    }

    /// Writes a file behind the sink's back.
    pub fn write(&self, below: &str, text: &str) {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn link(&self, to: impl AsRef<Path>, below: &str) {
        std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(to, self.path(below)).unwrap();
    }

    pub fn fifo(&self, below: &str) {
        std::fs::create_dir_all(self.path(below).parent().unwrap()).unwrap();
        let made = std::process::Command::new("mkfifo")
            .arg(self.path(below))
            .status();
        assert!(made.unwrap().success());
    }

    /// Everything under the root, by path, links and temporary files too.
    pub fn on_disk(&self) -> Vec<String> {
        tree(&self.path(""))
    }
}

/// Everything under a folder, by path; folders end in `/`.
pub fn tree(top: &Path) -> Vec<String> {
    fn walk(top: &Path, below: &Path, found: &mut Vec<String>) {
        let Ok(entries) = std::fs::read_dir(below) else {
            return;
        };
        for entry in entries {
            let entry = entry.unwrap();
            let name = entry
                .path()
                .strip_prefix(top)
                .unwrap()
                .display()
                .to_string();
            if entry.file_type().unwrap().is_dir() {
                found.push(format!("{name}/"));
                walk(top, &entry.path(), found);
            } else {
                found.push(name);
            }
        }
    }
    let mut found = Vec::new();
    walk(top, top, &mut found);
    found.sort();
    found
}

pub fn id(text: &str) -> OperationId {
    OperationId::parse(text).unwrap()
}

pub fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub async fn put_with(
    sink: &LocalSink,
    at: &str,
    bytes: &'static str,
    options: WriteOptions,
) -> Result<Meta> {
    let mut upload = sink.begin(&key(at), options).await?;
    upload.write(Bytes::from_static(bytes.as_bytes())).await?;
    upload.commit().await
}

pub async fn stage(
    sink: &LocalSink,
    at: &str,
    id: &OperationId,
    bytes: &'static str,
    options: WriteOptions,
) -> Result<Meta> {
    let staging = sink.staging().unwrap();
    let mut upload = staging.begin(&key(at), id, options).await?;
    upload.write(Bytes::from_static(bytes.as_bytes())).await?;
    upload.commit().await
}

pub async fn put(sink: &LocalSink, at: &str, bytes: &'static str) -> Result<Meta> {
    put_with(sink, at, bytes, WriteOptions::default()).await
}

pub async fn read(sink: &LocalSink, at: &str) -> Result<String> {
    let object = sink.get(&key(at), GetOptions::default()).await?;
    let bytes = object.body.collect(1 << 20, at).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// The listing as text: keys, and in brackets what else there is.
pub async fn list(sink: &LocalSink, options: ListOptions) -> Result<Vec<String>> {
    let rows: Vec<_> = sink.list(options).try_collect().await?;
    Ok(rows
        .into_iter()
        .map(|row| match row {
            Listed::Object(meta) => meta.key.to_string(),
            Listed::Other { path, kind } => format!("{path} ({kind:?})"),
        })
        .collect())
}
