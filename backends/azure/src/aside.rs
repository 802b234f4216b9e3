//! Setting aside: copies beside the prefix, outside of what the sink lists.

use arc_backup_core::{AsideMode, Error, ErrorKind, Key, Result};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::copy::{Copy, delete};
use crate::error::absent;
use crate::store::{Properties, Store};

/// The metadata of a copy that tells which version it is of.
const ORIGIN: &str = "arc_backup_origin";

/// How many blobs are deleted at once.
pub(crate) const DELETES: usize = 32;

/// What the names begin with that the operation `area` sets aside; `None` where there is no prefix to be beside of.
pub(crate) fn place(store: &Store, area: &str) -> Option<String> {
    let prefix = store.prefix().strip_suffix('/')?;
    Some(format!("{prefix}.before-restore/{area}/"))
}

fn checked_place(store: &Store, operation: &'static str, area: &str) -> Result<String> {
    let error = |kind, detail: &str| Err(Error::new(kind, operation, area, detail));
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if area.is_empty() || !area.bytes().all(allowed) {
        return error(ErrorKind::Invalid, "it is no name of an operation");
    }
    match place(store, area) {
        Some(place) => Ok(place),
        None => error(
            ErrorKind::Unsupported,
            "without `azure_prefix` nothing lies beside what the sink lists",
        ),
    }
}

/// Keeps `key` for the operation `area`.
pub(crate) async fn set_aside(store: &Store, key: &Key, area: &str, mode: AsideMode) -> Result<()> {
    const OPERATION: &str = "set aside";
    let place = checked_place(store, OPERATION, area)?;
    let name = store.name(key);
    let wanted = format!("{place}{key}");
    let Some(live) = store.head(OPERATION, key, &name).await? else {
        // Moved there before: an operation that is run again finds its work done.
        let done = mode == AsideMode::Move && store.head(OPERATION, key, &wanted).await?.is_some();
        return if done {
            Ok(())
        } else {
            Err(absent(OPERATION, key))
        };
    };
    let etag = live.stamp.etag.as_deref();
    let mut metadata = live.metadata.clone();
    metadata.insert(ORIGIN.to_owned(), etag.unwrap_or_default().to_owned());
    let container = store.path("");
    let container = container.trim_end_matches('/');
    for number in 0..=9999 {
        let to = match number {
            0 => wanted.clone(),
            number => format!("{wanted}.{number}"),
        };
        // Looked at first: a copy to where something is would be refused anyway, but not by every store.
        match store.head(OPERATION, key, &to).await? {
            Some(there) if is_same(&live, &there) => {}
            Some(_) => continue,
            None => {
                let copy = Copy {
                    operation: OPERATION,
                    subject: key,
                    from: (container, &name),
                    to: &to,
                    if_match: etag,
                    create_new: true,
                    metadata: Some(metadata.clone()),
                };
                match copy.run(store).await {
                    Ok(_) => {}
                    Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                        let there = store.head(OPERATION, key, &to).await?;
                        if !there.is_some_and(|there| is_same(&live, &there)) {
                            continue;
                        }
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        if mode == AsideMode::Move {
            delete(store, OPERATION, key, &name, etag).await?;
        }
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::AlreadyExists,
        OPERATION,
        key.as_str(),
        "too many others of this name are aside",
    ))
}

/// Whether `there` is a copy of this version of `live`, or has the same bytes as far as the store's sums tell.
fn is_same(live: &Properties, there: &Properties) -> bool {
    let origin = there.metadata.get(ORIGIN).map(String::as_str);
    if origin.is_some() && origin == live.stamp.etag.as_deref() {
        return true;
    }
    there.size == live.size && live.md5.is_some() && live.md5 == there.md5
}

/// Removes what the operation `area` has set aside.
pub(crate) async fn remove_aside(store: &Store, area: &str) -> Result<()> {
    let place = checked_place(store, "remove", area)?;
    let mut marker = None;
    loop {
        let (names, next) = crate::list::names_page(store, &place, marker).await?;
        stream::iter(names)
            .map(Ok)
            .try_for_each_concurrent(DELETES, |name| async move {
                delete(store, "delete", &name, &name, None).await
            })
            .await?;
        if next.is_none() {
            return Ok(());
        }
        marker = next;
    }
}
