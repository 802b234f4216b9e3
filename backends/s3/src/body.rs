//! The body of a request, which beats as it moves.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use arc_backup_core::remote::Beat;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A piece that is handed to the connection at once. It takes the next when it has sent this one, which is the sign
/// that bytes move: so it must be small enough for the slowest link to take in the time that silence is borne.
const PIECE_BYTES: usize = 64 << 10;

struct Beating {
    rest: Bytes,
    beat: Beat,
}

/// A body of these bytes. Making it costs nothing, so that every try has its own.
pub(crate) fn beating(bytes: &Bytes, beat: Beat) -> ByteStream {
    let rest = bytes.clone();
    ByteStream::new(SdkBody::from_body_1_x(Beating { rest, beat }))
}

impl Body for Beating {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        self.beat.beat();
        let len = self.rest.len().min(PIECE_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(len)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
