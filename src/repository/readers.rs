//! Reader leases: who reads backups in a target while somebody else may write there.
//!
//! A verification, a copy from the target and a rehearsal must not have files taken from under
//! them, and need not wait for a backup. Each holds a lock of its own,
//! `.arc-backup/readers/<operation id>`, with the renewal and expiry of any lock of the target.
//! Backups and restores pay no heed to leases; deletions do.
//!
//! # The invariant
//! **Of a reader and of a deleter that begin at the same moment, at least one sees the other.**
//!
//! - A reader takes its lease first, and then looks at the target's lock. If a delete, prune or
//!   sweep holds that, whichever instance runs it, the reader gives its lease up and answers
//!   [`Error::Busy`].
//! - A deleter takes the target's lock first, and then looks for leases
//!   ([`Repository::check_no_readers`]). If one lives, it answers [`Error::Busy`].
//!
//! So files of a published backup are removed only under a lock whose holder says that it is a
//! delete, prune or sweep, and only after [`Repository::check_no_readers`] under that very lock.
//! Another operation, such as a backup, must not remove any, even while it holds the lock.
//!
//! A lease is an object in its folder in most stores, and a listing shows it. Where the locks of a
//! store are somewhere else, a marker beside the lease, `<operation id>.json`, says that there is
//! one. It is written before the reader looks at the target's lock, which keeps the invariant.
//!
//! Leases of dead readers are free by the rules of any lock: at once where the process is known to
//! be dead, otherwise when they expire. The next deleter removes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_backup_core::{
    Child, Error as CoreError, ErrorKind, ExpiringLocks, Key, LockGuard, LockOutcome, Sink,
};
use async_trait::async_trait;

use super::Repository;
use super::layout::own;
use crate::busy::Busy;
use crate::holder::Holder;
use crate::own_folder::OWN_FOLDER;
use crate::{Error, Result};

/// The folder of the leases.
const READERS: &str = "readers";
/// The suffix of a lease's marker.
const MARKER: &str = ".json";
/// Operations that remove files of published backups, as the holder of a lock names them.
pub(crate) const DELETERS: [&str; 3] = ["delete", "prune", "sweep"];

fn lease_key(operation_id: &str) -> Result<Key> {
    Key::parse(&format!("{OWN_FOLDER}/{READERS}/{operation_id}"))
        .map_err(|error| Error::Failed(format!("the lease of a reader: {error}")))
}

fn marker_key(operation_id: &str) -> Result<Key> {
    lease_key(&format!("{operation_id}{MARKER}"))
}

/// Whether the operation of this name removes files of published backups.
fn is_deleter(holder: &Holder) -> bool {
    DELETERS.contains(&holder.operation.as_str())
}

impl Repository {
    /// Takes a lease for an operation that reads backups in this target: nothing of a published
    /// backup is deleted before it is released. The caller checks it as it does a lock.
    ///
    /// # Errors
    /// [`Error::Busy`] names the delete, prune or sweep that holds the target's lock. An error of
    /// the kind [`ErrorKind::PermissionDenied`] or [`ErrorKind::Unsupported`] means that the target
    /// has no room for leases, as one that can only be read.
    pub async fn reader_lease(&self, holder: &Holder) -> Result<Box<dyn LockGuard>> {
        let id = &*holder.operation_id;
        let mut lease = Lease {
            sink: self.target_sink().clone(),
            operation_id: id.to_owned(),
            has_marker: false,
            lock: self.lock_at(&lease_key(id)?, holder).await?,
        };
        let announced = async {
            if !self.readers().await?.contains_key(id) {
                lease.has_marker = true;
                let in_target = Self {
                    sink: lease.sink.clone(),
                    ..self.clone()
                };
                let text = holder.to_text().into_bytes();
                in_target.put(&marker_key(id)?, text).await?;
            }
            match self.deleter().await? {
                Some(busy) => Err(Error::Busy(Box::new(busy))),
                None => Ok(()),
            }
        };
        match announced.await {
            Ok(()) => Ok(Box::new(lease)),
            Err(error) => {
                if let Err(fault) = lease.release().await {
                    tracing::warn!(target = self.name(), error = %fault, "cannot release a lease");
                }
                Err(self.named(error))
            }
        }
    }

    /// The delete, prune or sweep that holds the target's lock.
    pub(crate) async fn deleter(&self) -> Result<Option<Busy>> {
        let sink = self.target_sink();
        let text = sink.lock_holder(&own("lock")).await?;
        let holder = text.map(|text| Holder::from_text(&text));
        let expiry = sink.expiring_locks().map(ExpiringLocks::expiry);
        Ok(holder
            .filter(|holder| is_deleter(holder) && !holder.is_dead())
            .map(|holder| Busy::of_target(holder, expiry)))
    }

    /// Who reads backups in this target now: the holders of leases that are not known to be dead.
    /// Changes nothing.
    ///
    /// # Errors
    /// The errors of the target.
    pub async fn live_readers(&self) -> Result<Vec<Holder>> {
        let mut readers = Vec::new();
        for id in self.readers().await?.into_keys() {
            if let Some(text) = self.target_sink().lock_holder(&lease_key(&id)?).await? {
                readers.push(of_text(&id, &text));
            }
        }
        readers.retain(|holder| !holder.is_dead());
        Ok(readers)
    }

    /// Fails if somebody reads backups in this target. Removes the leases of dead readers. Of a
    /// run, all its targets are asked.
    ///
    /// The caller is a delete, prune or sweep, and holds the target's lock in that name: see the
    /// invariant of this module.
    ///
    /// # Errors
    /// [`Error::Busy`] names the reader.
    pub async fn check_no_readers(&self) -> Result<()> {
        for part in self.parts() {
            let checked = async {
                for (id, has_marker) in part.readers().await? {
                    part.check_no_reader(id, has_marker).await?;
                }
                Ok(())
            };
            checked.await.map_err(|error| part.named(error))?;
        }
        Ok(())
    }

    /// The operations that have a lease or had one, each with whether it has a marker.
    async fn readers(&self) -> Result<BTreeMap<String, bool>> {
        let children = self
            .target_sink()
            .list_children(Some(&own(READERS)))
            .await?;
        let mut readers = BTreeMap::new();
        for child in children {
            if let Child::Object(name) = child {
                let (id, is_marker) = match name.strip_suffix(MARKER) {
                    Some(id) => (id.to_owned(), true),
                    None => (name, false),
                };
                *readers.entry(id).or_insert(false) |= is_marker;
            }
        }
        Ok(readers)
    }

    /// Fails if the lease of this operation is held; otherwise removes it.
    async fn check_no_reader(&self, id: String, has_marker: bool) -> Result<()> {
        let (sink, key) = (self.target_sink(), lease_key(&id)?);
        let locks = sink.expiring_locks();
        let busy = |text: &str| {
            let expiry = locks.map(ExpiringLocks::expiry);
            Error::Busy(Box::new(Busy::of_target(of_text(&id, text), expiry)))
        };
        if let Some(text) = sink.lock_holder(&key).await? {
            let holder = of_text(&id, &text);
            if holder.is_alive() {
                return Err(busy(&text));
            }
            if holder.is_dead()
                && let Some(locks) = locks
            {
                locks.free(&key, &text).await?;
            }
        }
        // Taking it is the proof that nobody holds it: one that looks old is watched first.
        match sink
            .lock(&key, &Holder::this("sweep", &id).to_text())
            .await?
        {
            LockOutcome::Held(lock) => {
                tracing::info!(
                    target = self.name(),
                    reader = id,
                    "removing the lease of a dead reader"
                );
                let lease = Lease {
                    sink: sink.clone(),
                    operation_id: id,
                    has_marker,
                    lock,
                };
                Ok(lease.release().await?)
            }
            LockOutcome::Busy(text) => Err(busy(&text)),
        }
    }
}

/// The holder of the lease of an operation. On a full disk a lease has no text.
fn of_text(id: &str, text: &str) -> Holder {
    let holder = Holder::from_text(text);
    match holder.is_unknown() {
        true => Holder {
            operation_id: id.to_owned(),
            ..holder
        },
        false => holder,
    }
}

/// A lease that is held.
struct Lease {
    sink: Arc<dyn Sink>,
    operation_id: String,
    has_marker: bool,
    lock: Box<dyn LockGuard>,
}

impl Lease {
    /// What is to be removed beside what the lock removes by itself: an expiring lock is an object
    /// that goes with it, and of one that ends with its process a file may stay.
    fn remains(&self) -> Vec<Key> {
        let id = &self.operation_id;
        let marker = self.has_marker.then(|| marker_key(id));
        let lock = (self.sink.expiring_locks().is_none()).then(|| lease_key(id));
        (marker.into_iter().chain(lock))
            .filter_map(Result::ok)
            .collect()
    }
}

#[async_trait]
impl LockGuard for Lease {
    async fn check(&self) -> Result<(), CoreError> {
        self.lock.check().await
    }

    async fn release(&self) -> Result<(), CoreError> {
        let remains = self.remains();
        // While it is held, so that nobody takes a lock whose file goes.
        let removed = match remains.is_empty() {
            true => Ok(()),
            false => self.sink.delete(&remains).await,
        };
        self.lock.release().await?;
        match removed {
            // A deleter has the right, and removes them.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            removed => removed,
        }
    }
}

#[cfg(test)]
mod tests;
