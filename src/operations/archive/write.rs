//! Writing an archive, in a thread of its own.

use std::io::{self, Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt};
use tar::{Builder, EntryType, Header};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::JoinHandle;
use zstd::stream::write::Encoder;

use super::PIECES;
use crate::{Error, Result};

/// Most of a backup is compressed already: the fastest level.
const LEVEL: i32 = 1;
/// The files are those of their owner alone: databases and arc.toml hold secrets.
const MODE: u32 = 0o600;

/// What the thread is given.
enum Piece {
    /// A file begins.
    File(String, u64, Option<SystemTime>),
    /// Bytes of it.
    Bytes(Bytes),
    /// The archive ends.
    End,
}

/// An archive that is being written. Dropped before its end, it stays cut off, and can't be
/// imported.
pub(crate) struct ArchiveWriter<W> {
    pieces: Sender<Piece>,
    /// `None` once it was waited for: its result is there only once.
    thread: Option<JoinHandle<io::Result<W>>>,
}

impl<W: Write + Send + 'static> ArchiveWriter<W> {
    /// Begins one.
    pub(crate) fn begin(out: W) -> Self {
        let (pieces, received) = mpsc::channel(PIECES);
        let thread = tokio::task::spawn_blocking(move || write(out, received));
        Self {
            pieces,
            thread: Some(thread),
        }
    }

    /// Adds a file of exactly these bytes.
    ///
    /// # Errors
    /// Those of `bytes`, and those of writing.
    pub(crate) async fn add(
        &mut self,
        path: String,
        size: u64,
        modified: Option<SystemTime>,
        mut bytes: impl Stream<Item = Result<Bytes>> + Unpin,
    ) -> Result<()> {
        self.send(Piece::File(path, size, modified)).await?;
        while let Some(piece) = bytes.next().await {
            let piece = piece?;
            if !piece.is_empty() {
                self.send(Piece::Bytes(piece)).await?;
            }
        }
        Ok(())
    }

    /// Ends the archive, and gives back what it was written to.
    ///
    /// # Errors
    /// Those of writing.
    pub(crate) async fn finish(mut self) -> Result<W> {
        self.send(Piece::End).await?;
        self.ended().await
    }

    /// Gives the archive up, and returns when nothing of it is being written any more.
    pub(crate) async fn abort(self) {
        drop(self.pieces);
        // The first fault is the one to report.
        if let Some(thread) = self.thread {
            let _ = thread.await;
        }
    }

    async fn send(&mut self, piece: Piece) -> Result<()> {
        if self.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // The thread has ended, and says why.
        match self.ended().await {
            Err(error) => Err(error),
            Ok(_) => Err(ended_already()),
        }
    }

    /// What the thread has ended with.
    async fn ended(&mut self) -> Result<W> {
        match self.thread.take() {
            Some(thread) => thread.await?.map_err(fault),
            None => Err(ended_already()),
        }
    }
}

fn ended_already() -> Error {
    Error::Failed("the archive has ended already".to_owned())
}

fn fault(error: io::Error) -> Error {
    Error::Storage(arc_backup_core::Error::from_io(
        "write",
        "the archive",
        error,
    ))
}

fn write<W: Write>(out: W, mut pieces: Receiver<Piece>) -> io::Result<W> {
    let mut encoder = Encoder::new(out, LEVEL)?;
    encoder.include_checksum(true)?;
    let mut archive = Builder::new(encoder);
    loop {
        match pieces.blocking_recv() {
            Some(Piece::File(path, size, modified)) => {
                let mut header = Header::new_gnu();
                header.set_entry_type(EntryType::Regular);
                header.set_mode(MODE);
                header.set_size(size);
                let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
                header.set_mtime(since.map_or(0, |since| since.as_secs()));
                let body = FileBody {
                    pieces: &mut pieces,
                    current: Bytes::new(),
                    left: size,
                };
                archive.append_data(&mut header, &path, body)?;
            }
            Some(Piece::End) => {
                let mut out = archive.into_inner()?.finish()?;
                out.flush()?;
                return Ok(out);
            }
            Some(Piece::Bytes(_)) => return Err(io::Error::other("a file has too many bytes")),
            None => return Err(io::Error::other("the archive was given up")),
        }
    }
}

/// The bytes of one file, as they come.
struct FileBody<'a> {
    pieces: &'a mut Receiver<Piece>,
    current: Bytes,
    left: u64,
}

impl Read for FileBody<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Ok(0);
        }
        if self.current.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Piece::Bytes(piece)) if piece.len() as u64 <= self.left => {
                    self.current = piece;
                }
                _ => return Err(io::Error::other("a file has other bytes than it should")),
            }
        }
        let count = self.current.len().min(buffer.len());
        self.current.copy_to_slice(&mut buffer[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A full disk.
    struct Full;

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Guards against: a fault of writing that ends the program when the archive is given up.
    #[tokio::test]
    async fn an_archive_that_could_not_be_written_is_given_up() {
        let mut archive = ArchiveWriter::begin(Full);
        let mut number = 0;
        let error = loop {
            let bytes: Vec<u8> = crate::random::random_hex::<1024>().expect("random").into();
            let size = bytes.len() as u64;
            let pieces = futures::stream::iter([Ok(Bytes::from(bytes))]);
            number += 1;
            if let Err(error) = archive.add(format!("{number}"), size, None, pieces).await {
                break error;
            }
            assert!(number < 10_000, "nothing was written");
        };
        assert!(error.to_string().contains("the archive"), "{error}");
        assert!(
            archive
                .add("last".to_owned(), 0, None, futures::stream::empty())
                .await
                .is_err()
        );
        archive.abort().await;
    }
}
