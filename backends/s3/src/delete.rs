//! Deleting, a thousand objects with a request.

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use arc_backup_core::remote::Retrier;
use arc_backup_core::{Activity, Error, ErrorKind, Key, Purpose, Result};
use aws_sdk_s3::Client;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use futures::{StreamExt, TryStreamExt, stream};

use crate::call::Call;
use crate::checksum::md5_text;
use crate::error::RequestFault;
use crate::list;
use crate::no_checksums::remove_checksums;
use crate::store::Store;

/// How many objects one request deletes: S3's limit.
const BATCH: usize = 1000;
/// How many such requests are under way at once.
const BATCHES: usize = 4;

fn deleting(subject: &str) -> Call<'_> {
    Call {
        operation: "delete",
        subject,
        permission: "s3:DeleteObject",
    }
}

/// Deletes the objects `keys`.
pub(crate) async fn delete(store: &Store, keys: &[Key]) -> Result<()> {
    let names: Vec<_> = keys.iter().map(|key| store.name(key)).collect();
    delete_names(store, &names, store.config.prefix.len()).await
}

/// Deletes the objects of these names. Errors name them without their first `hidden` bytes.
async fn delete_names(store: &Store, names: &[String], hidden: usize) -> Result<()> {
    let batches = names.chunks(BATCH);
    let batches: Vec<_> = batches
        .map(|batch| delete_batch(store, batch, hidden))
        .collect();
    stream::iter(batches)
        .buffer_unordered(BATCHES)
        .try_collect()
        .await
}

/// Removes all objects whose names start with `prefix`.
pub(crate) async fn remove_below(store: &Store, prefix: &str, activity: &Activity) -> Result<()> {
    let mut deleted = None;
    loop {
        let names = list::first_names(store, prefix).await?;
        let Some(first) = names.first() else {
            return Ok(());
        };
        if deleted.as_ref() == Some(first) {
            return Err(list::unreliable(
                deleting(first),
                "it was deleted, and is listed as before",
            ));
        }
        deleted = Some(first.clone());
        delete_names(store, &names, 0).await?;
        activity.note();
    }
}

async fn delete_batch(store: &Store, names: &[String], hidden: usize) -> Result<()> {
    let subject = names.first().map_or("", |name| &name[hidden..]);
    // What a try has deleted needs no other.
    let left = Mutex::new(names.to_vec());
    let done = store
        .attempt(
            store.retrier(Purpose::Data),
            deleting(subject),
            |client, _| {
                let batch = left.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let left = &left;
                async move {
                    let refused = send(store, &client, &batch).await?;
                    let again: Vec<_> = refused.iter().filter(|row| row.heals).collect();
                    if again.len() < refused.len() || again.is_empty() {
                        return Ok(refused);
                    }
                    *left.lock().unwrap_or_else(PoisonError::into_inner) =
                        again.iter().map(|row| row.name.clone()).collect();
                    Err(RequestFault::answer(503, &again[0].code, &again[0].message))
                }
            },
        )
        .await;
    match done {
        Ok(refused) => match refused.into_iter().find(|row| !row.heals) {
            Some(row) => {
                let fault = RequestFault::answer(400, &row.code, &row.message);
                let named = row.name.get(hidden..).unwrap_or(&row.name);
                Err(fault.about(deleting(named), &store.destination))
            }
            None => Ok(()),
        },
        Err((_, error)) if error.kind() == ErrorKind::Unsupported => {
            let each = names.iter();
            let each: Vec<_> = each
                .map(|name| delete_one(store, name, &name[hidden..], None))
                .collect();
            stream::iter(each)
                .buffer_unordered(store.config.requests)
                .try_collect()
                .await
        }
        Err((_, error)) => Err(error),
    }
}

/// A key that was not deleted.
struct Refused {
    name: String,
    code: String,
    message: String,
    heals: bool,
}

async fn send(
    store: &Store,
    client: &Client,
    names: &[String],
) -> Result<Vec<Refused>, RequestFault> {
    let with_md5 = store.deletes_need_md5.load(Ordering::Relaxed);
    match send_once(store, client, names, with_md5).await {
        Err(fault) if fault.lacks_md5() && !with_md5 => {
            store.deletes_need_md5.store(true, Ordering::Relaxed);
            send_once(store, client, names, true).await
        }
        sent => sent,
    }
}

async fn send_once(
    store: &Store,
    client: &Client,
    names: &[String],
    with_md5: bool,
) -> Result<Vec<Refused>, RequestFault> {
    let objects = names.iter().map(|name| {
        let object = ObjectIdentifier::builder().key(name).build();
        object.expect("it has a key")
    });
    let delete = Delete::builder()
        .set_objects(Some(objects.collect()))
        .quiet(true);
    let request = client
        .delete_objects()
        .bucket(store.bucket())
        .delete(delete.build().expect("it has objects"));
    let answer = match with_md5 {
        false => request.send().await,
        // S3 wants some checksum with this request, and old stores know only this.
        true => {
            request
                .customize()
                .mutate_request(|request| {
                    remove_checksums(request);
                    if let Some(md5) = request.body().bytes().map(md5_text) {
                        request.headers_mut().insert("content-md5", md5);
                    }
                })
                .send()
                .await
        }
    };
    let answer = answer.map_err(|error| RequestFault::of(&error))?;
    let refused = answer
        .errors()
        .iter()
        .filter(|row| row.code() != Some("NoSuchKey"));
    Ok(refused
        .map(|row| {
            let code = row.code().unwrap_or("InternalError");
            Refused {
                name: row.key().unwrap_or_default().to_owned(),
                code: code.to_owned(),
                message: row.message().unwrap_or_default().to_owned(),
                heals: matches!(
                    code,
                    "InternalError" | "SlowDown" | "ServiceUnavailable" | "RequestTimeout"
                ),
            }
        })
        .collect())
}

/// Deletes the object of this name, under the condition, where there is one, that it has this
/// entity tag. An absent object is not an error.
pub(crate) async fn delete_one(
    store: &Store,
    name: &str,
    subject: &str,
    if_match: Option<String>,
) -> Result<()> {
    let retrier = store.retrier(Purpose::Data);
    match send_delete(store, retrier, deleting(subject), name, if_match).await {
        Err((Some(fault), _)) if fault.is_absent() => Ok(()),
        Err((_, error)) => Err(error),
        Ok(()) => Ok(()),
    }
}

/// The request itself; what goes wrong comes with the store's answer, where there was one.
pub(crate) async fn send_delete(
    store: &Store,
    retrier: &Retrier,
    call: Call<'_>,
    name: &str,
    if_match: Option<String>,
) -> Result<(), (Option<RequestFault>, Error)> {
    let sent = store
        .attempt(retrier, call, |client, _| {
            let request = client
                .delete_object()
                .bucket(store.bucket())
                .key(name)
                .set_if_match(if_match.clone());
            async {
                request
                    .send()
                    .await
                    .map_err(|error| RequestFault::of(&error))
            }
        })
        .await;
    sent.map(drop)
}
