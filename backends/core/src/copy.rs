//! Copies of objects from one place to another.

use std::io::Read as _;

use futures::StreamExt;

use crate::{Body, Error, ErrorKind, GetOptions, Key, Result, Sink, WriteOptions};

/// How much of a file is read at once.
const PIECE_BYTES: u64 = 1 << 20;

/// Copies the object `key` of `from` to `to_key` of `to`: within the store where both are in one
/// that can do so, else by reading and writing it. The copy has its modification time and mode,
/// where the sink keeps them.
///
/// # Errors
/// [`ErrorKind::NotFound`] when nothing is at `key`; [`ErrorKind::Changed`] when it has not as many
/// bytes as it should.
pub async fn copy_object(from: &dyn Sink, key: &Key, to: &dyn Sink, to_key: &Key) -> Result<()> {
    if let (Some(source), Some(target)) = (from.server_copy(), to.server_copy()) {
        let address = source.address(key);
        if address.store == target.address(to_key).store {
            match target.copy_from(&address, to_key).await {
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                copied => return copied.map(drop),
            }
        }
    }
    copy_through(from, key, to, to_key).await
}

/// Copies an object by reading and writing it.
pub(crate) async fn copy_through(
    from: &dyn Sink,
    key: &Key,
    to: &dyn Sink,
    to_key: &Key,
) -> Result<()> {
    let object = from.get(key, GetOptions::default()).await?;
    let options = WriteOptions {
        size_hint: Some(object.meta.size),
        modified: object.meta.modified,
        mode: object.meta.mode,
        ..WriteOptions::default()
    };
    let mut upload = to.begin(to_key, options).await?;
    let mut size = 0;
    match object.body {
        Body::File { mut file, len } => {
            let mut left = len;
            while left > 0 {
                let mut piece = Vec::new();
                let count = (&mut file)
                    .take(left.min(PIECE_BYTES))
                    .read_to_end(&mut piece)
                    .map_err(|e| Error::from_io("read", key.as_str(), e))?;
                if count == 0 {
                    break;
                }
                (left, size) = (left - count as u64, size + count as u64);
                upload.write(piece.into()).await?;
            }
        }
        Body::Stream(mut pieces) => {
            while let Some(piece) = pieces.next().await {
                let piece = piece?;
                size += piece.len() as u64;
                upload.write(piece).await?;
            }
        }
    }
    if size != object.meta.size {
        upload.abort().await?;
        let text = format!("it has {size} bytes, not {}", object.meta.size);
        return Err(Error::new(ErrorKind::Changed, "copy", key.as_str(), text));
    }
    upload.commit().await.map(drop)
}
