//! Setting aside: keeping what a restore replaces, beside the prefix, by copies within the store.

use arc_backup_core::{Activity, AsideArea, AsideAreas, AsideMode, Error, ErrorKind, Key, Result};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use bytes::Bytes;

use crate::checksum::Sum;
use crate::config::S3Config;
use crate::copy::{Source, copy};
use crate::delete::{delete_one, remove_below};
use crate::error::{Call, absent};
use crate::read::head_answer;
use crate::sink::S3Sink;
use crate::store::{Shared, Store, nonce, odd_answer, quoted, unquoted};

/// What stands behind the prefix, without its last `/`.
const SUFFIX: &str = ".before-restore/";

/// Versions of one key that are kept, at the most.
const MOST_VERSIONS: u32 = 10_000;

/// How often an object is copied that is written meanwhile.
const TRIES: u32 = 5;

fn setting_aside(subject: &str) -> Call<'_> {
    Call {
        operation: "set aside",
        subject,
        permission: "s3:GetObject",
    }
}

/// What the names start with of all that the operation `area` sets aside.
pub(crate) fn area_prefix(store: &Store, area: &str) -> String {
    let prefix = store.config.prefix.trim_end_matches('/');
    format!("{prefix}{SUFFIX}{area}/")
}

/// What is set aside now, by operation.
pub(crate) async fn list_aside(store: &Store) -> Result<Vec<AsideArea>> {
    let mut areas = AsideAreas::default();
    if !store.config.prefix.is_empty() {
        let prefix = store.config.prefix.trim_end_matches('/');
        let place = S3Sink::new(S3Config {
            prefix: format!("{prefix}{SUFFIX}"),
            ..store.config.clone()
        })?;
        areas.add_all(&place, None).await?;
    }
    Ok(areas.into_vec())
}

fn check(store: &Store, subject: &str, area: &str) -> Result<()> {
    let refuse = |kind, reason: &str| Err(Error::new(kind, "set aside", subject, reason));
    if store.config.prefix.is_empty() {
        return refuse(
            ErrorKind::Unsupported,
            "there is no place beside a whole bucket; see `s3_prefix`",
        );
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if area.is_empty() || !area.chars().all(is_word) {
        return refuse(
            ErrorKind::Invalid,
            "the operation has letters, digits and `-` only",
        );
    }
    Ok(())
}

/// Tries the place for what the operation `area` sets aside with an object that it writes, looks at and deletes.
pub(crate) async fn prepare_aside(store: &Store, area: &str) -> Result<()> {
    check(store, area, area)?;
    let name = format!("{}.arc-backup-probe-{}", area_prefix(store, area), nonce());
    let subject = store.url(&name);
    let tried = try_place(store, &name, &subject).await;
    // Also after a fault: the store may have done what it said it did not.
    let deleted = delete_one(store, &name, &subject, None).await;
    tried.and(deleted)
}

async fn try_place(store: &Store, name: &str, subject: &str) -> Result<()> {
    let call = Call {
        permission: "s3:PutObject",
        ..setting_aside(subject)
    };
    let body = Bytes::from_static(b"arc-backup");
    let sum = Sum::of(&body, store.config.checksums);
    store
        .call(call, |client, _| {
            client
                .put_object()
                .bucket(store.bucket())
                .key(name)
                .set_checksum_crc64_nvme(sum.crc64_text())
                .set_content_md5(sum.md5_text())
                .body(body.clone().into())
                .send()
        })
        .await?;
    let there = head_answer(store, setting_aside(subject), name).await?;
    there.map(drop).ok_or_else(|| absent("set aside", subject))
}

pub(crate) async fn set_aside(
    store: &Shared,
    key: &Key,
    area: &str,
    mode: AsideMode,
) -> Result<()> {
    check(store, key, area)?;
    for _ in 0..TRIES {
        match set_aside_once(store, key, area, mode).await {
            // It was written meanwhile: what is there now is kept too.
            Err(error) if error.kind() == ErrorKind::Changed => {}
            done => return done,
        }
    }
    Err(changed(key))
}

fn changed(key: &str) -> Error {
    Error::new(
        ErrorKind::Changed,
        "set aside",
        key,
        "it is written again and again meanwhile",
    )
}

async fn set_aside_once(store: &Shared, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
    let call = setting_aside(key);
    let wanted = format!("{}{key}", area_prefix(store, area));
    let from = store.name(key);
    let Some(there) = head_answer(store, call, &from).await? else {
        // Moved there before: an operation that is run again finds its work done.
        let done = mode == AsideMode::Move && head_answer(store, call, &wanted).await?.is_some();
        return if done {
            Ok(())
        } else {
            Err(absent("set aside", key))
        };
    };
    let source = Source {
        bucket: store.bucket(),
        name: &from,
    };
    for number in 0..MOST_VERSIONS {
        let name = match number {
            0 => wanted.clone(),
            number => format!("{wanted}.{number}"),
        };
        match head_answer(store, call, &name).await? {
            Some(kept) if !is_same(&kept, &there) => continue,
            Some(_) => {}
            None => {
                copy(store, &source, &there, key, name).await?;
            }
        }
        if mode == AsideMode::Move {
            delete_copied(store, key, &from, &there).await?;
        }
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        "set aside",
        key.as_str(),
        "too many versions of it are kept already",
    ))
}

/// Deletes the very version of an object that was copied; [`ErrorKind::Changed`] when another is there.
///
/// Stores that know no condition here ignore it as well as refuse it, so that it is looked at first in any case.
async fn delete_copied(
    store: &Store,
    key: &Key,
    name: &str,
    copied: &HeadObjectOutput,
) -> Result<()> {
    let call = setting_aside(key);
    let etag = copied.e_tag().map(unquoted);
    let etag = etag.ok_or_else(|| odd_answer(call, "`ETag`"))?;
    match head_answer(store, call, name).await? {
        None => return Ok(()),
        Some(there) if there.e_tag().map(unquoted).as_ref() != Some(&etag) => {
            return Err(changed(key));
        }
        Some(_) => {}
    }
    match delete_one(store, name, key, Some(quoted(&etag))).await {
        Err(error) if error.kind() == ErrorKind::Unsupported => {
            delete_one(store, name, key, None).await
        }
        done => done,
    }
}

/// Whether two objects have the same bytes, as far as the store tells. A copy of an object that was uploaded in parts
/// has an entity tag of its own; its checksum is the same. In doubt they are two, and both are kept.
fn is_same(a: &HeadObjectOutput, b: &HeadObjectOutput) -> bool {
    if a.content_length() != b.content_length() {
        return false;
    }
    let both = |of: fn(&HeadObjectOutput) -> Option<&str>| of(a).is_some() && of(a) == of(b);
    both(HeadObjectOutput::e_tag)
        || both(HeadObjectOutput::checksum_crc64_nvme)
        || both(HeadObjectOutput::checksum_sha256)
}

pub(crate) async fn remove_aside(store: &Store, area: &str, activity: &Activity) -> Result<()> {
    check(store, area, area)?;
    remove_below(store, &area_prefix(store, area), activity).await
}
