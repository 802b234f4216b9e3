//! Bodies as streams of pieces.

use std::fs::File;
use std::io::Read;

use arc_backup_core::{Body, ByteStream, Error, ErrorKind};
use bytes::Bytes;
use futures::{StreamExt, stream};

/// How much is read at once. Past 256 KiB a larger piece is no faster, and every copy under way
/// holds one.
pub(super) const PIECE_BYTES: usize = 256 << 10;

/// The body as a stream of pieces.
#[must_use]
pub fn pieces(body: Body, subject: &str) -> ByteStream {
    match body {
        Body::Stream(stream) => stream,
        Body::File { file, len } => file_pieces(file, len, subject.to_owned()),
    }
}

pub(super) fn file_pieces(file: File, len: u64, subject: String) -> ByteStream {
    stream::unfold(Some((file, len, subject)), |state| async move {
        let (mut file, left, subject) = state?;
        if left == 0 {
            return None;
        }
        let name = subject.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![
                0;
                usize::try_from(left)
                    .unwrap_or(PIECE_BYTES)
                    .min(PIECE_BYTES)
            ];
            let count = loop {
                match file.read(&mut buffer) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            buffer.truncate(count);
            Ok::<_, std::io::Error>((file, Bytes::from(buffer)))
        })
        .await;
        match read {
            Ok(Ok((_, piece))) if piece.is_empty() => None,
            Ok(Ok((file, piece))) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), Some((file, left, subject))))
            }
            Ok(Err(error)) => Some((Err(Error::from_io("read", name, error)), None)),
            Err(error) => Some((
                Err(Error::new(
                    ErrorKind::Other,
                    "read",
                    name,
                    error.to_string(),
                )),
                None,
            )),
        }
    })
    .boxed()
}
