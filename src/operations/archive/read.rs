//! Reading an archive, in a thread of its own.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arc_backup_core::{Digest, Hasher, Key};
use bytes::Bytes;
use tar::{Archive, EntryType};
use tokio::sync::mpsc::{self, Receiver, Sender};
use zstd::stream::read::Decoder;

use super::{PIECE_BYTES, PIECES};
use crate::{Error, Result};

/// The largest window that is accepted, 128 MiB: what other programs may use at their best level.
const LARGEST_WINDOW_LOG: u32 = 27;
/// The longest name of a file: a key behind the id of its backup.
const NAME_LIMIT: u64 = 2 * Key::MAX_BYTES as u64;

/// What the thread finds.
enum Part {
    /// A file begins.
    File(String, u64),
    /// Bytes of it; never none.
    Bytes(Bytes),
    /// The archive ends, whole, and nothing is behind it.
    End,
}

/// Why an archive can't be read on.
enum Fault {
    /// It is not a whole one.
    Archive(String),
    /// Its bytes can't be had.
    Disk(io::Error),
}

/// A file that remembers that it could not be read: what decodes it makes a text of the error.
struct Watched {
    file: File,
    fault: Arc<OnceLock<i32>>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read(buffer).inspect_err(|error| {
            if let Some(code) = error.raw_os_error().filter(|_| !is_retried(error)) {
                let _ = self.fault.set(code);
            }
        })
    }
}

/// Opens a regular file: to open a pipe waits for whoever writes to it.
fn open_regular(path: &Path) -> io::Result<File> {
    match std::fs::metadata(path)?.is_file() {
        true => File::open(path),
        false => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is not a regular file",
        )),
    }
}

fn is_retried(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Interrupted
}

/// An archive that is being read, with a bounded part of it in memory.
pub(crate) struct ArchiveReader {
    path: PathBuf,
    parts: Receiver<Result<Part, Fault>>,
    /// Bytes of the current file that are still to come.
    left: u64,
}

impl ArchiveReader {
    /// Opens the archive at `path`.
    ///
    /// # Errors
    /// When the file can't be opened.
    pub(crate) async fn open(path: &Path) -> Result<Self> {
        let of_thread = path.to_owned();
        let file = tokio::task::spawn_blocking(move || open_regular(&of_thread)).await?;
        let file = file.map_err(|e| Error::io("read", path, e))?;
        let (sender, parts) = mpsc::channel(PIECES);
        tokio::task::spawn_blocking(move || {
            let of_disk = Arc::default();
            let file = Watched {
                file,
                fault: Arc::clone(&of_disk),
            };
            let ended = read(file, &sender);
            let last = ended.map(|()| Part::End).map_err(|e| match of_disk.get() {
                Some(code) => Fault::Disk(io::Error::from_raw_os_error(*code)),
                None if e.kind() == io::ErrorKind::UnexpectedEof => {
                    Fault::Archive("it is cut off".to_owned())
                }
                None => Fault::Archive(e.to_string()),
            });
            // Nobody may be reading any more.
            let _ = sender.blocking_send(last);
        });
        Ok(Self {
            path: path.to_owned(),
            parts,
            left: 0,
        })
    }

    /// The next file: its path and its size; `None` at the end of a whole archive.
    ///
    /// # Errors
    /// Where the archive is cut off or damaged, or holds anything but files.
    pub(crate) async fn next_file(&mut self) -> Result<Option<(String, u64)>> {
        match self.next().await? {
            Part::File(path, size) => {
                self.left = size;
                Ok(Some((path, size)))
            }
            Part::End => Ok(None),
            Part::Bytes(_) => Err(self.fault("a file in it was not read to its end")),
        }
    }

    /// More bytes of the current file; `None` at its end.
    ///
    /// # Errors
    /// As [`next_file`](Self::next_file).
    pub(crate) async fn bytes(&mut self) -> Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        match self.next().await? {
            Part::Bytes(bytes) => {
                self.left = self.left.saturating_sub(bytes.len() as u64);
                Ok(Some(bytes))
            }
            Part::File(..) | Part::End => Err(self.fault("a file in it is cut off")),
        }
    }

    /// All bytes of the current file, in pieces, and their digest.
    ///
    /// # Errors
    /// As [`next_file`](Self::next_file).
    pub(crate) async fn collect(&mut self) -> Result<(Vec<Bytes>, Digest)> {
        let (mut pieces, mut hasher) = (Vec::new(), Hasher::new());
        while let Some(piece) = self.bytes().await? {
            hasher.update(&piece);
            pieces.push(piece);
        }
        Ok((pieces, hasher.finish()))
    }

    async fn next(&mut self) -> Result<Part> {
        match self.parts.recv().await {
            Some(Ok(part)) => Ok(part),
            Some(Err(Fault::Archive(why))) => Err(self.fault(&why)),
            Some(Err(Fault::Disk(error))) => Err(Error::io("read", &self.path, error)),
            None => Err(self.fault("it ended before")),
        }
    }

    /// The error for an archive that can't be used.
    pub(crate) fn fault(&self, why: &str) -> Error {
        Error::Failed(format!(
            "`{}` is not a whole archive of a backup, as `arc-backup export` writes it: {why}; nothing was imported",
            self.path.display()
        ))
    }
}

fn read(file: Watched, parts: &Sender<Result<Part, Fault>>) -> io::Result<()> {
    let mut decoder = Decoder::new(file)?.single_frame();
    decoder.window_log_max(LARGEST_WINDOW_LOG)?;
    let mut archive = Archive::new(decoder);
    // As they are: what stands for long names is read here, within a limit.
    let entries = archive.entries()?.raw(true);
    let mut long_name = None;
    for entry in entries {
        let mut entry = entry?;
        let size = entry.header().entry_size()?;
        if entry.header().entry_type() == EntryType::GNULongName && long_name.is_none() {
            let mut name = Vec::new();
            (&mut entry).take(NAME_LIMIT).read_to_end(&mut name)?;
            if size > NAME_LIMIT || name.len() as u64 != size {
                return Err(io::Error::other("it has a name that is too long"));
            }
            long_name = Some(name);
            continue;
        }
        let name = long_name
            .take()
            .unwrap_or_else(|| entry.path_bytes().into_owned());
        let name = name.strip_suffix(b"\0").unwrap_or(&name);
        let name = match std::str::from_utf8(name) {
            Ok(name) => name.to_owned(),
            Err(_) => return Err(io::Error::other("it has a name that is no UTF-8")),
        };
        if entry.header().entry_type() != EntryType::Regular {
            let shown: String = name.chars().take(200).collect();
            let text = format!("{shown:?} in it is not a regular file");
            return Err(io::Error::other(text));
        }
        if !send(parts, Part::File(name, size)) {
            return Ok(());
        }
        let mut left = size;
        while left > 0 {
            let length = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
            let mut piece = vec![0; length];
            entry.read_exact(&mut piece)?;
            left -= piece.len() as u64;
            if !send(parts, Part::Bytes(piece.into())) {
                return Ok(());
            }
        }
    }
    check_end(archive.into_inner())
}

/// Checks that nothing but zeros follows the last file, and nothing the compressed stream.
fn check_end(mut rest: Decoder<'static, BufReader<Watched>>) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        let count = rest.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        if buffer[..count].iter().any(|byte| *byte != 0) {
            return Err(io::Error::other("something is behind its last file"));
        }
    }
    match rest.finish().read(&mut buffer)? {
        0 => Ok(()),
        _ => Err(io::Error::other("something is behind its end")),
    }
}

/// Whether somebody still reads.
fn send(parts: &Sender<Result<Part, Fault>>, part: Part) -> bool {
    parts.blocking_send(Ok(part)).is_ok()
}
