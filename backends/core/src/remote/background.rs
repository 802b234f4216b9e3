//! What goes on without anybody who waits for it.

use std::future::Future;

use tokio::runtime::Handle;
use tokio_util::task::TaskTracker;

/// Tasks that a drop has begun, or that must come to their end whoever waits for them: an upload is
/// aborted, a lock given back.
#[derive(Debug, Default)]
pub struct Background(TaskTracker);

impl Background {
    /// Begins `work`. Without a runtime there is nobody who could do it: then it is dropped.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        if let Ok(runtime) = Handle::try_current() {
            self.0.spawn_on(work, &runtime);
        }
    }

    /// Does `work` to its end, also where nobody waits for it any more. `None` when that end is not
    /// known.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.spawn(async move {
            // Whoever asked may be gone.
            let _ = sender.send(work.await);
        });
        receiver.await.ok()
    }

    /// Returns when all that was begun has ended.
    pub async fn settle(&self) {
        // Closed, it goes on to take tasks: it only says that an empty one may be waited for.
        self.0.close();
        self.0.wait().await;
    }
}
