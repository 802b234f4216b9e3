//! Checking the `manifest-files.json` of a backup of ours. A restore by this program goes by the
//! inventory; Arc's restore goes by this list. What is wrong with it alone is a warning: the backup
//! is whole.

use arc_backup_core::{ErrorKind, GetOptions, Hasher};
use futures::StreamExt;

use crate::Result;
use crate::manifest::FILE_LIST;
use crate::operations::context::Context;
use crate::operations::verify::check_for::CheckFor;
use crate::repository::{Loaded, Repository, file_list_key};

/// Warns of a list that is missing, or is not the one that the manifest names. Of a run, each leg
/// is looked at.
pub(crate) async fn check(context: &Context, loaded: &Loaded, purpose: CheckFor) -> Result<()> {
    if context.repository.legs().is_empty() {
        return check_one(context, &context.repository, loaded, purpose).await;
    }
    for leg in context.repository.legs() {
        let loaded = leg.load(&context.id).await?;
        check_one(context, leg, &loaded, purpose).await?;
    }
    Ok(())
}

async fn check_one(
    context: &Context,
    repository: &Repository,
    loaded: &Loaded,
    purpose: CheckFor,
) -> Result<()> {
    let Some(expected) = &loaded.manifest.file_list else {
        return Ok(());
    };
    let sink = repository.sink();
    let key = file_list_key(&context.id);
    let warn = |what: &str| {
        context.warn(format!(
            "{FILE_LIST} of {} {what}: Arc can't restore this backup, and `arc-backup restore` can",
            repository.label()
        ));
        Ok(())
    };
    match sink.head(&key).await {
        Ok(Some(_)) => {}
        Ok(None) => return warn("is missing"),
        Err(error) if error.kind() == ErrorKind::Invalid => {
            return warn(&format!("can't be read ({error})"));
        }
        Err(error) => return Err(repository.named(error.into())),
    }
    if purpose == CheckFor::Presence {
        return Ok(());
    }
    let body = match sink.get(&key, GetOptions::default()).await {
        Ok(object) => object.body,
        Err(error) if error.kind() == ErrorKind::Invalid => {
            return warn(&format!("can't be read ({error})"));
        }
        Err(error) => return Err(repository.named(error.into())),
    };
    let mut hasher = Hasher::new();
    let mut pieces = crate::pipeline::pieces(body, FILE_LIST);
    while let Some(piece) = pieces.next().await {
        context.check_cancelled()?;
        context.running.progress.activity().note();
        hasher.update(&piece?);
    }
    if hasher.finish().to_string() != expected.sha256 {
        return warn("does not have the SHA-256 that the manifest says");
    }
    Ok(())
}
