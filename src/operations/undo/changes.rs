//! The changes of a record: written as they are planned, and read of several runs as those of one.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::iter::Peekable;
use std::path::Path;

use arc_backup_core::ChangeStream;
use futures::TryStreamExt;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zstd::stream::read::Decoder;
use zstd::stream::write::Encoder;

use crate::files::{create_file, sync_file, sync_folder};
use crate::operations::undo::lines::{ChangeLine, VersionLine};
use crate::{Error, Result};

/// How hard the lines are compressed: the keys repeat, and a restore waits for it.
const LEVEL: i32 = 1;

/// A file of lines that is being written.
pub(crate) struct LineWriter<'a> {
    path: &'a Path,
    encoder: Encoder<'static, BufWriter<File>>,
}

impl<'a> LineWriter<'a> {
    pub(crate) fn create(path: &'a Path) -> Result<Self> {
        let fault = |error| Error::io("write", path, error);
        let file = create_file(path).map_err(fault)?;
        let encoder = Encoder::new(BufWriter::new(file), LEVEL).map_err(fault)?;
        Ok(Self { path, encoder })
    }

    pub(crate) fn add(&mut self, line: &impl Serialize) -> Result<()> {
        let mut text = serde_json::to_vec(line).expect("plain data is valid JSON");
        text.push(b'\n');
        (self.encoder.write_all(&text)).map_err(|error| Error::io("write", self.path, error))
    }

    /// Makes the file durable.
    pub(crate) fn finish(self) -> Result<()> {
        let path = self.path;
        let finish = || -> std::io::Result<()> {
            let file = self
                .encoder
                .finish()?
                .into_inner()
                .map_err(std::io::IntoInnerError::into_error)?;
            sync_file(&file)
        };
        finish().map_err(|error| Error::io("write", path, error))?;
        Ok(sync_folder(path)?)
    }
}

/// The lines of a file; none where it is absent.
pub(crate) fn read<T: DeserializeOwned + Send + 'static>(
    path: &Path,
) -> Result<Box<dyn Iterator<Item = Result<T>> + Send>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Box::new(std::iter::empty()));
        }
        file => file.map_err(|error| Error::io("read", path, error))?,
    };
    let decoder = Decoder::new(file).map_err(|error| Error::io("read", path, error))?;
    let path = path.to_owned();
    Ok(Box::new(BufReader::new(decoder).lines().map(move |line| {
        let line = line.map_err(|error| Error::io("read", &path, error))?;
        serde_json::from_str(&line)
            .map_err(|error| Error::Failed(format!("`{}` can't be read: {error}", path.display())))
    })))
}

/// Writes the changes to the file `path`, durably; returns whether one is of the cold tier.
pub(crate) async fn write(path: &Path, mut planned: ChangeStream<'_>) -> Result<bool> {
    let mut writer = LineWriter::create(path)?;
    let mut has_cold = false;
    while let Some(change) = planned.try_next().await? {
        let line = ChangeLine::from(change);
        has_cold |= line.cold;
        writer.add(&line)?;
    }
    writer.finish()?;
    Ok(has_cold)
}

type Lines = Peekable<Box<dyn Iterator<Item = Result<ChangeLine>> + Send>>;

/// The changes of several runs of one restore, in the order in which they ran, as those of one.
pub(crate) struct Merged(Vec<Lines>);

impl Merged {
    pub(crate) fn of<'a>(paths: impl Iterator<Item = &'a Path>) -> Result<Self> {
        let runs = paths.map(|path| Ok(read(path)?.peekable()));
        Ok(Self(runs.collect::<Result<_>>()?))
    }

    fn next_key(&mut self) -> Result<Option<String>> {
        let mut next: Option<String> = None;
        for run in &mut self.0 {
            match run.peek() {
                Some(Ok(line)) if next.as_ref().is_none_or(|key| line.key < *key) => {
                    next = Some(line.key.clone());
                }
                Some(Err(_)) => {
                    return run.next().transpose().map(|_| None);
                }
                _ => {}
            }
        }
        Ok(next)
    }
}

impl Iterator for Merged {
    type Item = Result<ChangeLine>;

    fn next(&mut self) -> Option<Self::Item> {
        let key = match self.next_key() {
            Ok(key) => key?,
            Err(error) => return Some(Err(error)),
        };
        let mut merged: Option<ChangeLine> = None;
        for run in &mut self.0 {
            while let Some(Ok(line)) =
                run.next_if(|line| matches!(line, Ok(line) if line.key == key))
            {
                merged = Some(match merged {
                    None => line,
                    Some(first) => ChangeLine {
                        cold: first.cold || line.cold,
                        after: line.after,
                        ..first
                    },
                });
            }
        }
        merged.map(Ok)
    }
}

/// The same version, once it is another object: without its entity tag.
pub(crate) fn moved(version: &VersionLine) -> VersionLine {
    VersionLine {
        etag: None,
        ..version.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(size: u64) -> Option<VersionLine> {
        Some(VersionLine {
            size,
            ..VersionLine::default()
        })
    }

    /// Guards against: an undo of a resumed restore that goes back to the middle of it.
    #[test]
    fn the_changes_of_several_runs_are_those_from_before_the_first_to_after_the_last() {
        let folder = tempfile::tempdir().expect("a folder");
        let runs = [
            vec![("a", None, version(1)), ("c", version(2), None)],
            vec![("a", version(1), version(3)), ("b", version(4), version(5))],
        ];
        let mut paths = Vec::new();
        for (number, lines) in runs.into_iter().enumerate() {
            let path = folder.path().join(number.to_string());
            let mut writer = LineWriter::create(&path).expect("room");
            for (key, before, after) in lines {
                let line = ChangeLine {
                    key: key.to_owned(),
                    cold: false,
                    before,
                    after,
                };
                writer.add(&line).expect("room");
            }
            writer.finish().expect("room");
            paths.push(path);
        }
        let merged: Vec<_> = Merged::of(paths.iter().map(|path| &**path))
            .expect("files")
            .map(|line| line.expect("a line"))
            .map(|line| (line.key, line.before, line.after))
            .collect();
        assert_eq!(
            merged,
            [
                ("a".to_owned(), None, version(3)),
                ("b".to_owned(), version(4), version(5)),
                ("c".to_owned(), version(2), None),
            ]
        );
        let cut = std::fs::read(&paths[0]).expect("a file");
        std::fs::write(&paths[0], &cut[..cut.len() - 4]).expect("room");
        let mut merged = Merged::of(paths.iter().map(|path| &**path)).expect("files");
        assert!(merged.any(|change| change.is_err()), "a torn file is whole");
    }
}
