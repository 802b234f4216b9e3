//! The guard of the last good backup of a target, which goes only if that is asked for.

use std::collections::BTreeMap;

use crate::manifest::BackupId;
use crate::operations::ArcBackup;
use crate::repository::Repository;
use crate::{Error, Result};

impl ArcBackup {
    /// Fails if this backup is the last good one of a target. The caller holds the locks, so that
    /// the answer stays true.
    pub(crate) async fn check_not_last_good(
        &self,
        repository: &Repository,
        id: &BackupId,
    ) -> Result<()> {
        let parts = repository.parts();
        let targets: Vec<_> = parts.iter().map(|part| part.name().to_owned()).collect();
        let without = self.left_without_good(&[(id, &targets)]).await?;
        match without.is_empty() {
            true => Ok(()),
            false => Err(would_be_last(&without)),
        }
    }

    /// The targets that hold a good backup now, and none without these. With each goes the list of
    /// the targets that hold it.
    pub(crate) async fn left_without_good(
        &self,
        named: &[(&BackupId, &[String])],
    ) -> Result<Vec<String>> {
        let mut by_target: BTreeMap<&str, Vec<&BackupId>> = BTreeMap::new();
        for (id, targets) in named {
            for target in *targets {
                by_target.entry(target).or_default().push(id);
            }
        }
        let mut without = Vec::new();
        for (target, ids) in by_target {
            let good = self.good_backups(target).await?;
            let goes = |one: &BackupId| ids.contains(&one);
            // One that can't be seen whole now may be the last good one.
            let seen_partly = self.partly_seen_backups(target).await?;
            let loses_one = !good.is_empty() || seen_partly.iter().any(goes);
            if loses_one && good.iter().all(goes) {
                without.push(target.to_owned());
            }
        }
        Ok(without)
    }
}

/// The refusal to delete the last good backup of these targets.
pub(crate) fn would_be_last(targets: &[String]) -> Error {
    Error::Invalid(format!(
        "nothing was deleted: target {} would hold no good backup of all databases then; use --even-last to delete it anyway",
        targets.join(", ")
    ))
}
