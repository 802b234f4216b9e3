//! Collecting what is written into parts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::task::JoinHandle;

use super::{Budget, Reservation};
use crate::{Error, ErrorKind, Result};

/// What a store allows, and what is a good part.
#[derive(Debug, Clone)]
pub struct PartLimits {
    /// The size of a part of an object that is not huge. At least what the store takes as the
    /// smallest.
    pub part_bytes: u64,
    /// How many parts an object may have.
    pub most_parts: u64,
    /// How many parts of one object are uploaded at once.
    pub parallel: u64,
}

impl PartLimits {
    /// The size of each part of an object of `size` bytes, such that it fits: doubled until it
    /// does.
    ///
    /// Where the size is not known (`None`), or is wrong, parts keep this size up to
    /// `most_parts` of them.
    #[must_use]
    pub fn part_bytes_for(&self, size: Option<u64>) -> u64 {
        let mut bytes = self.part_bytes.max(1);
        while size.unwrap_or(0).div_ceil(bytes) > self.most_parts {
            bytes = bytes.saturating_mul(2);
        }
        bytes
    }
}

/// Uploads the parts of one object. The implementation begins the object with the first part.
#[async_trait]
pub trait PartSink: Send + Sync + 'static {
    /// Uploads part `number`, counted from 0, with retries. Done once for each number.
    async fn upload(&self, number: u64, bytes: Bytes) -> Result<()>;
}

/// The buffers of one upload: one part is filled while others are on their way.
///
/// An object that fits into one part is never given to the [`PartSink`]: [`Parts::finish`] gives
/// its bytes back, for the store's plain put.
pub struct Parts {
    sink: Arc<dyn PartSink>,
    part_bytes: usize,
    most_parts: u64,
    parallel: usize,
    filling: BytesMut,
    /// The buffer of a part that has arrived: memory that is asked of the system again for each
    /// part costs more than the copy into it.
    spare: Option<BytesMut>,
    sent: u64,
    total: u64,
    on_their_way: FuturesUnordered<JoinHandle<Result<Bytes>>>,
    _reservation: Reservation,
}

/// What [`Parts::finish`] gives.
#[derive(Debug)]
pub enum Collected {
    /// All bytes of an object that fits into one part.
    Small(Bytes),
    /// How many parts were uploaded.
    Parts(u64),
}

impl Parts {
    /// Buffers for an object of about `size_hint` bytes, as soon as `budget` has room for them.
    pub async fn new(
        sink: Arc<dyn PartSink>,
        limits: &PartLimits,
        budget: &Budget,
        size_hint: Option<u64>,
    ) -> Self {
        let part_bytes = limits.part_bytes_for(size_hint);
        // One is filled while the others are on their way; an object of one part needs no more than
        // itself.
        let wanted = part_bytes.saturating_mul(limits.parallel + 1);
        let reservation = budget
            .reserve(size_hint.map_or(wanted, |size| wanted.min(size)))
            .await;
        let parallel = (reservation.bytes() / part_bytes)
            .saturating_sub(1)
            .clamp(1, limits.parallel);
        Self {
            sink,
            // On the machines this runs on, memory is addressed with as many bits as sizes have.
            part_bytes: usize::try_from(part_bytes).unwrap_or(usize::MAX),
            most_parts: limits.most_parts,
            parallel: usize::try_from(parallel).unwrap_or(1),
            filling: BytesMut::new(),
            spare: None,
            sent: 0,
            total: 0,
            on_their_way: FuturesUnordered::new(),
            _reservation: reservation,
        }
    }

    /// How many bytes were written.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Takes bytes; waits while too many parts are on their way.
    ///
    /// # Errors
    /// That of a part that could not be uploaded.
    pub async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        self.total += bytes.len() as u64;
        while !bytes.is_empty() {
            // A full part leaves when more is to come: the last one may be the only one.
            if self.filling.len() == self.part_bytes {
                self.send().await?;
            }
            let room = self.part_bytes - self.filling.len();
            if self.filling.is_empty()
                && let Some(spare) = self.spare.take()
            {
                self.filling = spare;
            }
            if self.filling.is_empty() && bytes.len() > 64 << 10 {
                self.filling.reserve(self.part_bytes.min(room));
            }
            self.filling
                .extend_from_slice(&bytes.split_to(room.min(bytes.len())));
        }
        Ok(())
    }

    async fn send(&mut self) -> Result<()> {
        while self.on_their_way.len() >= self.parallel {
            self.one_arrives().await?;
        }
        if self.sent >= self.most_parts {
            return Err(Error::new(
                ErrorKind::Invalid,
                "write",
                "an object",
                format!("it has more than {} parts", self.most_parts),
            ));
        }
        let (sink, number) = (self.sink.clone(), self.sent);
        let bytes = std::mem::take(&mut self.filling).freeze();
        self.sent += 1;
        self.on_their_way.push(tokio::spawn(async move {
            sink.upload(number, bytes.clone()).await.map(|()| bytes)
        }));
        Ok(())
    }

    async fn one_arrives(&mut self) -> Result<()> {
        match self.on_their_way.next().await {
            Some(Ok(outcome)) => {
                if let Ok(mut buffer) = outcome?.try_into_mut() {
                    buffer.clear();
                    self.spare = Some(buffer);
                }
                Ok(())
            }
            Some(Err(error)) => Err(Error::new(
                ErrorKind::Other,
                "write",
                "a part",
                error.to_string(),
            )),
            None => Ok(()),
        }
    }

    /// Uploads what is left and waits for all parts.
    ///
    /// # Errors
    /// That of a part that could not be uploaded.
    pub async fn finish(&mut self) -> Result<Collected> {
        if self.sent == 0 {
            return Ok(Collected::Small(std::mem::take(&mut self.filling).freeze()));
        }
        if !self.filling.is_empty() {
            self.send().await?;
        }
        while !self.on_their_way.is_empty() {
            self.one_arrives().await?;
        }
        Ok(Collected::Parts(self.sent))
    }

    /// Ends the parts that are on their way, and returns when none is: only then can the store's
    /// upload be aborted for good.
    pub async fn stop(&mut self) {
        for part in &self.on_their_way {
            part.abort();
        }
        while self.on_their_way.next().await.is_some() {}
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        for part in &self.on_their_way {
            part.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<BTreeMap<u64, Bytes>>);

    #[async_trait]
    impl PartSink for Kept {
        async fn upload(&self, number: u64, bytes: Bytes) -> Result<()> {
            tokio::task::yield_now().await;
            let before = self.0.lock().expect("no panic").insert(number, bytes);
            assert!(before.is_none(), "part {number} comes twice");
            Ok(())
        }
    }

    const LIMITS: PartLimits = PartLimits {
        part_bytes: 100,
        most_parts: 10_000,
        parallel: 4,
    };

    /// Parts joined are what was written, whatever the pieces; only the last is shorter.
    #[tokio::test]
    async fn parts_are_whole() {
        for (len, piece) in [
            (0_usize, 1),
            (100, 7),
            (101, 7),
            (1000, 1000),
            (12_345, 333),
        ] {
            let kept = Arc::new(Kept::default());
            let budget = Budget::new(1 << 20);
            let bytes: Bytes = (0..len).map(|n| (n % 251) as u8).collect();
            let mut parts = Parts::new(kept.clone(), &LIMITS, &budget, Some(len as u64)).await;
            for piece in bytes.chunks(piece) {
                let piece = Bytes::copy_from_slice(piece);
                parts.write(piece).await.expect("it is taken");
            }
            match parts.finish().await.expect("all arrive") {
                Collected::Small(small) => {
                    assert!(len <= 100 && small == bytes, "{len} bytes come as one part");
                }
                Collected::Parts(count) => {
                    let kept = kept.0.lock().expect("no panic");
                    assert_eq!((count, kept.len()), (count, len.div_ceil(100)));
                    let joined: Vec<u8> = kept.values().flatten().copied().collect();
                    assert!(joined == bytes, "{len} bytes come changed");
                    assert!(kept.values().rev().skip(1).all(|part| part.len() == 100));
                }
            }
        }
    }

    #[test]
    fn a_part_grows_until_any_size_fits() {
        assert_eq!(LIMITS.part_bytes_for(None), 100);
        assert_eq!(LIMITS.part_bytes_for(Some(1_000_000)), 100);
        assert_eq!(LIMITS.part_bytes_for(Some(1_000_001)), 200);
        let huge = LIMITS.part_bytes_for(Some(u64::MAX));
        assert!(u64::MAX.div_ceil(huge) <= LIMITS.most_parts);
    }
}
