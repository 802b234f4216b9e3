//! What goes on without anybody who waits for it.

use std::future::Future;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// Tasks that a drop has begun: an upload is aborted, a lock given back.
#[derive(Debug, Default)]
pub struct Background(Mutex<Vec<JoinHandle<()>>>);

impl Background {
    /// Begins `work`. Without a runtime there is nobody who could do it: then it is dropped.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.retain(|task| !task.is_finished());
        tasks.push(runtime.spawn(work));
    }

    /// Returns when all that was begun has ended.
    pub async fn settle(&self) {
        loop {
            let tasks = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
            if tasks.is_empty() {
                return;
            }
            for task in tasks {
                // A task that panicked has said so.
                let _ = task.await;
            }
        }
    }
}
