//! Copying entries.

use std::fs::File;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use arc_backup_core::{
    BlockingJob, Body, ByteStream, Digest, Entry, EntryStream, Error, ErrorKind, Hasher, InOrder,
    Key, Upload,
};
use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, stream};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fault::CopyFault;
use super::inspect::{Findings, Inspect, Inspector};
use super::pieces::{PIECE_BYTES, file_pieces, pieces};
use super::progress::{Progress, UnderWay};

/// How long an upload that is given up is waited for.
const ABORT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a cancelled copy waits for what it has begun to end: the last request of an upload, or
/// its abort.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a file is copied whose bytes were damaged on the way. Requests are repeated below
/// this, in the sinks.
const MAX_ATTEMPTS: u32 = 3;

/// Where entries are read from.
#[async_trait]
pub trait Reader: Send + Sync {
    /// Opens `entry`.
    async fn open(&self, entry: &Entry) -> Result<Body, Error>;

    /// Opens it again, after its bytes were wrong or broke off. A reader with checksums of its own
    /// uses them then: they show damage on the way, and not damage in the store.
    ///
    /// The default opens it as before.
    async fn open_again(&self, entry: &Entry) -> Result<Body, Error> {
        self.open(entry).await
    }
}

/// Where entries are written to.
#[async_trait]
pub trait Writer: Send + Sync {
    /// Begins to write `entry`; `None` where its bytes are only to be read and hashed.
    async fn begin(&self, entry: &Entry) -> Result<Option<Box<dyn Upload>>, Error>;
}

/// What is the same for every entry of one copy.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Counts what is done.
    pub progress: Arc<Progress>,
    /// Ends the copy.
    pub cancel: CancellationToken,
    /// How many entries are copied at once.
    pub concurrency: usize,
    /// Looks at the bytes as they pass by.
    pub inspect: Inspect,
}

/// What became of one entry.
#[derive(Debug)]
pub struct Outcome {
    /// The entry; after a copy that went well with the digest of its bytes, and what was found in
    /// them.
    pub entry: Entry,
    /// The entity tag of the written object, where the writer gives one.
    pub stored: Option<String>,
    /// What went wrong.
    pub fault: Option<CopyFault>,
}

/// The bytes of an entry, once all of them were moved.
struct Moved {
    digest: Digest,
    /// `None` where nothing looked at it.
    findings: Option<Findings>,
}

/// The copies of a [`Plan`], as they end.
///
/// Whatever is waited for between two outcomes goes through [`beside`](Copies::beside): the copies
/// may hold what it needs.
pub struct Copies<'a> {
    outcomes: InOrder<'a, BoxFuture<'a, Result<Outcome, Error>>>,
    cancel: CancellationToken,
    _ends_with_this: DropGuard,
}

impl Copies<'_> {
    /// The next outcome, in the order of the entries; `None` when all have been given.
    pub async fn next(&mut self) -> Option<Result<Outcome, Error>> {
        self.outcomes.next().await
    }

    /// Waits for `future`, while the copies go on.
    pub async fn beside<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.outcomes.beside(future).await
    }

    /// Ends the copies, and returns when nothing of them is under way any more: only then can be
    /// cleaned up.
    pub async fn stop(mut self) {
        self.cancel.cancel();
        while self.next().await.is_some() {}
    }
}

impl Plan {
    /// Copies `entries`; outcomes come in the same order. An error of the listing itself ends it.
    /// Dropping the copies ends those that are under way.
    pub fn run<'a>(
        &'a self,
        entries: EntryStream<'a>,
        reader: &'a dyn Reader,
        writer: &'a dyn Writer,
    ) -> Copies<'a> {
        let cancel = self.cancel.child_token();
        let token = cancel.clone();
        let listed = cancel.clone().cancelled_owned();
        // What is not begun any more must not look as if it were done.
        let cut_short = cancel.clone();
        let end = stream::once(async move { cut_short.is_cancelled() }).filter_map(async |cut| {
            let error = || Error::new(ErrorKind::Cancelled, "copy", "the rest", "cancelled");
            cut.then(|| Err(error()))
        });
        let copies = entries.take_until(listed).chain(end).map(move |entry| {
            let cancel = token.clone();
            async move {
                let mut entry = entry?;
                let (stored, fault) = match self.copy(&entry, reader, writer, &cancel).await {
                    Ok((moved, stored)) => {
                        entry.sha256 = Some(moved.digest);
                        if let Some(findings) = moved.findings {
                            (entry.rows, entry.damage) = (findings.rows, findings.damage);
                        }
                        self.progress.add_files(1);
                        (stored, None)
                    }
                    Err(fault) => (None, Some(fault)),
                };
                Ok(Outcome {
                    entry,
                    stored,
                    fault,
                })
            }
            .boxed()
        });
        Copies {
            outcomes: InOrder::new(copies, self.concurrency),
            _ends_with_this: cancel.clone().drop_guard(),
            cancel,
        }
    }

    /// Copies one entry; once more where bytes were damaged or broke off on the way, as only the
    /// whole shows.
    async fn copy(
        &self,
        entry: &Entry,
        reader: &dyn Reader,
        writer: &dyn Writer,
        cancel: &CancellationToken,
    ) -> Result<(Moved, Option<String>), CopyFault> {
        let mut attempt = 1;
        let mut wrong = None;
        let under_way = self.progress.begin(&entry.key);
        loop {
            let counted = Arc::new(AtomicU64::new(0));
            under_way.step("opening it");
            let opened = match attempt {
                1 => reader.open(entry),
                _ => reader.open_again(entry),
            };
            let copied = match or_cancelled(cancel, opened).await? {
                Ok(body) => {
                    let copied = self.copy_once(entry, body, writer, cancel, &counted, &under_way);
                    copied.await
                }
                Err(error) => Err(CopyFault::Read(error)),
            };
            let fault = match copied {
                Ok(copied) => return Ok(copied),
                Err(fault) => fault,
            };
            self.progress.take_back(counted.load(Ordering::Relaxed));
            if attempt == MAX_ATTEMPTS || !fault.may_heal() {
                return Err(fault);
            }
            if let CopyFault::Checksum { found, .. } = fault {
                // The same wrong bytes again are those that are kept there.
                if wrong.replace(found) == Some(found) {
                    return Err(fault);
                }
            }
            attempt += 1;
            tracing::warn!(key = %entry.key, %fault, "reading it again");
        }
    }

    async fn copy_once(
        &self,
        entry: &Entry,
        body: Body,
        writer: &dyn Writer,
        cancel: &CancellationToken,
        counted: &Arc<AtomicU64>,
        under_way: &UnderWay<'_>,
    ) -> Result<(Moved, Option<String>), CopyFault> {
        let was = match &body {
            Body::File { file, .. } => stamp(file),
            Body::Stream(_) => None,
        };
        under_way.step("beginning to write it");
        let begun = or_cancelled(cancel, writer.begin(entry)).await?;
        let mut upload = begun.map_err(CopyFault::Write)?;
        under_way.step("moving its bytes");
        let transfer = self.transfer(entry, (body, was), upload.as_mut(), cancel, counted);
        let copied = match or_cancelled(cancel, transfer).await.flatten() {
            Ok((size, _)) if size != entry.size => Err(CopyFault::Size {
                key: entry.key.to_string(),
                expected: entry.size,
                found: size,
            }),
            Ok((_, moved)) => match entry.sha256 {
                Some(expected) if expected != moved.digest => Err(CopyFault::Checksum {
                    key: entry.key.to_string(),
                    expected,
                    found: moved.digest,
                }),
                _ => Ok(moved),
            },
            Err(fault) => Err(fault),
        };
        match (copied, upload) {
            (Ok(moved), Some(upload)) => {
                under_way.step("finishing it");
                // What the store does this moment is worth a moment's waiting; and, where only this
                // copy's neighbours failed, all of it.
                let ends = async {
                    self.cancel.cancelled().await;
                    tokio::time::sleep(END_TIMEOUT).await;
                };
                let meta = tokio::select! {
                    biased;
                    committed = upload.commit() => committed.map_err(CopyFault::Write)?,
                    () = ends => return Err(CopyFault::Cancelled),
                };
                Ok((moved, meta.etag))
            }
            (Err(fault), Some(upload)) => {
                under_way.step("giving it up");
                let timeout = match fault {
                    CopyFault::Cancelled => END_TIMEOUT,
                    _ => ABORT_TIMEOUT,
                };
                // The first fault is the one to report; a network that is dead is not waited for
                // once more.
                let _ = tokio::time::timeout(timeout, upload.abort()).await;
                Err(fault)
            }
            (copied, None) => copied.map(|moved| (moved, None)),
        }
    }

    async fn transfer(
        &self,
        entry: &Entry,
        (body, was): (Body, Option<Stamp>),
        mut upload: Option<&mut Box<dyn Upload>>,
        cancel: &CancellationToken,
        counted: &Arc<AtomicU64>,
    ) -> Result<(u64, Moved), CopyFault> {
        if let Body::File { file, .. } = body {
            let target = match upload
                .as_mut()
                .map(|upload| upload.local_file())
                .transpose()
            {
                Ok(target) => target.flatten(),
                Err(error) => return Err(CopyFault::Write(error)),
            };
            if target.is_some() || upload.is_none() {
                let (size, key) = (entry.size, entry.key.to_string());
                let (progress, counted, cancel) =
                    (self.progress.clone(), counted.clone(), cancel.clone());
                let job = BlockingJob::begin();
                let inspector = (self.inspect)(entry);
                return tokio::task::spawn_blocking(move || {
                    let _job = job;
                    let copying = FileCopy {
                        key: &key,
                        expected: size,
                        progress: &progress,
                        counted: &counted,
                        cancel: &cancel,
                    };
                    let copied = copying.run(&file, target, inspector)?;
                    check_unchanged(&file, was, &key)?;
                    Ok(copied)
                })
                .await
                .map_err(|e| {
                    let key = entry.key.as_str();
                    CopyFault::Read(Error::new(ErrorKind::Other, "copy", key, e.to_string()))
                })?;
            }
            let watched = file
                .try_clone()
                .map_err(|e| CopyFault::Read(Error::from_io("read", entry.key.as_str(), e)))?;
            let pieces = file_pieces(file, entry.size.saturating_add(1), entry.key.to_string());
            let copied = self.stream(entry, pieces, upload, counted).await?;
            check_unchanged(&watched, was, &entry.key)?;
            return Ok(copied);
        }
        self.stream(entry, pieces(body, &entry.key), upload, counted)
            .await
    }

    async fn stream(
        &self,
        entry: &Entry,
        mut pieces: ByteStream,
        mut upload: Option<&mut Box<dyn Upload>>,
        counted: &AtomicU64,
    ) -> Result<(u64, Moved), CopyFault> {
        let mut hasher = Hasher::new();
        let mut inspector = (self.inspect)(entry);
        let mut size = 0;
        while let Some(piece) = pieces.next().await {
            let piece = piece.map_err(CopyFault::Read)?;
            size += piece.len() as u64;
            if size > entry.size {
                break;
            }
            hasher.update(&piece);
            if let Some(inspector) = &mut inspector {
                inspector.take(&piece);
            }
            self.progress.add_bytes(piece.len() as u64);
            counted.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if let Some(upload) = upload.as_mut() {
                upload.write(piece).await.map_err(CopyFault::Write)?;
            }
        }
        let digest = hasher.finish();
        let findings = match inspector {
            Some(inspector) if size == entry.size => Some(finished(inspector, &entry.key).await?),
            _ => None,
        };
        Ok((size, Moved { digest, findings }))
    }
}

/// What the bytes have shown, without keeping other copies waiting.
async fn finished(inspector: Box<dyn Inspector>, key: &Key) -> Result<Findings, CopyFault> {
    if inspector.is_quick() {
        return Ok(inspector.finish());
    }
    let job = BlockingJob::begin();
    let finished = tokio::task::spawn_blocking(move || {
        let _job = job;
        inspector.finish()
    });
    finished.await.map_err(|e| {
        let error = Error::new(ErrorKind::Other, "inspect", key.as_str(), e.to_string());
        CopyFault::Read(error)
    })
}

/// What `work` gives, or that it was cancelled before: it is dropped then.
async fn or_cancelled<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = T>,
) -> Result<T, CopyFault> {
    tokio::select! {
        biased;
        () = cancel.cancelled() => Err(CopyFault::Cancelled),
        done = work => Ok(done),
    }
}

type Stamp = (u64, SystemTime);

fn stamp(file: &File) -> Option<Stamp> {
    let meta = file.metadata().ok()?;
    Some((meta.len(), meta.modified().ok()?))
}

/// Fails when an open file was rewritten in place since it was `was`: the bytes read are
/// neither the old file nor the new one, and where it has as many bytes, nothing else shows that.
fn check_unchanged(file: &File, was: Option<Stamp>, key: &str) -> Result<(), CopyFault> {
    if was.is_none() || stamp(file) == was {
        return Ok(());
    }
    let text = "it was changed while it was read";
    let error = Error::new(ErrorKind::Changed, "read", key, text);
    Err(CopyFault::Read(error))
}

/// Copies an open file on one thread: a hop between threads for each piece costs more than the
/// piece.
struct FileCopy<'a> {
    key: &'a str,
    /// The size that the file should have.
    expected: u64,
    progress: &'a Progress,
    counted: &'a AtomicU64,
    cancel: &'a CancellationToken,
}

impl FileCopy<'_> {
    fn run(
        &self,
        mut from: &File,
        mut to: Option<File>,
        mut inspector: Option<Box<dyn Inspector>>,
    ) -> Result<(u64, Moved), CopyFault> {
        let mut hasher = Hasher::new();
        // No larger than the file: most of Arc's are a few KiB.
        let whole = usize::try_from(self.expected.saturating_add(1)).unwrap_or(PIECE_BYTES);
        let mut buffer = vec![0; whole.min(PIECE_BYTES)];
        let mut size = 0;
        loop {
            if self.cancel.is_cancelled() {
                return Err(CopyFault::Cancelled);
            }
            let count = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(CopyFault::Read(Error::from_io("read", self.key, error))),
            };
            size += count as u64;
            if size > self.expected {
                break;
            }
            hasher.update(&buffer[..count]);
            if let Some(inspector) = &mut inspector {
                inspector.take(&buffer[..count]);
            }
            self.progress.add_bytes(count as u64);
            self.counted.fetch_add(count as u64, Ordering::Relaxed);
            if let Some(to) = &mut to {
                to.write_all(&buffer[..count])
                    .map_err(|e| CopyFault::Write(Error::from_io("write", self.key, e)))?;
            }
        }
        let digest = hasher.finish();
        let whole = inspector.filter(|_| size == self.expected);
        let findings = whole.map(Inspector::finish);
        Ok((size, Moved { digest, findings }))
    }
}

#[cfg(test)]
mod tests;
