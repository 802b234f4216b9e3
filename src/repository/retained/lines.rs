//! The lines of an object, as a stream.

use arc_backup_core::{Body, ByteStream, Error as CoreError, ErrorKind};
use futures::{Stream, StreamExt, stream};

use crate::manifest::Decompressor;

/// The longest line that is read, in bytes: that of an inventory.
const LINE_LIMIT: usize = 16 << 10;

/// The lines of `body`, without their ends. What stands behind the last end is a line too.
pub(super) fn lines(
    body: Body,
    subject: &str,
) -> impl Stream<Item = Result<Vec<u8>, CoreError>> + Send + use<> {
    split(crate::pipeline::pieces(body, subject), subject.to_owned())
}

/// The same for a body that is compressed with zstd. One that was cut off, or goes on behind its
/// end, ends with an error.
pub(super) fn compressed_lines(
    body: Body,
    subject: &str,
) -> Result<impl Stream<Item = Result<Vec<u8>, CoreError>> + Send + use<>, CoreError> {
    let named = subject.to_owned();
    let damaged =
        move |text: String| CoreError::new(ErrorKind::Invalid, "read", named.clone(), text);
    let mut decompressor = Decompressor::new().map_err(|error| damaged(error.to_string()))?;
    let pieces = (crate::pipeline::pieces(body, subject).map(Some))
        .chain(stream::iter([None]))
        .map(move |piece| {
            let mut found = Vec::new();
            match piece {
                Some(piece) => decompressor.push(&piece?, &damaged, |bytes| {
                    found.extend_from_slice(bytes);
                    Ok(())
                })?,
                None if decompressor.has_ended() => {}
                None => return Err(damaged("ends too early".to_owned())),
            }
            Ok(found.into())
        });
    Ok(split(pieces.boxed(), subject.to_owned()))
}

fn split(
    pieces: ByteStream,
    subject: String,
) -> impl Stream<Item = Result<Vec<u8>, CoreError>> + Send {
    let mut rest = Vec::new();
    pieces
        .map(Some)
        .chain(stream::iter([None]))
        .flat_map(move |piece| {
            let mut found = Vec::new();
            match piece {
                Some(Ok(piece)) => {
                    let mut piece = &*piece;
                    while let Some(end) = piece.iter().position(|byte| *byte == b'\n') {
                        rest.extend_from_slice(&piece[..end]);
                        piece = &piece[end + 1..];
                        found.push(Ok(std::mem::take(&mut rest)));
                    }
                    rest.extend_from_slice(piece);
                    if rest.len() > LINE_LIMIT {
                        let text = format!("a line is longer than {LINE_LIMIT} bytes");
                        rest = Vec::new();
                        found.push(Err(CoreError::new(
                            ErrorKind::Invalid,
                            "read",
                            subject.clone(),
                            text,
                        )));
                    }
                }
                Some(Err(error)) => found.push(Err(error)),
                None if rest.is_empty() => {}
                None => found.push(Ok(std::mem::take(&mut rest))),
            }
            stream::iter(found)
        })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::TryStreamExt;

    use super::*;

    /// Guards against: a line that lies across two pieces and is read as two.
    #[tokio::test]
    async fn lines_are_whole_wherever_the_pieces_end() {
        let text = b"one\n\ntwo three\nfour";
        for at in 0..=text.len() {
            let pieces = [&text[..at], &text[at..]].map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let body = Body::Stream(stream::iter(pieces).boxed());
            let found: Vec<_> = lines(body, "x").try_collect().await.expect("lines");
            let expected = [&b"one"[..], b"", b"two three", b"four"];
            assert_eq!(found, expected, "cut at {at}");
            let compressed = zstd::encode_all(&text[..], 3).expect("compressed");
            let cut = at.min(compressed.len());
            let pieces = [&compressed[..cut], &compressed[cut..]]
                .map(|piece| Ok(Bytes::copy_from_slice(piece)));
            let body = Body::Stream(stream::iter(pieces).boxed());
            let lines = compressed_lines(body, "x").expect("a decoder");
            let found: Vec<_> = lines.try_collect().await.expect("lines");
            assert_eq!(found, expected, "compressed, cut at {cut}");
        }
    }

    /// Guards against: the end of a long list that is lost in the decoder, and a list that was cut
    /// off and passes for whole.
    #[tokio::test]
    async fn a_long_compressed_list_is_read_to_its_end_or_is_an_error() {
        let all: Vec<String> = (0..40_000).map(|n| format!("line {:x}", n * n)).collect();
        let compressed = zstd::encode_all(all.join("\n").as_bytes(), 1).expect("compressed");
        let read = async |bytes: &[u8]| {
            let pieces: Vec<_> = (bytes.chunks(70_000))
                .map(|piece| Ok(Bytes::copy_from_slice(piece)))
                .collect();
            let body = Body::Stream(stream::iter(pieces).boxed());
            let lines = compressed_lines(body, "x").expect("a decoder");
            lines.try_collect::<Vec<_>>().await
        };
        let found = read(&compressed).await.expect("whole");
        assert!(
            found.iter().eq(all.iter().map(String::as_bytes)),
            "{}",
            found.len()
        );
        for cut in [0, 1, 10, compressed.len() / 2, compressed.len() - 1] {
            assert!(read(&compressed[..cut]).await.is_err(), "cut at {cut}");
        }
        assert!(read(&[&compressed[..], b"more"].concat()).await.is_err());
    }
}
