//! Multipart uploads that nobody will end: the store keeps their parts, and bills for them, without listing them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_backup_core::{Key, Result};
use aws_sdk_s3::types::EncodingType;

use crate::error::{Call, Fault};
use crate::list::text;
use crate::store::Store;

/// How many uploads of each name this process has under way.
#[derive(Debug, Clone, Default)]
pub(crate) struct Begun(Arc<Mutex<HashMap<String, usize>>>);

impl Begun {
    /// Counts an upload of `name` for as long as the guard lives.
    pub(crate) fn enter(&self, name: &str) -> Entered {
        *self.counts().entry(name.to_owned()).or_default() += 1;
        Entered {
            begun: self.clone(),
            name: name.to_owned(),
        }
    }

    /// Whether there is one upload of `name` here, and no other.
    pub(crate) fn is_alone(&self, name: &str) -> bool {
        self.counts().get(name) == Some(&1)
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub(crate) struct Entered {
    begun: Begun,
    name: String,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut counts = self.begun.counts();
        if let Some(count) = counts.get_mut(&self.name) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.name);
            }
        }
    }
}

/// Aborts an upload. One that is gone already is no error.
pub(crate) async fn abort(store: &Store, subject: &str, name: &str, id: &str) -> Result<()> {
    let call = Call {
        operation: "abort the upload of",
        subject,
        permission: "s3:AbortMultipartUpload",
    };
    let done = store
        .attempt(&store.caller, call, |client, _| {
            let request = client
                .abort_multipart_upload()
                .bucket(store.bucket())
                .key(name)
                .upload_id(id);
            async { request.send().await.map_err(|error| Fault::of(&error)) }
        })
        .await;
    match done {
        Err((Some(fault), _)) if fault.is_no_upload() || fault.is_absent() => Ok(()),
        Err((_, error)) => Err(error),
        Ok(_) => Ok(()),
    }
}

/// Aborts all uploads of exactly this name but `ours`, which came of a request whose answer was lost.
pub(crate) async fn abort_lost(store: &Store, subject: &str, name: &str, ours: Option<&str>) {
    let found = match list(store, name).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%error, key = subject, "an upload may be left behind");
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

/// Aborts all uploads in `folder`, or under the whole prefix, and tells how many there were.
pub(crate) async fn discard(store: &Store, folder: Option<&Key>) -> Result<u64> {
    let prefix = match folder {
        Some(folder) => store.name(&format!("{folder}/")),
        None => store.name(""),
    };
    let mut count = 0;
    for (name, id) in list(store, &prefix).await? {
        // Only what is ours to end, whatever the store takes a prefix for.
        if let Some(path) = name.strip_prefix(&store.config.prefix)
            && name.starts_with(&prefix)
        {
            abort(store, path, &name, &id).await?;
            count += 1;
        }
    }
    Ok(count)
}

/// The uploads whose names start with `prefix`, by name and id.
async fn list(store: &Store, prefix: &str) -> Result<Vec<(String, String)>> {
    let subject = store.url(prefix);
    let call = Call {
        operation: "list the uploads in",
        subject: &subject,
        permission: "s3:ListBucketMultipartUploads",
    };
    let mut found = Vec::new();
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
            let id = upload.upload_id().unwrap_or_default();
            found.push((text(upload.key(), encoded), id.to_owned()));
        }
        let next = page
            .next_key_marker()
            .filter(|_| page.is_truncated() == Some(true));
        let Some(next) = next else {
            return Ok(found);
        };
        key_marker = Some(text(Some(next), encoded));
        id_marker = page.next_upload_id_marker().map(str::to_owned);
    }
}
