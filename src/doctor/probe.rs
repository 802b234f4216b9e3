//! One storage: each right that is needed, tried with an object of the check's own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use arc_backup_core::{
    Digest, Discard, Discarded, Error, ErrorKind, GetOptions, Key, ListOptions, LockOutcome, Meta,
    Result, Sink, WriteOptions,
};
use bytes::Bytes;
use futures::StreamExt;
use indicatif::HumanBytes;

use super::check::Check;
use super::explain::explain;
use crate::config::Backends;
use crate::repository::Repository;

/// How far this machine's clock may be from the store's. S3 refuses requests at 15 minutes.
const SKEW_LIMIT: Duration = Duration::from_secs(60);
/// The timeout of each part of the checks.
const PROBE_TIMEOUT: Duration = Duration::from_secs(90);
/// The object that throughput is measured with.
const MEASURED_BYTES: usize = 8 << 20;
/// How many small requests latency is measured with.
const MEASURED_REQUESTS: usize = 5;

/// The state of a target whose keys may not delete anything.
const APPEND_ONLY: &str = "append-only";
const APPEND_ONLY_MEANS: &str = "append-only: these credentials may not delete. Backups, lists, verifications and restores work; \
    delete, prune and sweep do not, and leftovers stay (docs/storage.md)";

/// The state of Arc's data where it can only be read.
const READ_ONLY: &str = "read-only";
const READ_ONLY_MEANS: &str = "read-only: backups work, a restore to this place does not";
const READ_ONLY_REMEDY: &str =
    "for restores, mount it writable, or grant the right to write; backups need neither";

/// The name of an object that the checks write.
fn probe(suffix: &str) -> Key {
    Key::parse(&format!(".arc-backup/probe-{suffix}")).expect("a fixed form")
}

pub(super) struct Probe<'a> {
    subject: &'a str,
    table: &'a str,
    backends: &'a Backends,
    sink: &'a Arc<dyn Sink>,
    repository: Option<&'a Repository>,
    checks: std::sync::Mutex<Vec<Check>>,
    /// Whether this is Arc's data, and it can only be read.
    is_read_only: AtomicBool,
}

impl<'a> Probe<'a> {
    pub(super) fn new(
        subject: &'a str,
        table: &'a str,
        backends: &'a Backends,
        sink: &'a Arc<dyn Sink>,
        repository: Option<&'a Repository>,
    ) -> Self {
        Self {
            subject,
            table,
            backends,
            sink,
            repository,
            checks: std::sync::Mutex::default(),
            is_read_only: AtomicBool::new(false),
        }
    }

    fn is_read_only(&self) -> bool {
        self.is_read_only.load(Ordering::Relaxed)
    }

    fn push(&self, check: Check) {
        self.checks
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .push(check);
    }

    fn record<T>(
        &self,
        check: &str,
        outcome: Result<T>,
        detail: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match outcome {
            Ok(value) => {
                self.push(Check::good(self.subject, check, detail(&value)));
                Some(value)
            }
            Err(error) => {
                let failed = Check::failed(self.backends, self.subject, check, self.table, &error);
                self.push(failed);
                None
            }
        }
    }

    pub(super) async fn run(self) -> Vec<Check> {
        let suffix = match crate::random::random_hex::<8>() {
            Ok(hex) => hex,
            Err(error) => return vec![Check::bad(self.subject, "reach", error.to_string())],
        };
        if let Some(proxy) = self.sink.properties().proxy {
            let text = format!("requests go through {proxy}, by the environment (docs/storage.md)");
            self.push(Check::good(self.subject, "proxy", text));
        }
        let reached = self.within("reach", self.list()).await;
        if reached == Some(true) {
            let append_only =
                self.within("delete", self.is_append_only(&suffix)).await == Some(true);
            let suffix = if append_only { APPEND_ONLY } else { &*suffix };
            let (small, copy) = (probe(suffix), probe(&format!("{suffix}-copy")));
            // Probes that cannot be deleted are small, and always the same.
            let large = (!append_only).then(|| probe(&format!("{suffix}-large")));
            let lock = probe(&format!("{suffix}-lock"));
            self.within("reach", self.objects(&small, &copy, large.as_ref()))
                .await;
            if !self.is_read_only() {
                self.within("reach", self.file_system(&small, &lock)).await;
            }
            if self.is_read_only() {
                // No probe was written, and none could be removed.
            } else if append_only {
                let check = Check::warn(self.subject, "delete", APPEND_ONLY_MEANS);
                self.push(check.in_state(APPEND_ONLY));
            } else {
                let probes = [small.clone(), copy, lock].into_iter().chain(large);
                let probes: Vec<_> = probes.collect();
                // Whether or not the checks before have passed.
                self.within("delete", self.remove(&probes)).await;
            }
            if !self.is_read_only() {
                let uploads = self.uploads(&small);
                self.within("unfinished uploads", uploads).await;
            }
            if self.sink.properties().keeps_deleted {
                self.push(Check::good(
                    self.subject,
                    "versions",
                    "are kept: what is deleted or replaced takes room until a lifecycle rule removes it (docs/storage.md)",
                ));
            }
        }
        self.checks
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A store that hangs, or is very slow, must not hang the doctor.
    async fn within<T>(&self, check: &str, work: impl Future<Output = T>) -> Option<T> {
        match tokio::time::timeout(PROBE_TIMEOUT, work).await {
            Ok(value) => Some(value),
            Err(_) => {
                let text = format!("timed out after {} s", PROBE_TIMEOUT.as_secs());
                self.push(Check::bad(self.subject, check, text).look_at(
                    self.table,
                    "check that the store runs and how it is reached from here: it is very slow, or does not answer",
                ));
                None
            }
        }
    }

    /// Whether the credentials of a target may not delete anything. For Arc's data that is a fault:
    /// a restore needs the right to delete.
    async fn is_append_only(&self, suffix: &str) -> bool {
        // A deletion of an absent object needs the same right.
        self.repository.is_some()
            && (self.sink.delete(&[probe(suffix)]).await)
                .is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    }

    /// The rights of a sweep: to find and abort unfinished uploads.
    async fn uploads(&self, key: &Key) {
        let found = self
            .sink
            .discard_unfinished(Some(key), Discard::Remove)
            .await;
        let found = found.and_then(Discarded::whole);
        self.record("unfinished uploads", found, |_| {
            "can be found and aborted".to_owned()
        });
    }

    /// Whether the place can be listed at all; otherwise every other check would fail for the same
    /// reason.
    async fn list(&self) -> bool {
        let begun = Instant::now();
        if let Some(root) = self.sink.properties().local_path
            && self.repository.is_none()
            && !root.is_dir()
        {
            let text = format!("{} is not a folder", root.display());
            self.push(Check::bad(self.subject, "list", text).look_at(
                "storage.local_path",
                "mount its volume, or run in Arc's working directory (-C)",
            ));
            return false;
        }
        let listing = self.sink.list(ListOptions::default());
        // Single places that cannot be listed are found by the check `read`.
        let first = listing.filter(|row| {
            let is_of_one_place = matches!(row, Err(error) if error.is_of_one_place());
            std::future::ready(self.repository.is_some() || !is_of_one_place)
        });
        let first = std::pin::pin!(first).next().await;
        let outcome = first.transpose().map(|_| ());
        self.record("list", outcome, |()| {
            format!("{}, {:.1?}", self.sink.location(), begun.elapsed())
        })
        .is_some()
    }

    async fn objects(&self, small: &Key, copy: &Key, large: Option<&Key>) {
        let bytes = noise(4096);
        let put = self.put(small, &bytes, false).await;
        if self.repository.is_none()
            && let Err(error) = &put
            && error.kind() == ErrorKind::PermissionDenied
            && error.remedy().is_none()
        {
            let text = format!("{READ_ONLY_MEANS}: {error}");
            let (setting, _) = explain(self.backends, self.table, error);
            let check = Check::warn(self.subject, "put", text).look_at(setting, READ_ONLY_REMEDY);
            self.push(check.in_state(READ_ONLY));
            self.is_read_only.store(true, Ordering::Relaxed);
            return;
        }
        let Some(meta) = self.record("put", put, |_| "an object of 4 KiB".to_owned()) else {
            return;
        };
        let head = self.sink.head(small).await.and_then(|found| {
            found.ok_or_else(|| {
                fault(
                    ErrorKind::NotFound,
                    "read",
                    small,
                    "it is missing although it was written",
                )
            })
        });
        if let Some(meta) = self.record("head", head, |meta| format!("{} bytes", meta.size)) {
            self.clock(&meta);
        }
        let whole = self.get(small, GetOptions::default(), &bytes).await;
        self.record("get", whole, |()| "the same bytes came back".to_owned());
        let range = GetOptions {
            range: Some(1000..3000),
            ..GetOptions::default()
        };
        let part = self.get(small, range, &bytes[1000..3000]).await;
        self.record("range", part, |()| "a part of it came back".to_owned());
        self.conditions(small, &meta, &bytes).await;
        if let Some(copies) = self.sink.server_copy() {
            let copied = copies.copy_from(&copies.address(small), copy).await;
            self.record("copy", copied, |_| "within the store".to_owned());
        }
        self.measure(small, large).await;
    }

    /// Features that a file system may lack: locks, which a backup needs, and modes and times,
    /// which it does not.
    async fn file_system(&self, small: &Key, lock: &Key) {
        if !self.sink.properties().keeps_attributes {
            return;
        }
        if self.repository.is_some() {
            let held = match self.sink.lock(lock, "doctor").await {
                Ok(LockOutcome::Held(guard)) => guard.release().await,
                Ok(LockOutcome::Busy(_)) => Ok(()),
                Err(error) => Err(error),
            };
            self.record("lock", held, |()| {
                "two operations cannot run at once".to_owned()
            });
        }
        let wanted = SystemTime::UNIX_EPOCH + Duration::new(1_234_567_890, 123_456_789);
        let outcome = async {
            let options = WriteOptions {
                modified: Some(wanted),
                mode: Some(0o640),
                ..WriteOptions::default()
            };
            self.sink.begin(small, options).await?.commit().await?;
            self.sink.head(small).await
        };
        let Ok(Some(meta)) = outcome.await else {
            // An earlier check has reported that nothing can be written.
            return;
        };
        let lacks: Vec<_> = [
            (meta.modified == Some(wanted), "modification times"),
            (meta.mode == Some(0o640), "modes"),
        ]
        .into_iter()
        .filter_map(|(is_kept, what)| (!is_kept).then_some(what))
        .collect();
        let text = match &lacks[..] {
            [] => "modes and modification times are kept".to_owned(),
            lacks => format!(
                "it keeps no {}: those in the backup's inventory count",
                lacks.join(" and no ")
            ),
        };
        self.push(Check::good(self.subject, "attributes", text));
    }

    async fn conditions(&self, key: &Key, meta: &Meta, bytes: &[u8]) {
        let matching = |etag: Option<String>| GetOptions {
            if_match: etag,
            ..GetOptions::default()
        };
        let outcome = async {
            self.get(key, matching(meta.etag.clone()), bytes).await?;
            // A store that ignores the condition would return a changed file in place of the listed
            // one.
            match self
                .get(key, matching(Some("0123456789abcdef".to_owned())), bytes)
                .await
            {
                Err(error) if error.kind() == ErrorKind::Changed => Ok(()),
                Err(error) => Err(error),
                Ok(()) => Err(fault(
                    ErrorKind::Unsupported,
                    "read",
                    key,
                    "the store ignores If-Match",
                )),
            }
        };
        self.record("conditional get", outcome.await, |()| {
            "another version is refused".to_owned()
        });
        let outcome = match self.put(key, bytes, true).await {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(fault(
                ErrorKind::Unsupported,
                "write",
                key,
                "the store ignores If-None-Match: two writers could hold one lock",
            )),
        };
        self.record("conditional put", outcome, |()| {
            "what exists is not overwritten".to_owned()
        });
    }

    fn clock(&self, meta: &Meta) {
        let (Some(theirs), false) = (meta.modified, self.sink.properties().shares_clock) else {
            return;
        };
        let ours = SystemTime::now();
        let skew = ours
            .duration_since(theirs)
            .unwrap_or_else(|error| error.duration());
        let text = format!("{skew:.0?} from the store's");
        self.push(if skew <= SKEW_LIMIT {
            Check::good(self.subject, "clock", text)
        } else {
            Check::bad(self.subject, "clock", text).look_at(
                self.table,
                "set this machine's clock (NTP): signatures are refused when it is far off",
            )
        });
    }

    async fn measure(&self, small: &Key, large: Option<&Key>) {
        let outcome = async {
            let mut times = Vec::new();
            for _ in 0..MEASURED_REQUESTS {
                let begun = Instant::now();
                self.sink.head(small).await?;
                times.push(begun.elapsed());
            }
            times.sort_unstable();
            let Some(large) = large else {
                return Ok((times[times.len() / 2], None));
            };
            let bytes = noise(MEASURED_BYTES);
            let begun = Instant::now();
            self.put(large, &bytes, false).await?;
            let up = begun.elapsed();
            let begun = Instant::now();
            self.get(large, GetOptions::default(), &bytes).await?;
            let rates = Some((rate(up), rate(begun.elapsed())));
            Ok((times[times.len() / 2], rates))
        };
        self.record("speed", outcome.await, |(latency, rates)| match rates {
            Some((up, down)) => format!(
                "{latency:.1?} a request, writes {}/s, reads {}/s (one object of {})",
                HumanBytes(*up),
                HumanBytes(*down),
                HumanBytes(MEASURED_BYTES as u64)
            ),
            None => format!("{latency:.1?} a request"),
        });
    }

    async fn remove(&self, keys: &[Key]) {
        let outcome = async {
            self.sink.delete(keys).await?;
            for key in keys {
                if self.sink.head(key).await?.is_some() {
                    return Err(fault(ErrorKind::Other, "delete", key, "it is still there"));
                }
            }
            Ok(())
        };
        self.record("delete", outcome.await, |()| {
            "the probes were removed".to_owned()
        });
    }

    async fn put(&self, key: &Key, bytes: &[u8], create_new: bool) -> Result<Meta> {
        let options = WriteOptions {
            size_hint: Some(bytes.len() as u64),
            create_new,
            ..WriteOptions::default()
        };
        let mut upload = self.sink.begin(key, options).await?;
        upload.write(Bytes::copy_from_slice(bytes)).await?;
        upload.commit().await
    }

    async fn get(&self, key: &Key, options: GetOptions, wanted: &[u8]) -> Result<()> {
        let object = self.sink.get(key, options).await?;
        let got = object.body.collect(wanted.len() as u64, key).await?;
        if Digest::of(&got) == Digest::of(wanted) {
            Ok(())
        } else {
            Err(fault(
                ErrorKind::Corrupt,
                "read",
                key,
                "other bytes came back than were written",
            ))
        }
    }
}

fn rate(took: Duration) -> u64 {
    // A float's range is far beyond any rate.
    (MEASURED_BYTES as f64 / took.as_secs_f64().max(1e-6)) as u64
}

fn fault(kind: ErrorKind, operation: &'static str, key: &Key, detail: &str) -> Error {
    Error::new(kind, operation, key.as_str(), detail)
}

/// Bytes that no store compresses.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(count)
    .collect()
}
