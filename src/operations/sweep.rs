//! Removing what interrupted operations have left, on demand.

use super::instance_lock::InstanceLock;
use super::{ArcBackup, Holder, staging};
use crate::repository::{Repository, Swept};
use crate::{Error, Result};

/// What interrupted operations have left.
#[derive(Debug, Clone, Default)]
pub struct Sweep {
    /// In each target, by its name.
    pub targets: Vec<(String, Swept)>,
    /// How many views of the data that backups held on to were removed; not looked for unless that was asked for.
    pub views: Option<u64>,
    /// How many files that restores had staged beside the live ones were removed; likewise.
    pub staged: Option<u64>,
    /// What could not be removed on this machine, and why.
    pub faults: Vec<String>,
}

impl ArcBackup {
    /// What interrupted operations have left in the targets; removed with `apply`, as is what they left beside the live data.
    ///
    /// # Errors
    /// [`Error::Busy`] when an operation runs.
    pub async fn sweep(&self, apply: bool) -> Result<Sweep> {
        let _slot = self.slot.lock().await;
        if let Some(holder) = self.busy() {
            return Err(Error::Busy(Box::new(holder)));
        }
        let holder = Holder::this("sweep", "sweep");
        let _instance = if apply {
            Some(InstanceLock::take(&self.lock_path(), &holder)?)
        } else {
            None
        };
        let mut all = Vec::new();
        for repository in &self.repositories {
            let swept = match sweep_one(repository, apply, &holder).await {
                // Who is busy is told with the exit code for it.
                Err(error @ Error::Busy(_)) => return Err(error),
                // One dead target keeps nothing of the others from being swept.
                Err(error) => Swept {
                    faults: vec![error.to_string()],
                    ..Swept::default()
                },
                Ok(swept) => swept,
            };
            all.push((repository.name().to_owned(), swept));
        }
        let mut sweep = Sweep {
            targets: all,
            ..Sweep::default()
        };
        if apply {
            // What was removed in the targets is told, whatever becomes of the rest.
            let mut told = |removed: Result<u64>| {
                (removed.map_err(|error| sweep.faults.push(error.to_string()))).ok()
            };
            told(self.scratch.clean().map(|()| 0));
            let views = told(self.discard_views().await);
            let staged = told(staging::discard_staged(&self.settings, &self.sources).await);
            (sweep.views, sweep.staged) = (views, staged);
        }
        Ok(sweep)
    }
}

async fn sweep_one(repository: &Repository, apply: bool, holder: &Holder) -> Result<Swept> {
    let sweep = async || {
        let mut swept = repository.sweep(apply).await?;
        match repository.sweep_nameless(apply).await {
            Ok(found) => {
                swept.unfinished.extend(found.unfinished);
                swept.faults.extend(found.faults);
            }
            Err(error) => swept.faults.push(error.to_string()),
        }
        Ok(swept)
    };
    if !apply {
        return sweep().await;
    }
    let lock = repository.lock(holder).await?;
    let swept = sweep().await;
    lock.release().await?;
    swept
}
