//! The body of a request, which beats as it moves.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use arc_backup_core::remote::Heartbeat;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// A piece that is handed to the connection at once. It takes the next when it has sent this one:
/// so it must be small enough for the slowest link to take in the time that silence is borne.
const PIECE_BYTES: usize = 64 << 10;

/// A connection that takes the next piece sooner has not waited for the network: it fills buffers
/// of this machine, which a dead network does not hinder. One that is this fast needs no beat
/// before it is done.
const WAITED: Duration = Duration::from_millis(5);

struct WithHeartbeat {
    rest: Bytes,
    beat: Heartbeat,
    last: Option<Instant>,
}

/// A body of these bytes. Making it costs nothing, so that every try has its own.
pub(crate) fn with_heartbeat(bytes: &Bytes, beat: Heartbeat) -> ByteStream {
    let rest = bytes.clone();
    let last = None;
    ByteStream::new(SdkBody::from_body_1_x(WithHeartbeat { rest, beat, last }))
}

impl Body for WithHeartbeat {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let now = Instant::now();
        if (self.last.replace(now)).is_some_and(|last| now - last >= WAITED) {
            self.beat.beat();
        }
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
