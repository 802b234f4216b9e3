//! Listings, page by page.
//!
//! The SDK's client asks for a page; the page is read here, because the SDK reads no folders
//! (`BlobPrefix`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use arc_backup_core::{
    Child, Error, ErrorKind, Key, ListOptions, ListStream, Listed, Meta, OtherKind, Result,
};
use azure_core::error::ErrorKind as SdkKind;
use azure_core::http::Url;
use azure_core::http::pager::PagerOptions;
use azure_core::time::parse_rfc7231;
use azure_storage_blob::models::BlobContainerClientListBlobsOptions;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;

use crate::store::{ARCHIVE, Stamp, Store};
use crate::wire::Extra;

/// One page of a listing.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Page {
    blobs: Rows,
    next_marker: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Rows {
    /// Blobs and folders as they come: mixed, in the order of names.
    #[serde(rename = "$value")]
    rows: Vec<Row>,
}

#[derive(Debug, Deserialize)]
enum Row {
    Blob(Item),
    BlobPrefix(Item),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Item {
    name: Name,
    #[serde(default)]
    properties: Properties,
}

#[derive(Debug, Deserialize)]
struct Name {
    #[serde(rename = "@Encoded", default)]
    encoded: bool,
    #[serde(rename = "$text", default)]
    text: String,
}

impl Name {
    /// The name; names that XML can't carry come percent-encoded.
    fn text(self) -> String {
        if !self.encoded {
            return self.text;
        }
        // A URL parser undoes the escapes, where none of its own signs is left.
        let mut text = self.text.clone();
        for (sign, escaped) in [("+", "%2B"), ("&", "%26"), ("=", "%3D"), ("#", "%23")] {
            text = text.replace(sign, escaped);
        }
        Url::parse(&format!("https://name.invalid/?{text}"))
            .ok()
            .and_then(|url| url.query_pairs().next().map(|(name, _)| name.into_owned()))
            .unwrap_or(self.text)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Properties {
    #[serde(rename = "Content-Length")]
    length: Option<u64>,
    #[serde(rename = "Etag")]
    etag: Option<String>,
    #[serde(rename = "Last-Modified")]
    modified: Option<String>,
    #[serde(rename = "AccessTier")]
    tier: Option<String>,
    /// `directory` in an account with a hierarchical namespace.
    #[serde(rename = "ResourceType")]
    resource: Option<String>,
}

/// What to ask for.
#[derive(Debug, Clone, Default)]
struct Query {
    prefix: String,
    /// From this name on, where the store knows `startFrom`.
    from: Option<String>,
    marker: Option<String>,
    folders: bool,
}

async fn page(store: &Store, subject: &str, query: &Query) -> Result<Page> {
    let mut extra = Extra::default();
    if query.folders {
        extra.query.push(("delimiter", "/"));
    }
    let answer = store
        .call_with("list", subject, &extra, |options| {
            let request = BlobContainerClientListBlobsOptions {
                prefix: (!query.prefix.is_empty()).then(|| query.prefix.clone()),
                marker: query.marker.clone(),
                start_from: query.from.clone(),
                method_options: PagerOptions {
                    context: options.context,
                    ..PagerOptions::default()
                },
                ..BlobContainerClientListBlobsOptions::default()
            };
            let pages = store.container().list_blobs(Some(request));
            async move {
                let page = pages?.into_pages().try_next().await?;
                let page = page.ok_or_else(|| {
                    azure_core::Error::with_message(
                        SdkKind::DataConversion,
                        "a listing without a page",
                    )
                })?;
                azure_core::xml::from_xml::<_, Page>(page.to_raw_response().body())
            }
        })
        .await?;
    Ok(answer)
}

/// What is known of the store's `startFrom`: it came late to Azure, and emulators pass over it in
/// silence.
#[derive(Clone, Copy, PartialEq)]
enum StartFrom {
    Unknown = 0,
    Works = 1,
    Ignored = 2,
}

fn known(state: &AtomicU8) -> StartFrom {
    match state.load(Ordering::Relaxed) {
        1 => StartFrom::Works,
        2 => StartFrom::Ignored,
        _ => StartFrom::Unknown,
    }
}

/// A listing under way.
struct Listing {
    store: Arc<Store>,
    options: ListOptions,
    query: Query,
    /// Where to go on if the store ignores `startFrom`.
    otherwise: Option<String>,
    rows: VecDeque<(String, Properties)>,
    last: Option<String>,
    done: bool,
}

/// Lists the objects of these options.
pub(crate) fn list(store: Arc<Store>, options: ListOptions) -> ListStream {
    let prefix = store.name(&options.prefix);
    let from = options.start_after.as_ref().map(|after| store.name(after));
    list_names(store, options, prefix, from)
}

fn list_names(
    store: Arc<Store>,
    options: ListOptions,
    prefix: String,
    from: Option<String>,
) -> ListStream {
    // What comes before the prefix anyway is not a reason to ask for a start.
    let from = from.filter(|from| *from > prefix);
    let past = from.as_ref().is_some_and(|from| !from.starts_with(&prefix));
    let ignored = known(&store.start_from) == StartFrom::Ignored;
    let listing = Listing {
        query: Query {
            prefix,
            from: from.filter(|_| !ignored),
            ..Query::default()
        },
        store,
        options,
        otherwise: None,
        rows: VecDeque::new(),
        last: None,
        // A start behind all names of the prefix leaves none.
        done: past,
    };
    stream::unfold(Some(listing), |listing| async move {
        let mut listing = listing?;
        match listing.next().await {
            Ok(Some(row)) => Some((Ok(row), Some(listing))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl Listing {
    async fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            let Some((name, properties)) = self.rows.pop_front() else {
                if self.done {
                    return Ok(None);
                }
                self.turn().await?;
                continue;
            };
            let path = name.strip_prefix(self.store.prefix()).unwrap_or(&name);
            if self
                .options
                .start_after
                .as_deref()
                .is_some_and(|after| path <= after)
            {
                continue;
            }
            if let Some(folder) = self.skipped(path) {
                self.jump(&folder, path);
                continue;
            }
            // Markers of folders, which some tools leave, are no objects. One with bytes would be
            // lost in silence.
            let marks = path.is_empty() || path.ends_with('/');
            if (marks && properties.length.unwrap_or(0) == 0)
                || properties.resource.as_deref() == Some("directory")
            {
                continue;
            }
            return Ok(Some(match Key::parse(path) {
                Ok(key) => Listed::Object(Meta {
                    archived: properties.tier.as_deref() == Some(ARCHIVE),
                    ..stamp(&properties).meta(key, properties.length.unwrap_or(0))
                }),
                Err(_) => Listed::Other {
                    path: path.to_owned(),
                    kind: OtherKind::Unaddressable,
                },
            }));
        }
    }

    /// Gets the next page.
    async fn turn(&mut self) -> Result<()> {
        let subject = self.store.location(&self.query.prefix);
        let page = match page(&self.store, &subject, &self.query).await {
            Err(error)
                if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Other)
                    && self.query.from.is_some() =>
            {
                // A store that refuses what it does not know.
                self.without_start();
                return Ok(());
            }
            page => page?,
        };
        let mut rows: Vec<_> = (page.blobs.rows.into_iter())
            .filter_map(|row| match row {
                Row::Blob(item) => Some((item.name.text(), item.properties)),
                Row::BlobPrefix(_) => None,
            })
            .collect();
        if let Some(from) = &self.query.from
            && let Some((first, _)) = rows.first()
            && self.query.marker.is_none()
        {
            let works = first >= from;
            let state = if works {
                StartFrom::Works
            } else {
                StartFrom::Ignored
            };
            self.store.start_from.store(state as u8, Ordering::Relaxed);
            if !works && self.otherwise.is_some() {
                self.without_start();
                return Ok(());
            }
            if !works {
                // What comes too early is passed over here.
                self.query.from = None;
            }
        }
        // Azure orders names by their UTF-16 units, which within a page is soon mended.
        rows.sort_by(|(a, _), (b, _)| a.cmp(b));
        if let (Some((first, _)), Some(last)) = (rows.first(), &self.last)
            && first <= last
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "list",
                subject,
                format!(
                    "the store does not list names in byte order (`{first}` comes behind `{last}`): an account with a \
                     hierarchical namespace can't be used"
                ),
            ));
        }
        if let Some((last, _)) = rows.last() {
            self.last = Some(last.clone());
        }
        self.rows = rows.into();
        self.query.marker = page.next_marker.filter(|marker| !marker.is_empty());
        self.done = self.query.marker.is_none();
        self.otherwise = None;
        Ok(())
    }

    /// Goes on without `startFrom`: from the page behind the one where a jump began, or from the
    /// beginning.
    fn without_start(&mut self) {
        self.store
            .start_from
            .store(StartFrom::Ignored as u8, Ordering::Relaxed);
        self.query.from = None;
        self.query.marker = self.otherwise.take();
    }

    /// The folder to skip that `path` lies in.
    fn skipped(&self, path: &str) -> Option<String> {
        let within = |folder: &String| {
            path.strip_prefix(folder.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.options
            .skip
            .iter()
            .find(|folder| within(folder))
            .cloned()
    }

    /// Goes on behind the folder that `path` is skipped for: within the page, or else by a new
    /// request that begins there.
    fn jump(&mut self, folder: &str, path: &str) {
        if path == folder {
            // The object of that name: names between it and `folder/` are not in the folder.
            return;
        }
        let inside = self.store.name(&format!("{folder}/"));
        self.rows.retain(|(name, _)| !name.starts_with(&inside));
        // All that can still come before it is in the folder: `0` follows `/`.
        let behind = self.store.name(&format!("{folder}0"));
        if !behind.starts_with(&self.query.prefix) {
            self.done = true;
        } else if self.rows.is_empty()
            && !self.done
            && known(&self.store.start_from) != StartFrom::Ignored
        {
            self.otherwise = self.query.marker.take();
            self.query.from = Some(behind);
        }
    }
}

fn stamp(properties: &Properties) -> Stamp {
    let modified = properties.modified.as_deref();
    Stamp::new(
        properties.etag.as_deref(),
        modified.and_then(|text| parse_rfc7231(text).ok()),
    )
}

/// Lists what is right in the folder.
pub(crate) async fn list_children(store: &Store, folder: Option<&Key>) -> Result<Vec<Child>> {
    let prefix = match folder {
        Some(folder) => store.name(&format!("{folder}/")),
        None => store.prefix().to_owned(),
    };
    let subject = store.location(&prefix);
    let mut query = Query {
        prefix,
        folders: true,
        ..Query::default()
    };
    let mut children = Vec::new();
    loop {
        let page = page(store, &subject, &query).await?;
        for row in page.blobs.rows {
            let (item, is_folder) = match row {
                Row::Blob(item) => (item, false),
                Row::BlobPrefix(item) => (item, true),
            };
            let directory = item.properties.resource.as_deref() == Some("directory");
            let name = item.name.text();
            let name = name.strip_prefix(&query.prefix).unwrap_or(&name);
            let name = if is_folder {
                name.trim_end_matches('/')
            } else {
                name
            };
            // The folder's own marker, or a name that begins with `/`.
            if !is_folder && (name.is_empty() || directory) {
                continue;
            }
            children.push(match Key::parse(name) {
                Ok(_) if is_folder => Child::Folder(name.to_owned()),
                Ok(_) => Child::Object(name.to_owned()),
                Err(_) => Child::Other(name.to_owned(), OtherKind::Unaddressable),
            });
        }
        query.marker = page.next_marker.filter(|marker| !marker.is_empty());
        if query.marker.is_none() {
            break;
        }
    }
    children.sort_by(|a, b| a.name().cmp(b.name()));
    Ok(children)
}

/// The names that begin with `prefix`, which need not lie in what the sink lists, page by page.
pub(crate) async fn names_page(
    store: &Store,
    prefix: &str,
    marker: Option<String>,
) -> Result<(Vec<String>, Option<String>)> {
    let (sizes, next) = sizes_page(store, prefix, marker).await?;
    Ok((sizes.into_iter().map(|(name, _)| name).collect(), next))
}

/// The same, each name with its size in bytes.
pub(crate) async fn sizes_page(
    store: &Store,
    prefix: &str,
    marker: Option<String>,
) -> Result<(Vec<(String, u64)>, Option<String>)> {
    let query = Query {
        prefix: prefix.to_owned(),
        marker,
        ..Query::default()
    };
    let page = page(store, &store.location(prefix), &query).await?;
    let sizes = page.blobs.rows.into_iter().map(|row| match row {
        Row::Blob(item) | Row::BlobPrefix(item) => {
            let bytes = item.properties.length.unwrap_or_default();
            (item.name.text(), bytes)
        }
    });
    Ok((
        sizes.collect(),
        page.next_marker.filter(|marker| !marker.is_empty()),
    ))
}

#[cfg(test)]
mod tests;
