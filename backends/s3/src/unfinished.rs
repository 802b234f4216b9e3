//! Multipart uploads that nobody will end: the store keeps their parts, and bills for them, without
//! listing them.

use std::collections::BTreeSet;

use arc_backup_core::{Discard, Discarded, Key, Purpose, Result};
use aws_sdk_s3::types::EncodingType;

use crate::call::Call;
use crate::error::RequestFault;
use crate::list::{text, unreliable, within};
use crate::store::Store;

/// Aborts an upload. One that is gone already is not an error.
pub(crate) async fn abort(store: &Store, subject: &str, name: &str, id: &str) -> Result<()> {
    let call = Call {
        operation: "abort the upload of",
        subject,
        permission: "s3:AbortMultipartUpload",
    };
    let done = store
        .attempt(store.retrier(Purpose::Data), call, |client, _| {
            let request = client
                .abort_multipart_upload()
                .bucket(store.bucket())
                .key(name)
                .upload_id(id);
            async {
                request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))
            }
        })
        .await;
    match done {
        Err((Some(fault), _)) if fault.is_no_upload() || fault.is_absent() => Ok(()),
        Err((_, error)) => {
            store.uploads.leave(name);
            Err(error)
        }
        Ok(_) => Ok(()),
    }
}

/// Aborts all uploads of exactly this name but `ours`, which came of a request whose answer was
/// lost.
pub(crate) async fn abort_lost(store: &Store, subject: &str, name: &str, ours: Option<&str>) {
    let found = match list(store, name).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, key = subject, "an upload may be left behind");
            store.uploads.leave(name);
            return;
        }
    };
    for (of, id) in found {
        if of == name
            && ours != Some(id.as_str())
            && let Err(error) = abort(store, subject, name, &id).await
        {
            tracing::warn!(%error, key = subject, "an upload is left behind");
        }
    }
}

/// Aborts, or counts, all uploads of the key `folder` or in the folder of that name, or all under
/// the whole prefix.
///
/// Some stores (MinIO) list uploads by their exact names only: there, those are found that this
/// process left, and that of the key `folder`.
pub(crate) async fn discard(
    store: &Store,
    folder: Option<&Key>,
    discard: Discard,
) -> Result<Discarded> {
    let prefix = store.name(folder.map_or("", Key::as_str));
    let is_within = |name: &str| {
        let path = name.strip_prefix(&store.config.prefix);
        path.is_some_and(|path| folder.is_none_or(|folder| within(path, folder)))
    };
    let mut found = list(store, &prefix).await?;
    let left = store.uploads.left().clone();
    for name in left.iter().filter(|name| is_within(name)) {
        found.extend(list(store, name).await?);
    }
    let mut discarded = Discarded::default();
    // Only what is ours to end, whatever the store takes a prefix for.
    for (name, id) in found.iter().filter(|(name, _)| is_within(name)) {
        let ended = match discard {
            Discard::Count => Ok(()),
            Discard::Remove => abort(store, &name[store.config.prefix.len()..], name, id).await,
        };
        discarded.add(ended.map(|()| Discarded::of(1)));
    }
    if discard == Discard::Remove && discarded.faults.is_empty() {
        store.uploads.left().retain(|name| !is_within(name));
    }
    Ok(discarded)
}

/// The uploads whose names start with `prefix`, by name and id.
async fn list(store: &Store, prefix: &str) -> Result<BTreeSet<(String, String)>> {
    let subject = store.url(prefix);
    let call = Call {
        operation: "list the uploads in",
        subject: &subject,
        permission: "s3:ListBucketMultipartUploads",
    };
    let mut found = BTreeSet::new();
    let mut last = String::new();
    let (mut key_marker, mut id_marker) = (None, None);
    loop {
        let page = store
            .call(call, |client, _| {
                client
                    .list_multipart_uploads()
                    .bucket(store.bucket())
                    .prefix(prefix)
                    .set_key_marker(key_marker.clone())
                    .set_upload_id_marker(id_marker.clone())
                    .encoding_type(EncodingType::Url)
                    .send()
            })
            .await?;
        let encoded = page.encoding_type() == Some(&EncodingType::Url);
        for upload in page.uploads() {
            let name = text(upload.key(), encoded);
            let id = upload.upload_id().unwrap_or_default();
            // The uploads of one name come in the order of their beginning.
            if name < last || !found.insert((name.clone(), id.to_owned())) {
                let reason = format!("an upload of `{name}` does not come in byte order");
                return Err(unreliable(call, &reason));
            }
            last = name;
        }
        if page.is_truncated() != Some(true) {
            return Ok(found);
        }
        let next = page.next_key_marker().map(|next| text(Some(next), encoded));
        let next_id = page.next_upload_id_marker().map(str::to_owned);
        if next.as_deref().unwrap_or_default().is_empty() {
            return Err(unreliable(
                call,
                "it breaks off without a marker to go on from",
            ));
        }
        if next < key_marker || (&next, &next_id) == (&key_marker, &id_marker) {
            return Err(unreliable(call, "it goes on where it was before"));
        }
        (key_marker, id_marker) = (next, next_id);
    }
}
