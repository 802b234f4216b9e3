//! Incomplete copies: the readable files of a source with unreadable ones.

use std::collections::BTreeSet;

use crate::manifest::{self, Manifest, MissingFile};
use crate::operations::backup::collected::Collected;
use crate::operations::context::Context;
use crate::{Error, Result};

/// Makes the stored files an incomplete copy, and returns a description of its location.
pub(crate) async fn keep(context: &Context, collected: Collected) -> Result<String> {
    let repository = &context.repository;
    let mut manifest = collected.manifest(context);
    manifest
        .inventory
        .clone_from(&collected.incomplete_inventory);
    manifest.missing_files = collected.problems.count();
    manifest.missing = (collected.problems.listed().iter())
        .map(|problem| MissingFile {
            path: problem.path.clone(),
            detail: problem.detail.clone(),
        })
        .collect();
    let bytes = manifest::seal(&mut manifest).map_err(|e| {
        Error::Failed(format!(
            "cannot write the manifest of the incomplete copy: {e}"
        ))
    })?;
    repository.keep_incomplete(&context.id, bytes).await?;
    // An older copy that lacks the same files is superseded. Otherwise a file that is unreadable
    // for days would fill the target.
    for (id, older) in repository.incomplete_manifests().await? {
        if id != context.id && lacks_no_more(&manifest, &older) && manifest.supersedes(&older) {
            repository.remove_incomplete(&id).await?;
        }
    }
    repository.end_journal(&context.id).await?;
    Ok(format!(
        "{}: the readable files, in the target {:?}; restore it with --allow-incomplete",
        context.id,
        repository.name()
    ))
}

/// Whether the older copy lacks every file that the newer one lacks. False if the list of missing
/// files is not complete.
fn lacks_no_more(newer: &Manifest, older: &Manifest) -> bool {
    let paths: BTreeSet<&str> = (older.missing.iter())
        .map(|missing| &*missing.path)
        .collect();
    let lacks = |path: &str| {
        let folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
        paths.contains(path) || folders.into_iter().any(|folder| paths.contains(folder))
    };
    newer.missing.len() as u64 == newer.missing_files
        && (newer.missing.iter()).all(|missing| lacks(&missing.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copy(missing: &[&str], more: u64) -> Manifest {
        let missing: Vec<_> = (missing.iter())
            .map(|path| MissingFile {
                path: (*path).to_owned(),
                detail: "unreadable".to_owned(),
            })
            .collect();
        Manifest {
            missing_files: missing.len() as u64 + more,
            missing,
            ..Manifest::default()
        }
    }

    /// Guards against losing files that only the older copy of a dying disk holds.
    #[test]
    fn only_a_copy_that_lacks_no_more_takes_the_place_of_another() {
        let older = copy(&["data/a/1", "data/b/"], 0);
        for (newer, takes_its_place) in [
            (copy(&["data/a/1"], 0), true),
            (copy(&["data/a/1", "data/b/2", "data/b/c/"], 0), true),
            (copy(&["data/a/2"], 0), false),
            // A whole folder.
            (copy(&["data/a/"], 0), false),
            (copy(&["data/a/1"], 1), false),
        ] {
            assert_eq!(lacks_no_more(&newer, &older), takes_its_place, "{newer:?}");
        }
    }
}
