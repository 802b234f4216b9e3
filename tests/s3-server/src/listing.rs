//! Pages of listings: each costs only its own keys, however many come before and after it.

use std::collections::BTreeMap;
use std::ops::Bound;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, EncodingType, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsV2Input, ListObjectsV2Output, MultipartUpload, Object, ObjectStorageClass,
    Timestamp,
};
use s3s::{S3Result, s3_error};

use crate::store::Bucket;

/// Text as S3 writes it in a listing with `encoding-type=url`.
fn url_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'*' | b'/' => {
                encoded.push(byte.into());
            }
            b' ' => encoded.push('+'),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The first text after all that start with `prefix`, which ends in an ASCII character.
fn behind(prefix: &str) -> String {
    let mut bytes = prefix.as_bytes().to_vec();
    if let Some(last) = bytes.last_mut() {
        *last += 1;
    }
    String::from_utf8(bytes).expect("the last character is ASCII")
}

pub(crate) fn list_objects(
    bucket: &Bucket,
    input: ListObjectsV2Input,
    page_keys: usize,
) -> S3Result<ListObjectsV2Output> {
    let prefix = input.prefix.clone().unwrap_or_default();
    let delimiter = input.delimiter.clone().filter(|text| !text.is_empty());
    let most = usize::try_from(input.max_keys.unwrap_or(1000))
        .unwrap_or(0)
        .min(page_keys);
    let mut from = match &input.continuation_token {
        Some(token) => {
            let decoded = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
            let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
            let text = text
                .ok_or_else(|| s3_error!(InvalidArgument, "The continuation token is not valid"))?;
            match text.strip_prefix('=') {
                Some(from) => Bound::Included(from.to_owned()),
                None => Bound::Excluded(text[1..].to_owned()),
            }
        }
        None => match input.start_after.clone() {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix.clone()),
        },
    };
    let encoded = input
        .encoding_type
        .as_ref()
        .is_some_and(|kind| kind.as_str() == EncodingType::URL);
    let text = |text: &str| {
        if encoded {
            url_encoded(text)
        } else {
            text.to_owned()
        }
    };
    let mut contents = Vec::new();
    let mut folders = Vec::new();
    let mut next = None;
    loop {
        let object = first(&bucket.objects, &from, &prefix);
        // A key with old versions only still shows its folder in a listing.
        let old = (delimiter.as_ref()).and_then(|_| first(&bucket.old_versions, &from, &prefix));
        let (key, object) = match (object, old) {
            (Some((key, _)), Some((old, _))) if old < key => (old, None),
            (Some((key, object)), _) => (key, Some(object)),
            (None, Some((old, _))) => (old, None),
            (None, None) => break,
        };
        let folder = delimiter.as_ref().and_then(|delimiter| {
            let at = key[prefix.len()..].find(delimiter.as_str())?;
            Some(&key[..prefix.len() + at + delimiter.len()])
        });
        if folder.is_none() && object.is_none() {
            from = Bound::Excluded(key.clone());
            continue;
        }
        if contents.len() + folders.len() == most {
            next = Some(match &from {
                Bound::Included(from) => format!("={from}"),
                Bound::Excluded(after) => format!(">{after}"),
                Bound::Unbounded => "=".to_owned(),
            });
            break;
        }
        match (folder, object) {
            (Some(folder), _) => {
                from = Bound::Included(behind(folder));
                // A listing that starts within a folder has it only if one of its keys comes after
                // the start.
                folders.push(CommonPrefix {
                    prefix: Some(text(folder)),
                });
            }
            (None, None) => {}
            (None, Some(object)) => {
                from = Bound::Excluded(key.clone());
                contents.push(Object {
                    key: Some(text(key)),
                    e_tag: Some(object.e_tag()),
                    size: Some(object.blob.len() as i64),
                    last_modified: Some(Timestamp::from(object.modified)),
                    storage_class: object.class.map(ObjectStorageClass::from_static),
                    ..Object::default()
                });
            }
        }
    }
    Ok(ListObjectsV2Output {
        name: Some(input.bucket),
        key_count: Some((contents.len() + folders.len()) as i32),
        max_keys: Some(most as i32),
        is_truncated: Some(next.is_some()),
        next_continuation_token: next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
        contents: Some(contents),
        common_prefixes: Some(folders),
        prefix: Some(text(&prefix)),
        delimiter,
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    })
}

fn first<'a, T>(
    objects: &'a BTreeMap<String, T>,
    from: &Bound<String>,
    prefix: &str,
) -> Option<(&'a String, &'a T)> {
    let range = (from.as_ref().map(String::as_str), Bound::Unbounded);
    let found = objects.range::<str, _>(range).next();
    found.filter(|(key, _)| key.starts_with(prefix))
}

pub(crate) fn list_uploads(
    bucket: &Bucket,
    input: &ListMultipartUploadsInput,
    exact_only: bool,
    page_keys: usize,
) -> ListMultipartUploadsOutput {
    let prefix = input.prefix.clone().unwrap_or_default();
    let most = usize::try_from(input.max_uploads.unwrap_or(1000))
        .unwrap_or(0)
        .min(page_keys);
    let marker = (
        input.key_marker.clone().unwrap_or_default(),
        input.upload_id_marker.clone().unwrap_or_default(),
    );
    let found = bucket.uploads.iter().filter(|((key, id), _)| {
        let fits = if exact_only {
            *key == prefix
        } else {
            key.starts_with(&prefix)
        };
        let later = match &input.upload_id_marker {
            Some(_) => (key, id) > (&marker.0, &marker.1),
            None => input.key_marker.is_none() || *key > marker.0,
        };
        fits && later
    });
    let mut uploads: Vec<_> = found.take(most + 1).collect();
    let truncated = uploads.len() > most;
    uploads.truncate(most);
    let last = uploads
        .last()
        .filter(|_| truncated)
        .map(|(at, _)| (*at).clone());
    let (next_key_marker, next_upload_id_marker) = last.unzip();
    ListMultipartUploadsOutput {
        bucket: Some(input.bucket.clone()),
        prefix: Some(prefix),
        is_truncated: Some(truncated),
        next_key_marker,
        next_upload_id_marker,
        uploads: Some(
            uploads
                .into_iter()
                .map(|((key, id), upload)| MultipartUpload {
                    key: Some(key.clone()),
                    upload_id: Some(id.clone()),
                    initiated: Some(Timestamp::from(upload.begun)),
                    ..MultipartUpload::default()
                })
                .collect(),
        ),
        ..ListMultipartUploadsOutput::default()
    }
}
