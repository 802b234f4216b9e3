//! Uploads, locks and marks of durability with faults.

use std::fs::File;
use std::sync::Arc;

use arc_backup_core::{Durability, Error, ErrorKind, LockGuard, Meta, Result, Upload};
use async_trait::async_trait;
use bytes::Bytes;

use super::body::flip;
use super::{FULL, Fault, INJECTED, Plan, die, injected};

/// What the wrappers have in common.
pub(super) struct Wrapped<T: ?Sized> {
    pub(super) inner: Box<T>,
    pub(super) plan: Arc<Plan>,
    pub(super) place: String,
    pub(super) subject: String,
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Upload for Wrapped<dyn Upload> {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let fault = self.plan.next(&self.place, "write", &self.subject);
        if matches!(fault, Fault::NoSpace | Fault::ShortWrite) {
            self.inner.write(bytes.slice(..bytes.len() / 2)).await?;
            return Err(match fault {
                Fault::NoSpace => Error::new(ErrorKind::NoSpace, "write", &self.subject, FULL),
                _ => injected("write", &self.subject),
            });
        }
        self.plan.before(fault, "write", &self.subject).await?;
        let done = if fault == Fault::FlipWrite {
            let mut bytes = bytes.to_vec();
            flip(&mut bytes);
            self.inner.write(bytes.into()).await
        } else {
            self.inner.write(bytes).await
        };
        self.plan.after(fault, "write", &self.subject, done).await
    }

    fn local_file(&mut self) -> Result<Option<File>> {
        if self.plan.fault.is_of_writes() {
            return Ok(None);
        }
        let fault = self.plan.next(&self.place, "local_file", &self.subject);
        match fault {
            Fault::DieBefore => die(),
            Fault::Error => return Err(injected("local_file", &self.subject)),
            Fault::Gone(kind) => {
                return Err(Error::new(kind, "local_file", &self.subject, INJECTED));
            }
            _ => {}
        }
        let file = self.inner.local_file();
        match fault {
            Fault::DieAfter => die(),
            Fault::ErrorAfter => Err(injected("local_file", &self.subject)),
            _ => file,
        }
    }

    async fn commit(self: Box<Self>) -> Result<Meta> {
        let Self {
            inner,
            plan,
            place,
            subject,
        } = *self;
        plan.around(&place, "commit", &subject, inner.commit())
            .await
    }

    async fn abort(self: Box<Self>) -> Result<()> {
        let Self {
            inner,
            plan,
            place,
            subject,
        } = *self;
        plan.around(&place, "abort", &subject, inner.abort()).await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Durability for Wrapped<dyn Durability> {
    async fn sync(&self) -> Result<()> {
        let work = self.inner.sync();
        self.plan
            .around(&self.place, "sync", &self.subject, work)
            .await
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl LockGuard for Wrapped<dyn LockGuard> {
    async fn check(&self) -> Result<()> {
        let work = self.inner.check();
        self.plan
            .around(&self.place, "check", &self.subject, work)
            .await
    }

    async fn release(&self) -> Result<()> {
        let work = self.inner.release();
        self.plan
            .around(&self.place, "release", &self.subject, work)
            .await
    }
}
