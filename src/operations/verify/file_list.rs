//! Checking the `manifest-files.json` of a backup of ours. A restore by this program goes by the
//! inventory; Arc's restore goes by this list.

use arc_backup_core::{ErrorKind, GetOptions, Hasher};
use futures::StreamExt;

use crate::Result;
use crate::manifest::FILE_LIST;
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::check_for::CheckFor;
use crate::repository::{Loaded, Repository, file_list_key};

/// Adds to `problems` a list that is missing, or is not the one that the manifest names. Each leg
/// of a run has one.
pub(crate) async fn check(
    context: &Context,
    problems: &mut Problems,
    loaded: &Loaded,
    purpose: CheckFor,
) -> Result<()> {
    if context.repository.legs().is_empty() {
        return check_one(context, problems, &context.repository, loaded, purpose).await;
    }
    for leg in context.repository.legs() {
        let loaded = leg.load(&context.id).await?;
        check_one(context, problems, leg, &loaded, purpose).await?;
    }
    Ok(())
}

async fn check_one(
    context: &Context,
    problems: &mut Problems,
    repository: &Repository,
    loaded: &Loaded,
    purpose: CheckFor,
) -> Result<()> {
    let Some(expected) = &loaded.manifest.file_list else {
        return Ok(());
    };
    let sink = repository.sink();
    let key = file_list_key(&context.id);
    if sink.head(&key).await?.is_none() {
        let text = "the backup does not hold it: Arc can't restore this backup";
        problems.add(FILE_LIST, ProblemKind::Missing, text);
        return Ok(());
    }
    if purpose == CheckFor::Presence {
        return Ok(());
    }
    let body = match sink.get(&key, GetOptions::default()).await {
        Ok(object) => object.body,
        Err(error) if error.kind() == ErrorKind::Invalid => {
            problems.add(FILE_LIST, ProblemKind::Unreadable, error.to_string());
            return Ok(());
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
        let text =
            "it does not have the SHA-256 that the manifest says: Arc can't restore this backup";
        problems.add(FILE_LIST, ProblemKind::Checksum, text);
    }
    Ok(())
}
