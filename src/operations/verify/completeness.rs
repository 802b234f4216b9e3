//! Whether everything that the inventory names is there, with its size, and nothing else.

use std::sync::{Mutex, PoisonError};

use arc_backup_core::{
    Error as CoreError, ErrorKind, Key, ListOptions, Listed, Meta, OtherKind, Scope, Section, Tier,
};
use futures::{Stream, StreamExt, TryStreamExt, stream};

use crate::manifest::{FILE_LIST, Inventory, Manifest, Record, Skipped, is_data_file};
use crate::operations::ProblemKind;
use crate::operations::context::Context;
use crate::operations::entries::records_by_path;
use crate::operations::problems::Problems;
use crate::operations::verify::check_for::CheckFor;
use crate::operations::verify::holders::Holders;
use crate::operations::verify::measurements;
use crate::pipeline::CopyFault;
use crate::repository::{
    Loaded, Repository, file_list_key, folder, inventory_key, location_of, manifest_key,
    retained_key, run_index_key,
};
use crate::sorted::{Joined, Sorted, merge_join};
use crate::source::ICEBERG;
use crate::{Error, Result};

/// Fails where the object is to be read and lies in an archive tier.
async fn check_tier(part: &Part<'_>, path: &str, meta: &Meta) -> Result<()> {
    if part.purpose == CheckFor::Presence || !meta.archived {
        return Ok(());
    }
    // A listing does not show that an object was restored for a while.
    match part.repository.sink().head(&meta.key).await? {
        Some(there) if there.archived => Err(archived(path).into()),
        _ => Ok(()),
    }
}

/// The error for a file of a backup that lies in an archive tier.
fn archived(path: &str) -> CoreError {
    CoreError::new(
        ErrorKind::Archived,
        "read",
        path,
        "it lies in an archive tier of the store: restore (S3) or rehydrate (Azure) the objects of this backup there first, then \
         run this again (docs/storage.md)",
    )
}

/// The error for a file that turned out to lie in an archive tier when it was read, which is no
/// fault of its bytes.
pub(crate) fn archived_fault(path: &str, fault: &CopyFault) -> Option<Error> {
    match fault {
        CopyFault::Read(error) if error.kind() == ErrorKind::Archived => {
            Some(archived(path).into())
        }
        _ => None,
    }
}

/// Compares the backup's listing with its inventory, both in byte order, and adds what differs to
/// `problems`.
///
/// # Errors
/// [`ErrorKind::Archived`] for the first file that is to be read and lies in an archive tier.
pub(crate) async fn check(
    context: &Context,
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
    scope: &Scope,
    purpose: CheckFor,
) -> Result<()> {
    let part = |repository| Part {
        context,
        repository,
        loaded,
        purpose,
    };
    let legs = context.repository.legs();
    if legs.is_empty() {
        let all = |_: &Record| true;
        return check_part(&part(&context.repository), problems, inventory, scope, all).await;
    }
    for (number, leg) in legs.iter().enumerate() {
        let is_here = |record: &Record| inventory.legs().leg_of(&record.path) == number;
        let checked = check_part(&part(leg), problems, inventory, scope, is_here).await;
        checked.map_err(|error| leg.named(error))?;
    }
    Ok(())
}

/// What one target holds: the backup, or a leg of it.
struct Part<'a> {
    context: &'a Context,
    repository: &'a Repository,
    loaded: &'a Loaded,
    purpose: CheckFor,
}

async fn check_part(
    part: &Part<'_>,
    problems: &mut Problems,
    inventory: &Inventory,
    scope: &Scope,
    is_here: impl Fn(&Record) -> bool + Send,
) -> Result<()> {
    let context = part.context;
    let list = match part.loaded.sealed {
        true => "the inventory",
        false => FILE_LIST,
    };
    let prefix = format!("{}/", context.id);
    let odd = Mutex::new(Vec::new());
    let mut joined = merge_join(
        expected(part, inventory, scope, is_here)?,
        found(part, &prefix, scope, &odd),
    );
    while let Some(joined) = joined.try_next().await? {
        context.check_cancelled()?;
        add_odd(problems, &odd);
        match joined {
            Joined::Left(Expected { record, held_by }) => match held_by {
                HeldBy::Other(meta) => {
                    check_file(part, problems, &record, meta).await?;
                }
                // In a folder that can't be read: whether it is missing is not known.
                HeldBy::This if problems.damaged().contains(&record.path) => {}
                HeldBy::This => check_file(part, problems, &record, None).await?,
            },
            Joined::Both(Expected { record, held_by }, Found { path, meta }) => match held_by {
                HeldBy::This => check_file(part, problems, &record, Some(meta)).await?,
                HeldBy::Other(meta) => {
                    check_file(part, problems, &record, meta).await?;
                    let text = "by the inventory, another backup holds it";
                    problems.add(path, ProblemKind::Unexpected, text);
                }
            },
            Joined::Right(Found { path, .. }) => {
                let text = match context.repository.legs() {
                    [] => format!("{list} does not name it"),
                    _ => format!("{list} of {} does not name it", part.repository.label()),
                };
                problems.add(path, ProblemKind::Unexpected, text);
            }
        }
    }
    drop(joined);
    add_odd(problems, &odd);
    Ok(())
}

/// A record, and the backup that holds its bytes.
struct Expected {
    record: Record,
    held_by: HeldBy,
}

enum HeldBy {
    /// The backup itself.
    This,
    /// Another one, with the object there; `None` where it is missing.
    Other(Option<Meta>),
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

/// Something in the backup's folder that is not an object, or can't be read; by its path there.
enum Odd {
    Unreadable(String, CoreError),
    Other(String, OtherKind),
}

/// The records in scope.
fn expected<'a, F: Fn(&Record) -> bool + Send + 'a>(
    part: &'a Part<'_>,
    inventory: &Inventory,
    scope: &Scope,
    is_here: F,
) -> Result<impl Stream<Item = Result<Expected>> + Send + use<'a, F>> {
    let records = records_by_path(inventory, scope)?;
    let in_part = records.filter(move |record| match record {
        Ok(record) => is_here(record),
        Err(_) => true,
    });
    let holders = Holders::new(part.repository, &part.loaded.manifest);
    let walk = (in_part, holders);
    Ok(stream::try_unfold(
        walk,
        move |(mut records, mut holders)| async move {
            let Some(record) = records.next().transpose()? else {
                return Ok(None);
            };
            let (id, key) = location_of(&part.context.id, &record)?;
            let held_by = match id == part.context.id {
                true => HeldBy::This,
                false => HeldBy::Other(holders.object(&id, &key).await?),
            };
            Ok(Some((Expected { record, held_by }, (records, holders))))
        },
    ))
}

/// Which data of the backup has to be listed, where nothing else is in scope.
fn prefixes(scope: &Scope) -> Option<Vec<String>> {
    let others = [Section::Metadata, Section::Config];
    let has_others = others.iter().any(|section| scope.includes(section));
    (scope.is_selective() && !has_others).then(|| scope.data_prefixes())
}

/// The objects in scope. Whatever else is listed goes to `odd`.
fn found<'a>(
    part: &'a Part<'_>,
    prefix: &'a str,
    scope: &'a Scope,
    odd: &'a Mutex<Vec<Odd>>,
) -> impl Stream<Item = Result<Found>> + Send + use<'a> {
    let (id, loaded) = (&part.context.id, part.loaded);
    // A deletion that was killed before the manifest went leaves a list of retained files.
    let mut own = vec![manifest_key(id), retained_key(id)];
    own.extend((loaded.manifest.inventory.as_ref()).map(|inventory| inventory_key(id, inventory)));
    // Of a run, only the legs without a base have one.
    if !loaded.sealed || loaded.manifest.file_list.is_some() {
        own.push(file_list_key(id));
    }
    if loaded.manifest.is_leg() {
        own.push(run_index_key(id));
    }
    let list = file_list_key(id);
    let has_list = loaded.manifest.file_list.is_some();
    let is_list = move |path: &str| has_list && path == list.as_str();
    let is_in_scope = move |path: &str| {
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        // A name that cannot be a section's is nobody's: it goes with the data, and is reported.
        let section = Section::parse(name).unwrap_or_else(|_| Section::Other(name.to_owned()));
        match Key::parse(rest) {
            Ok(key) => scope.contains(&section, &key),
            Err(_) => scope.includes(&section),
        }
    };
    let add = |item| {
        odd.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(item);
    };
    let sink = part.repository.sink();
    let listing = match prefixes(scope) {
        None => sink.list(ListOptions::within(&folder(id))),
        Some(prefixes) => (stream::iter(prefixes))
            .flat_map(move |of| {
                sink.list(ListOptions {
                    prefix: format!("{prefix}{}/{of}", Section::Data),
                    ..ListOptions::default()
                })
            })
            .boxed(),
    };
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
            // Of our own backups, it is checked by itself.
            Ok(Listed::Other { path, .. }) if loaded.sealed && is_list(&path) => None,
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

/// Adds what was listed so far and is not an object, or can't be read, to `problems`.
fn add_odd(problems: &mut Problems, odd: &Mutex<Vec<Odd>>) {
    let items = std::mem::take(&mut *odd.lock().unwrap_or_else(PoisonError::into_inner));
    for item in items {
        match item {
            Odd::Unreadable(path, error) => {
                problems.add_damaged(&path, ProblemKind::Unreadable, error.to_string());
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
    part: &Part<'_>,
    problems: &mut Problems,
    record: &Record,
    meta: Option<Meta>,
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
    check_tier(part, &record.path, &meta).await
}

/// What the manifest says of the files must be what the inventory lists: Arc's tools go by the
/// manifest's counts.
pub(crate) fn check_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let mut contents = crate::source::Contents::default();
    for record in inventory.records_of(&Section::Data)? {
        contents.add(&record?.entry);
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

/// A backup of some databases has no files of others: a restore of it does not touch those.
pub(crate) fn check_scope(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    for record in out_of_scope(loaded, inventory)? {
        let text = "its database is not in the scope of the backup: no restore uses it";
        problems.add(record?.path.as_str(), ProblemKind::Unexpected, text);
    }
    Ok(())
}

/// The data files of a backup of some databases that are not of these. States of compaction jobs
/// may be of any.
pub(crate) fn out_of_scope(
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<impl Iterator<Item = Result<Record>> + Send + use<>> {
    let covered = loaded.manifest.covered_databases();
    let records = inventory.records_of(&Section::Data)?;
    Ok(records.filter(move |record| match record {
        Ok(record) => {
            let key = &record.entry.key;
            !covered.contain(key) && !crate::source::is_job_state(key)
        }
        Err(_) => true,
    }))
}

/// For a backup that Arc made, its manifest's counts are what there is to check.
pub(crate) fn check_arcs_counts(
    problems: &mut Problems,
    loaded: &Loaded,
    inventory: &Inventory,
) -> Result<()> {
    let (mut files, mut bytes) = (0_u64, 0_u64);
    let (mut cold_files, mut cold_bytes) = (0_u64, 0_u64);
    for record in inventory.records_of(&Section::Data)? {
        let entry = record?.entry;
        if is_data_file(&entry.key) {
            files += 1;
            bytes = bytes.saturating_add(entry.size);
            if entry.tier == Tier::Cold {
                cold_files += 1;
                cold_bytes = cold_bytes.saturating_add(entry.size);
            }
        }
    }
    let has = |section: &Section| inventory.totals_of(section).0 > 0;
    let manifest = &loaded.manifest;
    let says = (manifest.total_files, manifest.total_size_bytes);
    // Arc counts files that it skipped: the backup never held them.
    let skipped = Skipped::of(manifest).files;
    let is_short = files < says.0 && files.saturating_add(skipped) >= says.0 && bytes <= says.1;
    // Files of the cold tier have counts of their own, and may be in this one too.
    let is_hot_alone = (files - cold_files, bytes.saturating_sub(cold_bytes)) == says;
    if (files, bytes) != says && !is_hot_alone && !is_short {
        let text = format!(
            "it holds {files} Parquet files of {bytes} bytes; its manifest says {} of {}",
            manifest.total_files, manifest.total_size_bytes
        );
        problems.add("data", ProblemKind::Missing, text);
    }
    if is_short {
        measurements::check(problems, manifest, inventory, skipped)?;
    }
    check_warehouse(problems, manifest, inventory);
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

/// Checks the number of files of the Iceberg warehouse that Arc says the backup holds.
fn check_warehouse(problems: &mut Problems, manifest: &Manifest, inventory: &Inventory) {
    let says = (manifest.iceberg_warehouse.as_ref())
        .and_then(|warehouse| warehouse.get("file_count")?.as_u64());
    let Some(says) = says else { return };
    let holds = inventory.totals_of(&Section::Other(ICEBERG.to_owned())).0;
    if holds.saturating_add(Skipped::of(manifest).warehouse_files) < says {
        let text = format!("it holds {holds} files of the warehouse; its manifest says {says}");
        problems.add(ICEBERG, ProblemKind::Missing, text);
    }
}
