//! The bytes of an object: in memory, or in a file for large bodies.

use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use s3s::dto::StreamingBlob;
use s3s::stream::{ByteStream, RemainingLength};

/// How much of a file is read at once.
const BLOCK_BYTES: u64 = 256 << 10;

/// Bytes that are cheap to clone, to cut and to join.
#[derive(Clone, Default)]
pub(crate) struct Blob {
    pieces: Vec<Piece>,
    len: u64,
}

#[derive(Clone)]
enum Piece {
    Memory(Bytes),
    File(Arc<File>, Range<u64>),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File(_, range) => range.end - range.start,
        }
    }

    fn cut(&self, range: Range<u64>) -> Self {
        match self {
            Self::Memory(bytes) => {
                Self::Memory(bytes.slice(range.start as usize..range.end as usize))
            }
            Self::File(file, whole) => Self::File(
                file.clone(),
                whole.start + range.start..whole.start + range.end,
            ),
        }
    }
}

impl Blob {
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    fn push(&mut self, piece: Piece) {
        self.len += piece.len();
        self.pieces.push(piece);
    }

    /// Appends another's bytes.
    pub(crate) fn append(&mut self, other: &Self) {
        for piece in &other.pieces {
            self.push(piece.clone());
        }
    }

    /// The bytes in `range`, which lies within.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let mut cut = Self::default();
        let mut at = 0;
        for piece in &self.pieces {
            let (start, end) = (range.start.max(at), range.end.min(at + piece.len()));
            if start < end {
                cut.push(piece.cut(start - at..end - at));
            }
            at += piece.len();
        }
        cut
    }

    /// All bytes, in memory.
    pub(crate) fn bytes(&self) -> Bytes {
        let mut whole = BytesMut::new();
        for piece in &self.pieces {
            match piece {
                Piece::Memory(bytes) => whole.extend_from_slice(bytes),
                Piece::File(file, range) => {
                    let from = whole.len();
                    whole.resize(from + (range.end - range.start) as usize, 0);
                    file.read_exact_at(&mut whole[from..], range.start)
                        .expect("a spilled body is readable");
                }
            }
        }
        whole.freeze()
    }

    /// The bytes as the body of an answer.
    pub(crate) fn stream(self) -> StreamingBlob {
        StreamingBlob::new(Reading {
            left: self.len,
            pieces: self.pieces.into_iter().collect(),
        })
    }
}

impl From<Bytes> for Blob {
    fn from(bytes: Bytes) -> Self {
        let mut blob = Self::default();
        blob.push(Piece::Memory(bytes));
        blob
    }
}

struct Reading {
    pieces: std::collections::VecDeque<Piece>,
    left: u64,
}

impl Stream for Reading {
    type Item = Result<Bytes, s3s::StdError>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(piece) = self.pieces.pop_front() else {
            return Poll::Ready(None);
        };
        let bytes = match piece {
            Piece::Memory(bytes) => bytes,
            Piece::File(file, range) => {
                let end = range.end.min(range.start + BLOCK_BYTES);
                let mut block = vec![0; (end - range.start) as usize];
                if let Err(error) = file.read_exact_at(&mut block, range.start) {
                    return Poll::Ready(Some(Err(error.into())));
                }
                if end < range.end {
                    self.pieces.push_front(Piece::File(file, end..range.end));
                }
                block.into()
            }
        };
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl ByteStream for Reading {
    fn remaining_length(&self) -> RemainingLength {
        RemainingLength::new_exact(self.left as usize)
    }
}

/// A blob that is being received.
pub(crate) struct Receiving {
    blob: Blob,
    file: Option<(Arc<File>, u64)>,
}

impl Receiving {
    /// Receives into memory, or into an unlinked file in the folder `spill`.
    pub(crate) fn new(spill: Option<&Path>) -> std::io::Result<Self> {
        let file = spill.map(tempfile::tempfile_in).transpose()?;
        Ok(Self {
            blob: Blob::default(),
            file: file.map(|file| (Arc::new(file), 0)),
        })
    }

    pub(crate) fn push(&mut self, bytes: Bytes) -> std::io::Result<()> {
        match &mut self.file {
            Some((file, len)) => {
                (&**file).write_all(&bytes)?;
                *len += bytes.len() as u64;
            }
            None => self.blob.push(Piece::Memory(bytes)),
        }
        Ok(())
    }

    pub(crate) fn finish(mut self) -> Blob {
        if let Some((file, len)) = self.file {
            self.blob.push(Piece::File(file, 0..len));
        }
        self.blob
    }
}
