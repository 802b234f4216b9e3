//! What restores have set aside, and is older than `arc_backup.keep_set_aside`.

use indicatif::HumanBytes;
use jiff::Timestamp;

use crate::Result;
use crate::operations::ArcBackup;
use crate::operations::context::Context;
use crate::operations::undo::listing::age;
use crate::operations::undo::record;
use crate::times;

/// Removes it, before a backup, which says so as a warning, and what killed restores left of their
/// records. Where that fails the backup goes on.
pub(crate) async fn remove_expired(engine: &ArcBackup, context: &Context) -> Result<()> {
    record::remove_leftovers(&context.settings, &context.operation_id);
    let Some(keep) = context.settings.backup.keep_set_aside else {
        return Ok(());
    };
    let now = Timestamp::now();
    let (all, faults) = match engine.list_set_aside().await {
        Ok(found) => found,
        Err(error) => (Vec::new(), vec![error]),
    };
    for fault in faults {
        context.warn(format!("cannot list what restores have set aside: {fault}"));
    }
    for one in all {
        let (Some(id), Some(expired)) = (&one.operation_id, one.expires_at) else {
            continue;
        };
        if expired > now {
            continue;
        }
        context.check_cancelled()?;
        let what = format!(
            "what restore {id} of {} had set aside ({} files, {}, {} ago)",
            one.backup_id.as_deref().unwrap_or("an unknown backup"),
            one.files,
            HumanBytes(one.bytes),
            age(&one, now).map_or_else(String::new, times::short),
        );
        let removed = engine.remove_kept_of(id, context.running.progress.activity());
        match removed.await {
            Ok(()) => {
                tracing::info!(
                    operation = id,
                    files = one.files,
                    "removed what a restore had set aside"
                );
                context.warn(format!(
                    "{what} was removed: `arc_backup.keep_set_aside` is {}",
                    times::setting(keep)
                ));
            }
            Err(error) => {
                context.warn(format!("{what} has expired, and can't be removed: {error}"));
            }
        }
    }
    Ok(())
}
