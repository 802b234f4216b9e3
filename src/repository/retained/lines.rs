//! The lines of an object, as a stream.

use std::io::Write;

use arc_backup_core::{Body, ByteStream, Error as CoreError, ErrorKind};
use futures::{Stream, StreamExt, stream};

/// The longest line that is read, in bytes: that of an inventory.
const LINE_LIMIT: usize = 16 << 10;

/// The lines of `body`, without their ends. What stands behind the last end is a line too.
pub(super) fn lines(
    body: Body,
    subject: &str,
) -> impl Stream<Item = Result<Vec<u8>, CoreError>> + Send + use<> {
    split(crate::pipeline::pieces(body, subject), subject.to_owned())
}

/// The same for a body that is compressed with zstd.
pub(super) fn compressed_lines(
    body: Body,
    subject: &str,
) -> Result<impl Stream<Item = Result<Vec<u8>, CoreError>> + Send + use<>, CoreError> {
    let named = subject.to_owned();
    let broken = move |error: std::io::Error| {
        CoreError::new(ErrorKind::Invalid, "read", named.clone(), error.to_string())
    };
    let mut decoder = zstd::stream::write::Decoder::new(Vec::new()).map_err(&broken)?;
    let pieces = crate::pipeline::pieces(body, subject).map(move |piece| {
        decoder.write_all(&piece?).map_err(&broken)?;
        decoder.flush().map_err(&broken)?;
        Ok(std::mem::take(decoder.get_mut()).into())
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
}
