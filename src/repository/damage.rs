//! When damage was last found in a target.
//!
//! Backups share bytes: by hard links, or as one refers to the folder of another. The note of a
//! verification says only that the one backup is damaged that was read. So the target has one
//! object, `.arc-backup/damage.json`, that says when damage was last found. It stays when the
//! damaged backup is deleted: what shared its files may still be there.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Repository;
use super::layout::own;
use crate::manifest::BackupId;
use crate::{Error, Result};

/// The largest such object, in bytes.
const LIMIT: u64 = 64 << 10;

/// Damage that was found in a target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Damage {
    /// When.
    pub(crate) at: Timestamp,
    /// In which backup.
    pub(crate) backup_id: String,
}

impl Repository {
    /// The damage that was found last in this target.
    ///
    /// # Errors
    /// Where that can't be read.
    pub(crate) async fn last_damage(&self) -> Result<Option<Damage>> {
        let key = own("damage.json");
        let Some((bytes, meta)) = self.read_small_with_meta(&key, LIMIT).await? else {
            return Ok(None);
        };
        let damage = serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::warn!(target = self.name(), %key, %error, "the record of damage can't be read; damage is assumed");
            let written = meta
                .modified
                .and_then(|time| Timestamp::try_from(time).ok());
            Damage {
                at: written.unwrap_or_else(Timestamp::now),
                backup_id: "unknown".to_owned(),
            }
        });
        Ok(Some(damage))
    }

    /// Keeps that damage was found in the backup `id` at `at`, or now where that is no time.
    pub(crate) async fn keep_damage(&self, id: &BackupId, at: &str) -> Result<()> {
        let damage = Damage {
            at: at.parse().unwrap_or_else(|_| Timestamp::now()),
            backup_id: id.to_string(),
        };
        if (self.last_damage().await?).is_some_and(|last| last.at >= damage.at) {
            return Ok(());
        }
        let text = serde_json::to_vec(&damage)
            .map_err(|e| Error::Failed(format!("cannot record the damage: {e}")))?;
        self.put(&own("damage.json"), text).await
    }
}
