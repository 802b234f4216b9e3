//! Deleting, a blob with each request.

use arc_backup_core::{ErrorKind, Result};
use azure_storage_blob::models::BlobClientDeleteOptions;

use crate::store::{Store, quoted};

/// How many blobs are deleted at once.
pub(crate) const DELETES: usize = 32;

/// Deletes the blob `name`, if it still is this version; absent is not an error.
pub(crate) async fn delete(
    store: &Store,
    operation: &'static str,
    subject: &str,
    name: &str,
    if_match: Option<&str>,
) -> Result<()> {
    let deleted = store
        .call(operation, subject, |method_options| {
            let blob = store.blob(name);
            let options = BlobClientDeleteOptions {
                if_match: if_match.map(quoted),
                method_options,
                ..BlobClientDeleteOptions::default()
            };
            async move { blob.delete(Some(options)).await.map(drop) }
        })
        .await;
    match deleted {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        // What an earlier try deleted, whose answer was lost, does not match either.
        Err(error) if error.kind() == ErrorKind::Changed => {
            match store.head(operation, subject, name).await? {
                Some(_) => Err(error),
                None => Ok(()),
            }
        }
        done => done,
    }
}
