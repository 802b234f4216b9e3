//! Bytes of a backup on their way out, compared with the inventory.

use arc_backup_core::{Body, ByteStream, Digest, Hasher};
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use crate::{Error, Result};

/// What the bytes must be.
pub(crate) struct Expected {
    /// The backup, for messages.
    pub(crate) id: String,
    /// The file, for messages.
    pub(crate) path: String,
    /// How many they are.
    pub(crate) size: u64,
    /// Their digest; `None` where it is not known, or they are a part of the file.
    pub(crate) sha256: Option<Digest>,
}

/// The pieces of `body`. The last one comes only when all of them are what was expected, so whoever
/// reads a damaged file never gets all of it.
pub(crate) fn verified(body: Body, expected: Expected) -> BoxStream<'static, Result<Bytes>> {
    let check = Check {
        pieces: crate::pipeline::pieces(body, &expected.path),
        hasher: expected.sha256.map(|_| Hasher::new()),
        held_back: None,
        count: 0,
        expected,
    };
    stream::try_unfold(Some(check), |check| async move {
        let Some(mut check) = check else {
            return Ok(None);
        };
        loop {
            let Some(piece) = check.pieces.next().await else {
                let last = check.held_back.take();
                check.finish()?;
                return Ok(last.map(|last| (last, None)));
            };
            let piece = piece?;
            check.count += piece.len() as u64;
            if check.count > check.expected.size {
                return Err(check.wrong_size("more than"));
            }
            if let Some(hasher) = &mut check.hasher {
                hasher.update(&piece);
            }
            if let Some(before) = check.held_back.replace(piece) {
                return Ok(Some((before, Some(check))));
            }
        }
    })
    .boxed()
}

struct Check {
    pieces: ByteStream,
    hasher: Option<Hasher>,
    held_back: Option<Bytes>,
    count: u64,
    expected: Expected,
}

impl Check {
    fn finish(mut self) -> Result<()> {
        if self.count != self.expected.size {
            return Err(self.wrong_size("fewer than"));
        }
        let found = self.hasher.take().map(Hasher::finish);
        match (found, self.expected.sha256) {
            (Some(found), Some(expected)) if found != expected => Err(self.damaged(format!(
                "has the SHA-256 {found}, and the inventory says {expected}"
            ))),
            _ => Ok(()),
        }
    }

    fn wrong_size(&self, how: &str) -> Error {
        self.damaged(format!(
            "has {how} the {} bytes expected",
            self.expected.size
        ))
    }

    fn damaged(&self, what: String) -> Error {
        let Expected { id, path, .. } = &self.expected;
        Error::Damaged {
            id: id.clone(),
            detail: format!("`{path}` {what}; `arc-backup verify {id}` names every fault"),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    async fn read(pieces: &[&'static [u8]], size: u64, of: &[u8]) -> (Vec<u8>, Result<()>) {
        let body = stream::iter(pieces.to_vec()).map(|piece| Ok(Bytes::from_static(piece)));
        let expected = Expected {
            id: "backup-20260211-143022-a1b2c3d4".to_owned(),
            path: "data/a".to_owned(),
            size,
            sha256: Some(Digest::of(of)),
        };
        let mut read = Vec::new();
        let mut pieces = verified(Body::Stream(body.boxed()), expected);
        loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => read.extend_from_slice(&piece),
                Ok(None) => return (read, Ok(())),
                Err(error) => return (read, Err(error)),
            }
        }
    }

    /// Guards against: a damaged file that a client takes for whole.
    #[tokio::test]
    async fn the_last_piece_comes_only_if_all_are_right() {
        let (whole, ended) = read(&[b"ab", b"cd"], 4, b"abcd").await;
        assert!(whole == b"abcd" && ended.is_ok());
        let (empty, ended) = read(&[], 0, b"").await;
        assert!(empty.is_empty() && ended.is_ok());
        for (pieces, size, of, named) in [
            (&[&b"ab"[..], b"cx"][..], 4, &b"abcd"[..], "SHA-256"),
            (&[b"ab"], 4, b"abcd", "fewer"),
            (&[b"ab", b"cd", b"e"], 4, b"abcd", "more"),
            (&[b"x"], 0, b"", "more"),
            (&[], 4, b"abcd", "fewer"),
        ] {
            let (got, ended) = read(pieces, size, of).await;
            let error = ended.expect_err("a fault").to_string();
            assert!(
                error.contains(named) && error.contains("`data/a`"),
                "{error}"
            );
            assert!((got.len() as u64) < size.max(1), "{got:?}");
        }
    }
}
