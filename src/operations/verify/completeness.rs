//! Checking that a backup holds the files of its inventory, with their sizes, and no others.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use arc_backup_core::{
    Error as CoreError, ErrorKind, ListOptions, Listed, Meta, OtherKind, Scope, Section,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::manifest::{Inventory, Record};
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::problems::Problems;
use crate::operations::verify::check_for::CheckFor;
use crate::pipeline::CopyFault;
use crate::repository::{Loaded, folder, inventory_key, location_of, manifest_key};
use crate::sorted::{Joined, Sorted, merge_join};
use crate::{Error, Result};

/// Fails where the object is to be read and lies in an archive tier.
async fn check_tier(purpose: CheckFor, context: &Context, path: &str, meta: &Meta) -> Result<()> {
    if purpose == CheckFor::Presence || !meta.archived {
        return Ok(());
    }
    // A listing does not show whether an archived object is temporarily restored.
    match context.repository.sink().head(&meta.key).await? {
        Some(there) if there.archived => Err(archived(path).into()),
        _ => Ok(()),
    }
}

/// Returns the error for a file in an archive tier.
fn archived(path: &str) -> CoreError {
    CoreError::new(
        ErrorKind::Archived,
        "read",
        path,
        "it is in an archive tier of the store: restore (S3) or rehydrate (Azure) the objects of this backup there \
         first, then run this again (docs/storage.md)",
    )
}

/// Returns the error for a file that was in an archive tier when it was read. Its bytes are not
/// damaged.
pub(crate) fn archived_fault(path: &str, fault: &CopyFault) -> Option<Error> {
    match fault {
        CopyFault::Read(error) if error.kind() == ErrorKind::Archived => {
            Some(archived(path).into())
        }
        _ => None,
    }
}

/// Compares the backup's listing with its inventory, both in byte order, and adds differences to
/// `problems`.
///
/// # Errors
/// Returns [`ErrorKind::Archived`] for the first file that must be read and is in an archive tier.
pub(crate) async fn check(
    context: &Context,
    problems: &mut Problems,
    inventory: &Inventory,
    scope: &Scope,
    purpose: CheckFor,
) -> Result<()> {
    let prefix = format!("{}/", context.id);
    let odd = Mutex::new(Vec::new());
    let mut joined = merge_join(
        expected(context, inventory, scope)?,
        found(context, &prefix, scope, &odd),
    );
    // Folders, with a `/` at the end, and files that cannot be read. Files there are not reported
    // as missing.
    let mut unreadable = BTreeSet::new();
    while let Some(joined) = joined.try_next().await? {
        context.check_cancelled()?;
        add_odd(problems, &odd, &mut unreadable);
        match joined {
            Joined::Left(Expected { record, bytes }) => {
                let mut folders = record
                    .path
                    .match_indices('/')
                    .map(|(at, _)| &record.path[..=at]);
                let is_unreadable = unreadable.contains(record.path.as_str())
                    || folders.any(|folder| unreadable.contains(folder));
                if let Bytes::Elsewhere(meta) = bytes {
                    check_file(context, problems, &record, meta, purpose).await?;
                } else if !is_unreadable {
                    check_file(context, problems, &record, None, purpose).await?;
                }
            }
            Joined::Both(Expected { record, bytes }, Found { path, meta }) => match bytes {
                Bytes::Here => check_file(context, problems, &record, Some(meta), purpose).await?,
                Bytes::Elsewhere(meta) => {
                    check_file(context, problems, &record, meta, purpose).await?;
                    let text = "by the inventory, another backup holds it";
                    problems.add(path, ProblemKind::Unexpected, text);
                }
            },
            Joined::Right(Found { path, .. }) => {
                let text = "it is not in the inventory";
                problems.add(path, ProblemKind::Unexpected, text);
            }
        }
    }
    drop(joined);
    add_odd(problems, &odd, &mut unreadable);
    Ok(())
}

/// A record, and where its bytes are.
struct Expected {
    record: Record,
    bytes: Bytes,
}

enum Bytes {
    /// In this backup.
    Here,
    /// In another backup: the object there; `None` if it is missing.
    Elsewhere(Option<Meta>),
}

impl Sorted for Expected {
    fn sort_key(&self) -> &str {
        self.record.sort_key()
    }
}

/// An object in the backup's folder, by its path there.
struct Found {
    path: String,
    meta: Meta,
}

impl Sorted for Found {
    fn sort_key(&self) -> &str {
        &self.path
    }
}

/// An entry of the backup's folder that is not an object, or cannot be read; by its path there.
enum Odd {
    Unreadable(String, CoreError),
    Other(String, OtherKind),
}

/// Returns the records in scope.
fn expected<'a>(
    context: &'a Context,
    inventory: &Inventory,
    scope: &'a Scope,
) -> Result<impl Stream<Item = Result<Expected>> + Send + use<'a>> {
    let records = inventory.records()?;
    let in_scope = records.filter(|record| match record {
        Ok(record) => scope.includes(&record.section()),
        Err(_) => true,
    });
    Ok(stream::iter(in_scope).and_then(async |record| {
        let (holder, key) = location_of(&context.id, &record)?;
        let bytes = match holder == context.id {
            true => Bytes::Here,
            false => Bytes::Elsewhere(context.repository.sink().head(&key).await?),
        };
        Ok(Expected { record, bytes })
    }))
}

/// Returns the objects in scope. Other entries are added to `odd`.
fn found<'a>(
    context: &'a Context,
    prefix: &'a str,
    scope: &'a Scope,
    odd: &'a Mutex<Vec<Odd>>,
) -> impl Stream<Item = Result<Found>> + Send + use<'a> {
    let own = [manifest_key(&context.id), inventory_key(&context.id)];
    let is_in_scope = move |path: &str| {
        let name = path.split('/').next().unwrap_or_default();
        Section::parse(name).is_ok_and(|section| scope.includes(&section))
    };
    let add = |item| {
        odd.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(item);
    };
    let listing = (context.repository.sink()).list(ListOptions::within(&folder(&context.id)));
    listing.filter_map(move |item| {
        let path_of = |subject: &str| subject.strip_prefix(prefix).map(str::to_owned);
        let found = match item {
            Err(error) if error.is_of_one_place() && error.kind() != ErrorKind::Unavailable => {
                match path_of(error.subject()).filter(|path| !path.is_empty()) {
                    Some(path) => {
                        if is_in_scope(&path) {
                            add(Odd::Unreadable(path, error));
                        }
                        None
                    }
                    None => Some(Err(error.into())),
                }
            }
            Err(error) => Some(Err(error.into())),
            Ok(Listed::Object(meta)) if own.contains(&meta.key) => None,
            Ok(Listed::Object(meta)) => {
                let path = path_of(&meta.key).unwrap_or_else(|| meta.key.to_string());
                is_in_scope(&path).then_some(Ok(Found { path, meta }))
            }
            Ok(Listed::Other { path, kind }) => {
                let path = path_of(&path).unwrap_or(path);
                if is_in_scope(&path) {
                    add(Odd::Other(path, kind));
                }
                None
            }
        };
        std::future::ready(found)
    })
}

/// Adds the entries of `odd` to `problems`, and the unreadable ones also to `unreadable`.
fn add_odd(problems: &mut Problems, odd: &Mutex<Vec<Odd>>, unreadable: &mut BTreeSet<String>) {
    let items = std::mem::take(&mut *odd.lock().unwrap_or_else(PoisonError::into_inner));
    for item in items {
        match item {
            Odd::Unreadable(path, error) => {
                problems.add_damaged(&path, ProblemKind::Unreadable, error.to_string());
                unreadable.insert(path);
            }
            Odd::Other(path, kind) => {
                let text = format!("is {}", kind.as_str());
                problems.add(path, ProblemKind::Unexpected, text);
            }
        }
    }
}

/// Checks that the object with a record's bytes exists, has their size, and can be read.
async fn check_file(
    context: &Context,
    problems: &mut Problems,
    record: &Record,
    meta: Option<Meta>,
    purpose: CheckFor,
) -> Result<()> {
    let Some(meta) = meta else {
        let text = "the backup does not hold it";
        problems.add_damaged(&record.path, ProblemKind::Missing, text);
        return Ok(());
    };
    if meta.size != record.entry.size {
        let text = format!(
            "has {} bytes; {} were expected",
            meta.size, record.entry.size
        );
        problems.add_damaged(&record.path, ProblemKind::Size, text);
    }
    check_tier(purpose, context, &record.path, &meta).await
}

/// Compares the manifest's counts with the inventory: Arc's tools use the manifest's counts.
pub(crate) fn check_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let mut contents = crate::source::Contents::default();
    for record in inventory.records_of(&Section::Data)? {
        let entry = record?.entry;
        contents.add(&entry.key, entry.size);
    }
    let manifest = &loaded.manifest;
    let says = (manifest.total_files, manifest.total_size_bytes);
    let lists = (contents.parquet_files, contents.parquet_bytes);
    if says != lists {
        let text = format!(
            "it says {} Parquet files of {} bytes; the inventory lists {} of {}",
            says.0, says.1, lists.0, lists.1
        );
        problems.add("manifest.json", ProblemKind::Manifest, text);
    }
    Ok(())
}

/// Checks the counts of a backup that Arc made: it has no inventory.
pub(crate) fn check_arcs_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    for record in inventory.records_of(&Section::Data)? {
        let entry = record?.entry;
        if entry.key.ends_with(".parquet") && !entry.key.starts_with('_') {
            files += 1;
            bytes = bytes.saturating_add(entry.size);
        }
    }
    let has = |section: &Section| inventory.totals_of(section).0 > 0;
    let manifest = &loaded.manifest;
    if (files, bytes) != (manifest.total_files, manifest.total_size_bytes) {
        let text = format!(
            "it holds {files} Parquet files of {bytes} bytes; its manifest says {} of {}",
            manifest.total_files, manifest.total_size_bytes
        );
        problems.add("data", ProblemKind::Missing, text);
    }
    if manifest.has_metadata && !has(&Section::Metadata) {
        problems.add(
            "metadata",
            ProblemKind::Missing,
            "its manifest says that it holds databases",
        );
    }
    if manifest.has_config && !has(&Section::Config) {
        problems.add(
            "config",
            ProblemKind::Missing,
            "its manifest says that it holds arc.toml",
        );
    }
    Ok(())
}
