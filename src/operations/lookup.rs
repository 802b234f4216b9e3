//! Operations that run or have ended, in any process, for callers that show them.

use jiff::Timestamp;

use crate::Result;
use crate::operations::{
    AlsoRunning, ArcBackup, Operation, OperationFilter, OperationKind, OperationPage,
    RestoreInProgress, Status,
};

/// Whether the operation of this kind is a restore, or an undo: the marker is its own.
pub(crate) fn is_restoring(kind: &str) -> bool {
    OperationKind::from_name(kind).is_some_and(OperationKind::changes_live_data)
}

impl ArcBackup {
    /// Returns the operation that runs or ran last, in any process; `None` if there was none yet.
    /// Of several that run it is that which writes, or else that which began last; the others are
    /// in [`also_running`](Operation::also_running).
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn status(&self) -> Result<Option<Operation>> {
        if let Some(running) = self.running_now().await? {
            return Ok(Some(self.with_marker(running).await));
        }
        self.mark_crashed_now().await?;
        let last = self.history.list(0, 1).await?.pop();
        // This process knows its own operation even if the history could not be written.
        let own = (self.current().map(|running| running.snapshot())).filter(|own| {
            let began = |operation: &Operation| operation.started_at.parse::<Timestamp>().ok();
            last.as_ref().is_none_or(|last| {
                last.operation_id == own.operation_id || began(own) > began(last)
            })
        });
        if own.is_some() {
            return Ok(match own {
                Some(own) => Some(self.with_marker(own).await),
                None => None,
            });
        }
        // A list has no problems; a single entry has them.
        let last = match last {
            Some(last) => self
                .history
                .get(last.operation_id.clone())
                .await?
                .or(Some(last)),
            None => None,
        };
        Ok(match last {
            Some(last) => Some(self.with_marker(last).await),
            None => None,
        })
    }

    /// Returns the first operation that runs, in any process, with the others.
    async fn running_now(&self) -> Result<Option<Operation>> {
        let under_way = self.under_way();
        for holder in &under_way {
            let found = match self.running.get(&holder.operation_id) {
                Some(own) => Some(own.snapshot()),
                None => self.history.get(holder.operation_id.clone()).await?,
            };
            // One that only begins is not in the history yet, and a sweep never is.
            let Some(mut operation) = found.filter(|one| one.status == Status::Running) else {
                continue;
            };
            operation.also_running = (under_way.iter())
                .filter(|one| one.operation_id != operation.operation_id)
                .filter(|one| !one.is_unknown())
                .filter_map(|one| {
                    Some(AlsoRunning {
                        operation: OperationKind::from_name(&one.operation)?,
                        operation_id: one.operation_id.clone(),
                    })
                })
                .collect();
            return Ok(Some(operation));
        }
        Ok(None)
    }

    /// Returns the restore that was interrupted while it changed live data. The marker of a running
    /// restore does not count.
    pub async fn interrupted_restore(&self) -> Option<RestoreInProgress> {
        match self
            .busy()
            .is_some_and(|holder| is_restoring(&holder.operation))
        {
            true => None,
            false => self.restore_in_progress().await,
        }
    }

    /// Adds the interrupted restore to the status, unless a restore is running.
    async fn with_marker(&self, mut operation: Operation) -> Operation {
        let is_running = operation.status == Status::Running;
        if !(is_running && operation.operation.changes_live_data()) {
            operation.restore_in_progress = self.restore_in_progress().await;
        }
        operation
    }

    /// Returns operations without their problems, newest first: `limit` of them after the first
    /// `offset`.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn operations(&self, offset: u64, limit: u64) -> Result<Vec<Operation>> {
        self.mark_crashed_now().await?;
        self.history.list(offset, limit).await
    }

    /// Returns the operations that `filter` selects, without their problems, newest first: `limit`
    /// of them after the first `offset`.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn find_operations(
        &self,
        filter: &OperationFilter,
        offset: u64,
        limit: u64,
    ) -> Result<OperationPage> {
        self.mark_crashed_now().await?;
        self.history.find(filter.clone(), offset, limit).await
    }

    /// Returns one operation with its problems.
    ///
    /// # Errors
    /// Fails if the history cannot be read.
    pub async fn operation(&self, operation_id: &str) -> Result<Option<Operation>> {
        match self.running.get(operation_id) {
            Some(running) if !running.is_done() => Ok(Some(running.snapshot())),
            own => {
                self.mark_crashed_now().await?;
                let recorded = self.history.get(operation_id.to_owned()).await?;
                // The end of the own operation may not have reached the history.
                Ok(recorded.or(own.map(|own| own.snapshot())))
            }
        }
    }
}
