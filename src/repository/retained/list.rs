//! `{backup_id}/retained.jsonl`: the files of a deleted backup that other backups need.
//!
//! A line for each file, sorted by path in byte order: `{"path": "data/…", "size": 1}`. Behind
//! them a line with the totals and the backups that need the files, and a last one with the SHA-256
//! of everything before it. A list that is not whole is never followed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read as _, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_backup_core::{Error as CoreError, ErrorKind, GetOptions, Hasher, WriteOptions};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};

use super::lines::lines;
use crate::files::create_file;
use crate::manifest::BackupId;
use crate::repository::Repository;
use crate::repository::layout::retained_key;
use crate::sorted::Sorted;
use crate::{Error, Result};

/// How much is written at once.
const PIECE_BYTES: usize = 256 << 10;

/// A file that other backups need.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RetainedFile {
    /// Its path in the backup that holds it, and in those that need it.
    pub(super) path: String,
    /// Its size in bytes.
    pub(super) size: u64,
}

impl Sorted for RetainedFile {
    fn sort_key(&self) -> &str {
        &self.path
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Totals {
    backup_id: String,
    files: u64,
    bytes: u64,
    needed_by: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Line {
    File(RetainedFile),
    Totals(Totals),
    Seal { sha256: String },
}

/// A list that is whole.
#[derive(Debug, Clone)]
pub(crate) struct RetainedList {
    id: BackupId,
    totals: Totals,
    /// The list in a local file; `None`: it is read in the target.
    local: Option<Arc<LocalFile>>,
}

/// A local file that is removed when this is dropped.
#[derive(Debug)]
pub(super) struct LocalFile(pub(super) PathBuf);

impl Drop for LocalFile {
    fn drop(&mut self) {
        // The scratch folder goes at the end of the operation anyway.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// What there is of the list of a deleted backup.
pub(super) enum FoundList {
    Absent,
    Whole(RetainedList),
    /// It is not whole, or not of this backup; with the reason.
    Broken(String),
}

impl RetainedList {
    /// How many files it has.
    pub(crate) fn files(&self) -> u64 {
        self.totals.files
    }

    /// The backups that need them.
    pub(crate) fn needed_by(&self) -> &BTreeSet<String> {
        &self.totals.needed_by
    }

    /// Whether the files are those that these backups need: all that it names are among them. An
    /// inventory never changes, and what a backup made since needs of a deleted one, its base did.
    pub(super) fn is_for(&self, backups: &BTreeSet<BackupId>) -> bool {
        let named = &self.totals.needed_by;
        named
            .iter()
            .all(|id| backups.iter().any(|one| one.as_str() == id))
    }

    /// What the index says of it.
    pub(super) fn summary(&self) -> Vec<u8> {
        serde_json::to_vec(&self.totals).expect("plain data is valid JSON")
    }

    /// The files, in the order of their paths.
    pub(super) async fn rows(
        &self,
        repository: &Repository,
    ) -> Result<BoxStream<'static, Result<RetainedFile>>> {
        let Some(local) = &self.local else {
            let key = retained_key(&self.id);
            let object = repository.sink.get(&key, GetOptions::default()).await?;
            let rows = lines(object.body, &key).filter_map(|line| {
                std::future::ready(line.map_err(Error::from).map(|line| row(&line)).transpose())
            });
            return Ok(rows.boxed());
        };
        Ok(stream::iter(local_rows(local.clone())?).boxed())
    }
}

/// The file that a line of a whole list names.
fn row(line: &[u8]) -> Option<RetainedFile> {
    serde_json::from_slice(line).ok()
}

/// The files of a list in a local file, whole or without its last lines.
pub(super) fn local_rows(
    file: Arc<LocalFile>,
) -> Result<impl Iterator<Item = Result<RetainedFile>> + Send> {
    let open = File::open(&file.0).map_err(|e| Error::io("read", &file.0, e))?;
    let lines = BufReader::with_capacity(PIECE_BYTES, open).split(b'\n');
    Ok(lines.filter_map(move |line| {
        let line = line.map_err(|e| Error::io("read", &file.0, e));
        line.map(|line| row(&line)).transpose()
    }))
}

/// A list that is being written to a local file.
pub(super) struct ListWriter {
    path: PathBuf,
    file: BufWriter<File>,
    hasher: Hasher,
    files: u64,
    bytes: u64,
}

impl ListWriter {
    /// A new one at `path`.
    pub(super) fn create(path: PathBuf) -> Result<Self> {
        let file = create_file(&path).map_err(|e| Error::io("write", &path, e))?;
        Ok(Self {
            path,
            file: BufWriter::with_capacity(PIECE_BYTES, file),
            hasher: Hasher::new(),
            files: 0,
            bytes: 0,
        })
    }

    /// Appends a file; they come in the order of their paths.
    pub(super) fn push(&mut self, file: &RetainedFile) -> Result<()> {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(file.size);
        self.write(file)
    }

    fn write(&mut self, line: &impl Serialize) -> Result<()> {
        let mut line = serde_json::to_vec(line).expect("plain data is valid JSON");
        line.push(b'\n');
        self.hasher.update(&line);
        self.file
            .write_all(&line)
            .map_err(|e| Error::io("write", &self.path, e))
    }

    /// The files alone, without the last lines.
    pub(super) fn unsealed(mut self) -> Result<Arc<LocalFile>> {
        self.file
            .flush()
            .map_err(|e| Error::io("write", &self.path, e))?;
        Ok(Arc::new(LocalFile(self.path)))
    }

    /// The whole list of the backup `id`, whose files these backups need.
    pub(super) fn finish(
        mut self,
        id: &BackupId,
        needed_by: &BTreeSet<BackupId>,
    ) -> Result<RetainedList> {
        let totals = Totals {
            backup_id: id.to_string(),
            files: self.files,
            bytes: self.bytes,
            needed_by: needed_by.iter().map(ToString::to_string).collect(),
        };
        self.write(&totals)?;
        let sha256 = std::mem::take(&mut self.hasher).finish().to_string();
        self.write(&Line::Seal { sha256 })?;
        Ok(RetainedList {
            id: id.clone(),
            totals,
            local: Some(self.unsealed()?),
        })
    }
}

impl Repository {
    /// The backups that need files of this deleted one, for people.
    pub(crate) async fn backups_needing(&self, id: &BackupId) -> String {
        match self.retained_list(id).await {
            Ok(FoundList::Whole(list)) if !list.needed_by().is_empty() => {
                let names: Vec<_> = list.needed_by().iter().map(String::as_str).collect();
                format!("other backups ({})", names.join(", "))
            }
            _ => "other backups".to_owned(),
        }
    }

    /// Reads the list of the deleted backup `id` once, and checks it.
    pub(super) async fn retained_list(&self, id: &BackupId) -> Result<FoundList> {
        let key = retained_key(id);
        let object = match self.sink.get(&key, GetOptions::default()).await {
            Ok(object) => object,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(FoundList::Absent),
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return Ok(FoundList::Broken(error.detail().to_owned()));
            }
            Err(error) => return Err(error.into()),
        };
        let mut check = Check::default();
        let mut lines = std::pin::pin!(lines(object.body, &key));
        while let Some(line) = lines.next().await {
            self.activity.note();
            let checked = match line {
                Ok(line) => check.line(&line),
                Err(error) if error.kind() == ErrorKind::Invalid => Err(error.detail().to_owned()),
                Err(error) => return Err(error.into()),
            };
            if let Err(reason) = checked {
                return Ok(FoundList::Broken(reason));
            }
        }
        Ok(match check.totals {
            Some(totals) if check.is_sealed && totals.backup_id == id.as_str() => {
                FoundList::Whole(RetainedList {
                    id: id.clone(),
                    totals,
                    local: None,
                })
            }
            Some(totals) if check.is_sealed => {
                FoundList::Broken(format!("it is of `{}`", totals.backup_id.escape_debug()))
            }
            _ => FoundList::Broken("it is not whole".to_owned()),
        })
    }

    /// Writes the list into the folder of its backup, durably and at once.
    pub(super) async fn put_retained_list(&self, list: &RetainedList) -> Result<()> {
        let Some(local) = &list.local else {
            return Ok(());
        };
        let options = WriteOptions {
            size_hint: std::fs::metadata(&local.0).ok().map(|meta| meta.len()),
            durable: true,
            ..WriteOptions::default()
        };
        let mut upload = self.sink.begin(&retained_key(&list.id), options).await?;
        let written = async {
            let mut file = open(&local.0)?;
            loop {
                let mut piece = Vec::with_capacity(PIECE_BYTES);
                (&mut file)
                    .take(PIECE_BYTES as u64)
                    .read_to_end(&mut piece)
                    .map_err(|e| Error::io("read", &local.0, e))?;
                if piece.is_empty() {
                    return Ok(());
                }
                self.activity.note();
                upload.write(Bytes::from(piece)).await?;
            }
        };
        match written.await {
            Ok(()) => upload.commit().await.map(drop).map_err(Error::from),
            Err(error) => {
                let _: Result<(), CoreError> = upload.abort().await;
                Err(error)
            }
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Error::io("read", path, e))
}

/// Checks the lines of a list as they come.
#[derive(Default)]
struct Check {
    hasher: Hasher,
    last: Option<String>,
    files: u64,
    bytes: u64,
    totals: Option<Totals>,
    is_sealed: bool,
}

impl Check {
    fn line(&mut self, text: &[u8]) -> Result<(), String> {
        let line: Line = serde_json::from_slice(text).map_err(|_| "it is not whole".to_owned())?;
        match line {
            _ if self.is_sealed => return Err("something stands behind its end".to_owned()),
            Line::Seal { sha256 } => {
                let found = std::mem::take(&mut self.hasher).finish().to_string();
                if self.totals.is_none() || found != sha256 {
                    return Err("it does not have the SHA-256 that it names".to_owned());
                }
                self.is_sealed = true;
                return Ok(());
            }
            _ if self.totals.is_some() => return Err("its end is not the last".to_owned()),
            Line::File(file) => {
                if self.last.as_ref().is_some_and(|last| *last >= file.path) {
                    return Err("it is not in order".to_owned());
                }
                self.files += 1;
                self.bytes = self.bytes.saturating_add(file.size);
                self.last = Some(file.path);
            }
            Line::Totals(totals) => {
                if (totals.files, totals.bytes) != (self.files, self.bytes) {
                    return Err("it has other files than it counts".to_owned());
                }
                self.totals = Some(totals);
            }
        }
        self.hasher.update(text);
        self.hasher.update(b"\n");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use arc_backup_core::MemorySink;
    use futures::TryStreamExt;

    use super::*;

    fn id(number: u32) -> BackupId {
        BackupId::parse(&format!("backup-20261129-000000-{number:08x}")).expect("an id")
    }

    /// Guards against: files that go because a list of what must stay was cut short or changed.
    #[tokio::test]
    async fn a_list_with_any_byte_changed_or_cut_is_not_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut writer = ListWriter::create(folder.path().join("list")).expect("a file");
        let names = ["data/iot/a.parquet", "data/iot/b.parquet"];
        for (name, size) in names.iter().zip([3, 40]) {
            let file = RetainedFile {
                path: (*name).to_owned(),
                size,
            };
            writer.push(&file).expect("written");
        }
        let needed_by = BTreeSet::from([id(2), id(3)]);
        let list = writer.finish(&id(1), &needed_by).expect("written");
        let repository = Repository::new("memory", Arc::new(MemorySink::new()));
        repository.put_retained_list(&list).await.expect("put");
        let text = std::fs::read(&list.local.as_ref().expect("local").0).expect("the list");
        let FoundList::Whole(found) = repository.retained_list(&id(1)).await.expect("read") else {
            panic!("it is whole");
        };
        let more = BTreeSet::from([id(2), id(3), id(4)]);
        assert!(found.is_for(&needed_by) && found.is_for(&more));
        assert!(!found.is_for(&BTreeSet::from([id(2)])));
        let rows = found.rows(&repository).await.expect("rows");
        let rows: Vec<_> = rows.try_collect().await.expect("rows");
        assert!(rows.iter().map(|row| &*row.path).eq(names));
        // Without the end of its last line it is whole all the same.
        for at in 0..text.len() - 1 {
            let mut changed = text.clone();
            changed[at] ^= 1;
            for spoiled in [&text[..at], &changed[..]] {
                let put = repository
                    .put(&retained_key(&id(1)), spoiled.to_vec())
                    .await;
                put.expect("put");
                let found = repository.retained_list(&id(1)).await.expect("read");
                assert!(
                    matches!(found, FoundList::Broken(_)),
                    "byte {at} was changed or cut, and the list was followed"
                );
            }
        }
    }
}
