//! Reading live files, to compare them with a backup.

use arc_backup_core::{
    Activity, Body, Digest, Error, ErrorKind, GetOptions, Hasher, Key, Result, Sink,
};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

/// The digest of a live object; `None` when it is gone or can't be read: then it is replaced.
pub(crate) async fn digest(
    storage: &dyn Sink,
    key: &Key,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<Option<Digest>> {
    let object = match storage.get(key, GetOptions::default()).await {
        Ok(object) => object,
        // A live file that is gone or can't be read is one to replace.
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::PermissionDenied
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    digest_of(object.body, key, cancel, activity).await
}

/// The digest of a body; `None` where it is a file that can't be read.
pub(super) async fn digest_of(
    body: Body,
    key: &Key,
    cancel: &CancellationToken,
    activity: &Activity,
) -> Result<Option<Digest>> {
    if let Body::File { mut file, .. } = body {
        let (cancel, activity) = (cancel.clone(), activity.clone());
        let digest = tokio::task::spawn_blocking(move || {
            let mut hasher = Hasher::new();
            let mut buffer = vec![0; 256 << 10];
            loop {
                if cancel.is_cancelled() {
                    return Err(());
                }
                activity.note();
                match std::io::Read::read(&mut file, &mut buffer) {
                    Ok(0) => return Ok(Some(hasher.finish())),
                    Ok(count) => hasher.update(&buffer[..count]),
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    // A live file that can't be read is one to replace.
                    Err(_) => return Ok(None),
                }
            }
        })
        .await
        .map_err(|e| Error::new(ErrorKind::Other, "read", key.as_str(), e.to_string()))?;
        return digest.map_err(|()| cancelled(key));
    }
    let mut hasher = Hasher::new();
    let mut pieces = crate::pipeline::pieces(body, key);
    while let Some(piece) = pieces.next().await {
        if cancel.is_cancelled() {
            return Err(cancelled(key));
        }
        activity.note();
        hasher.update(&piece?);
    }
    Ok(Some(hasher.finish()))
}

fn cancelled(key: &Key) -> Error {
    Error::new(ErrorKind::Cancelled, "read", key.as_str(), "cancelled")
}
