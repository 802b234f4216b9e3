//! Bodies that end early or have a bit flipped.

use arc_backup_core::{Body, ByteStream, Result};
use bytes::Bytes;
use futures::{StreamExt, stream};

use super::Fault;

/// `body` of the object `subject`, as the fault makes it.
pub(super) async fn spoiled(fault: Fault, body: Body, subject: &str) -> Result<Body> {
    if !matches!(fault, Fault::ShortRead | Fault::FlipRead) {
        return Ok(body);
    }
    let mut bytes = body.collect(1 << 30, subject).await?;
    if fault == Fault::FlipRead {
        flip(&mut bytes);
    } else {
        bytes.truncate(bytes.len() / 2);
    }
    let pieces: Vec<_> = (bytes.chunks(64 << 10))
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let stream: ByteStream = stream::iter(pieces).boxed();
    Ok(Body::Stream(stream))
}

/// Flips a bit in the middle.
pub(super) fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    if let Some(byte) = bytes.get_mut(middle) {
        *byte ^= 0x10;
    }
}
