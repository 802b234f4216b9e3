//! Listings: page by page, and one level at a time.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

use arc_backup_core::{
    Child, Error, ErrorKind, Key, ListOptions, ListStream, Listed, Meta, OtherKind, Result,
};
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use aws_sdk_s3::types::{EncodingType, Object, ObjectStorageClass, OptionalObjectAttributes};
use futures::{StreamExt, stream};

use crate::address::{AWS, address_place};
use crate::call::Call;
use crate::store::{Store, size};

/// Sorts behind whatever a key may have in its place.
const LAST: char = '\u{10ffff}';

fn listing(subject: &str) -> Call<'_> {
    Call {
        operation: "list",
        subject,
        permission: "s3:ListBucket",
    }
}

/// Where the next page starts.
enum From {
    Start,
    /// Behind this name.
    After(String),
    Token(String),
    Done,
}

struct Walk {
    store: Arc<Store>,
    /// What all names start with that are listed.
    prefix: String,
    options: ListOptions,
    from: From,
    order: Order,
    rows: VecDeque<Result<Listed>>,
}

/// What a listing has given so far: it goes on strictly upwards, or can't be relied on.
#[derive(Default)]
struct Order {
    name: Option<String>,
    folder: Option<String>,
    /// The tokens of this listing since it last gave anything.
    tokens: HashSet<String>,
}

impl Order {
    fn name(&mut self, subject: &str, name: &str) -> Result<()> {
        rise(subject, &mut self.name, name)?;
        self.tokens.clear();
        Ok(())
    }

    fn folder(&mut self, subject: &str, name: &str) -> Result<()> {
        rise(subject, &mut self.folder, name)?;
        self.tokens.clear();
        Ok(())
    }

    /// Where the listing goes on behind this page.
    fn next(&mut self, subject: &str, page: &ListObjectsV2Output) -> Result<From> {
        if page.is_truncated() != Some(true) {
            return Ok(From::Done);
        }
        let token = page.next_continuation_token().unwrap_or_default();
        if token.is_empty() {
            return Err(unreliable(
                listing(subject),
                "it breaks off without a token to go on with",
            ));
        }
        if !self.tokens.insert(token.to_owned()) {
            return Err(unreliable(
                listing(subject),
                "it goes on where it was before",
            ));
        }
        Ok(From::Token(token.to_owned()))
    }
}

fn rise(subject: &str, last: &mut Option<String>, name: &str) -> Result<()> {
    if last.as_deref().is_some_and(|last| name <= last) {
        let reason = format!("`{name}` does not come in byte order");
        return Err(unreliable(listing(subject), &reason));
    }
    *last = Some(name.to_owned());
    Ok(())
}

/// The error for a listing that would lack something, repeat something or never end.
pub(crate) fn unreliable(call: Call<'_>, reason: &str) -> Error {
    Error::new(
        ErrorKind::Other,
        call.operation,
        call.subject,
        format!("the store's listing can't be relied on: {reason}; see `s3_endpoint`"),
    )
    .with_setting("s3_endpoint")
}

/// The objects under the sink's prefix, in the order in which the store gives them: that of the
/// bytes of their names.
pub(crate) fn list(store: Arc<Store>, options: ListOptions) -> ListStream {
    let prefix = store.name(&options.prefix);
    let hidden =
        (options.skip.iter()).any(|folder| within(options.prefix.trim_end_matches('/'), folder));
    let from = match &options.start_after {
        _ if hidden => From::Done,
        Some(after) if !after.is_empty() => From::After(store.name(after)),
        _ => From::Start,
    };
    let walk = Walk {
        store,
        prefix,
        options,
        from,
        order: Order::default(),
        rows: VecDeque::new(),
    };
    stream::unfold(walk, |mut walk| async move {
        loop {
            if let Some(row) = walk.rows.pop_front() {
                return Some((row, walk));
            }
            if matches!(walk.from, From::Done) {
                return None;
            }
            if let Err(error) = walk.turn_page().await {
                walk.from = From::Done;
                walk.rows.push_back(Err(error));
            }
        }
    })
    .boxed()
}

/// Whether `path` is `folder` or in it.
pub(crate) fn within(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl Walk {
    async fn turn_page(&mut self) -> Result<()> {
        let subject = self.store.url(&self.prefix);
        let page = page(&self.store, &subject, &self.prefix, &self.from, None).await?;
        let decoded = page.encoding_type() == Some(&EncodingType::Url);
        let mut skipped = None;
        for object in page.contents() {
            let name = text(object.key(), decoded);
            self.order.name(&subject, &name)?;
            let Some(path) = name.strip_prefix(&self.store.config.prefix) else {
                continue;
            };
            skipped = self.options.skip.iter().find(|folder| within(path, folder));
            // Some stores take `start_after` as the first name instead of the last before it.
            let before = self
                .options
                .start_after
                .as_deref()
                .is_some_and(|after| path <= after);
            if skipped.is_none() && !before {
                self.rows.extend(row(&subject, path, object).transpose());
            }
        }
        self.from = self.order.next(&subject, &page)?;
        // The page ends in a folder that nobody wants to see: go on behind it, however much lies in
        // it.
        if let (Some(folder), From::Token(_)) = (skipped, &self.from) {
            self.from = From::After(self.store.name(&format!("{folder}/{LAST}")));
        }
        Ok(())
    }
}

/// Whether nothing can be read from an object. That it was restored for a while, not every store
/// says in a listing.
fn is_archived(object: &Object) -> bool {
    let restored = (object.restore_status())
        .is_some_and(|status| status.is_restore_in_progress() != Some(true));
    !restored
        && matches!(
            object.storage_class(),
            Some(ObjectStorageClass::Glacier | ObjectStorageClass::DeepArchive)
        )
}

/// An object as a row. An empty one whose name ends in `/` is what some tools take for a folder: it
/// is none of ours.
fn row(subject: &str, path: &str, object: &Object) -> Result<Option<Listed>> {
    let size = size(listing(subject), "`Size`", object.size())?;
    if size == 0 && (path.is_empty() || path.ends_with('/')) {
        return Ok(None);
    }
    Ok(Some(match Key::parse(path) {
        Ok(key) => Listed::Object(Meta {
            archived: is_archived(object),
            ..Store::meta(&key, size, object.e_tag(), object.last_modified())
        }),
        Err(_) => Listed::Other {
            path: path.to_owned(),
            kind: OtherKind::Unaddressable,
        },
    }))
}

async fn page(
    store: &Store,
    subject: &str,
    prefix: &str,
    from: &From,
    delimiter: Option<&str>,
) -> Result<ListObjectsV2Output> {
    let (after, token) = match from {
        From::After(name) => (Some(name), None),
        From::Token(token) => (None, Some(token)),
        From::Start | From::Done => (None, None),
    };
    // A header that stores of other makes need not know.
    let restored = (delimiter.is_none() && address_place(store) == AWS)
        .then(|| vec![OptionalObjectAttributes::RestoreStatus]);
    store
        .call(listing(subject), |client, _| {
            client
                .list_objects_v2()
                .bucket(store.bucket())
                .prefix(prefix)
                .set_start_after(after.cloned())
                .set_continuation_token(token.cloned())
                .set_delimiter(delimiter.map(str::to_owned))
                .set_optional_object_attributes(restored.clone())
                // XML can't carry every character that a name may have.
                .encoding_type(EncodingType::Url)
                .send()
        })
        .await
}

/// The objects and folders right in `folder`. The store leaves out what lies below.
pub(crate) async fn list_children(store: &Store, folder: Option<&Key>) -> Result<Vec<Child>> {
    let prefix = match folder {
        Some(folder) => store.name(&format!("{folder}/")),
        None => store.name(""),
    };
    let subject = store.url(&prefix);
    let mut children = Vec::new();
    let mut order = Order::default();
    let mut from = From::Start;
    while !matches!(from, From::Done) {
        let page = page(store, &subject, &prefix, &from, Some("/")).await?;
        let decoded = page.encoding_type() == Some(&EncodingType::Url);
        for object in page.contents() {
            let name = text(object.key(), decoded);
            order.name(&subject, &name)?;
            let name = name.strip_prefix(&prefix).unwrap_or_default();
            // The folder's own marker.
            if !name.is_empty() {
                children.push(child(name, Child::Object));
            }
        }
        for folder in page.common_prefixes() {
            let name = text(folder.prefix(), decoded);
            order.folder(&subject, &name)?;
            let name = name.strip_prefix(&prefix).unwrap_or_default();
            children.push(child(name.strip_suffix('/').unwrap_or(name), Child::Folder));
        }
        from = order.next(&subject, &page)?;
    }
    children.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(children)
}

fn child(name: &str, make: fn(String) -> Child) -> Child {
    match Key::parse(name) {
        Ok(_) => make(name.to_owned()),
        Err(_) => Child::Other(name.to_owned(), OtherKind::Unaddressable),
    }
}

/// A name in an answer, decoded where it is encoded as in a query.
pub(crate) fn text(name: Option<&str>, encoded: bool) -> String {
    let name = name.unwrap_or_default();
    if !encoded {
        return name.to_owned();
    }
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [byte, tail @ ..] = rest {
        let digits = tail.get(..2).filter(|_| *byte == b'%');
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(value) = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(value);
            rest = &tail[2..];
            continue;
        }
        bytes.push(if *byte == b'+' { b' ' } else { *byte });
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The first names that start with `prefix`, at most a page of them. The caller removes them.
pub(crate) async fn first_names(store: &Store, prefix: &str) -> Result<Vec<String>> {
    let subject = store.url(prefix);
    let mut order = Order::default();
    let mut from = From::Start;
    // A page may be empty with more behind it.
    while !matches!(from, From::Done) {
        let page = page(store, &subject, prefix, &from, None).await?;
        let decoded = page.encoding_type() == Some(&EncodingType::Url);
        let names = page.contents().iter();
        let names: Vec<_> = names.map(|object| text(object.key(), decoded)).collect();
        if !names.is_empty() {
            return Ok(names);
        }
        from = order.next(&subject, &page)?;
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lost if it fails: an object under another name than its own.
    #[test]
    fn names_are_decoded_as_they_were_encoded() {
        for (encoded, name) in [
            ("a+b%2Bc%25/%C3%A9", "a b+c%/é"),
            ("100%", "100%"),
            ("%zz%4", "%zz%4"),
            ("%41", "A"),
        ] {
            assert_eq!(text(Some(encoded), true), name);
            assert_eq!(text(Some(encoded), false), encoded);
        }
    }
}
