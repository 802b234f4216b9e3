//! A base that turns out to be damaged: its note says so, and no later backup reuses its files.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::context::Context;
use crate::repository::{LastVerified, Note};

/// Notes that these backups are damaged. Where that can't be noted, it is a warning.
pub(crate) async fn note(context: &Context, damaged: &BTreeSet<BackupId>) {
    for id in damaged {
        if let Err(error) = note_one(context, id).await {
            context.warn(format!(
                "cannot record in the target that backup `{id}` is damaged: {error}"
            ));
        }
    }
}

async fn note_one(context: &Context, id: &BackupId) -> Result<()> {
    let repository = &context.repository;
    context.check_lock().await?;
    // Only files of it may be left, which others need.
    if !repository.is_published(id).await? {
        return repository
            .keep_damage(id, &Timestamp::now().to_string())
            .await;
    }
    let found = LastVerified {
        at: Timestamp::now().to_string(),
        mode: "sample".to_owned(),
        ok: false,
        operation_id: context.operation_id.to_string(),
        share: None,
        covered: None,
    };
    let add = |note: &mut Note| note.add_verification(found.clone());
    repository.update_note(id, add).await.map(drop)
}
