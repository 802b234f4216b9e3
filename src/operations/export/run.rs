//! The steps of an export.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use arc_backup_core::Body;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt, TryStreamExt};
use jiff::Timestamp;

use crate::manifest::{
    self, Compressor, CopiedFrom, FILE_LIST, Inventory, InventoryRef, Record, Spool,
};
use crate::operations::Phase;
use crate::operations::archive::ArchiveWriter;
use crate::operations::backup::file_list;
use crate::operations::context::Context;
use crate::operations::copy::{Changed, Source, sealed};
use crate::operations::export::options::ExportOptions;
use crate::operations::export::output::Output;
use crate::operations::inside::{Expected, verified};
use crate::{Error, Result};

/// Files of at most this size are read ahead, several at once: for each, a store takes a while to
/// answer.
const SMALL: u64 = 1 << 20;
/// How many.
const AHEAD: usize = 16;

/// Writes all of the operation's backup to an archive. Each file is compared with its SHA-256 on
/// the way; one that is damaged ends the export.
pub(crate) async fn run(context: &Context, options: &ExportOptions) -> Result<()> {
    let began = Timestamp::now();
    context.running.phase(Phase::ReadingInventory);
    let source = Source::read(context, &context.repository).await?;
    let lists = Lists::write(context, &source, began).await?;
    let summary = lists.inventory.summary();
    (context.running.progress).expect(summary.entries, summary.bytes);
    context.running.phase(Phase::Copying);
    let mut archive = ArchiveWriter::begin(Output::create(&options.to)?);
    let filled = async {
        fill(context, &source, &lists, &mut archive).await?;
        context.check_cancelled()?;
        context.check_lock().await
    };
    if let Err(error) = filled.await {
        archive.abort().await;
        return Err(error);
    }
    context.running.phase(Phase::Publishing);
    let output = archive.finish().await?;
    let to = options.to.clone();
    tokio::task::spawn_blocking(move || output.publish(&to)).await?
}

/// What stands before the files.
struct Lists {
    manifest: Vec<u8>,
    /// Every file is in the backup's own folder.
    inventory: Inventory,
    summary: InventoryRef,
    file_list: bool,
}

impl Lists {
    async fn write(context: &Context, source: &Source, began: Timestamp) -> Result<Self> {
        let scratch = context.scratch()?;
        let mut own = Spool::create(&scratch.join("exported.jsonl"))?;
        for record in source.inventory.records()? {
            context.check_cancelled()?;
            own.push(&Record {
                stored_in: None,
                stored: None,
                ..record?
            })?;
        }
        let inventory = own.finish()?;
        let file_list = match source.loaded.manifest.file_list.is_some() {
            true => Some(file_list::write(
                context,
                &inventory,
                &scratch.join(FILE_LIST),
            )?),
            false => None,
        };
        let summary = InventoryRef {
            compression: Some(manifest::ZSTD.to_owned()),
            ..inventory.summary().clone()
        };
        let (from, to) = (inventory.path().to_owned(), scratch.join(summary.name()));
        tokio::task::spawn_blocking(move || compress(&from, &to)).await??;
        let target = source.loaded.manifest.target.clone();
        let manifest = sealed(
            source,
            Changed {
                target,
                copied_from: CopiedFrom {
                    target: source.repository.name().to_owned(),
                    at: began.to_string(),
                },
                inventory: summary.clone(),
                file_list: file_list.clone(),
                ..Changed::default()
            },
        )?;
        Ok(Self {
            manifest,
            inventory,
            summary,
            file_list: file_list.is_some(),
        })
    }
}

fn compress(from: &Path, to: &Path) -> Result<()> {
    use std::io::{Read, Write};
    let fault = |e| Error::io("compress", from, e);
    let mut lines = File::open(from).map_err(fault)?;
    let mut out = crate::files::create_file(to).map_err(|e| Error::io("write", to, e))?;
    let mut compressor = Compressor::new().map_err(fault)?;
    let mut buffer = vec![0; 256 << 10];
    loop {
        let count = lines.read(&mut buffer).map_err(fault)?;
        let piece = match count {
            0 => break,
            count => compressor.push(&buffer[..count]).map_err(fault)?,
        };
        out.write_all(&piece)
            .map_err(|e| Error::io("write", to, e))?;
    }
    let rest = compressor.finish().map_err(fault)?;
    out.write_all(&rest).map_err(|e| Error::io("write", to, e))
}

async fn fill(
    context: &Context,
    source: &Source,
    lists: &Lists,
    archive: &mut ArchiveWriter<Output>,
) -> Result<()> {
    let id = &context.id;
    let now = Some(SystemTime::now());
    let manifest = Bytes::from(lists.manifest.clone());
    let size = manifest.len() as u64;
    let manifest = stream::iter([Ok(manifest)]);
    (archive.add(format!("{id}/manifest.json"), size, now, manifest)).await?;
    let names = [lists.summary.name()]
        .into_iter()
        .chain(lists.file_list.then_some(FILE_LIST));
    for name in names {
        let path = context.scratch()?.join(name);
        let file = File::open(&path).map_err(|e| Error::io("read", &path, e))?;
        let len = (file.metadata().map_err(|e| Error::io("read", &path, e))?).len();
        let pieces = crate::pipeline::pieces(Body::File { file, len }, name);
        let pieces = pieces.map_err(Error::from);
        (archive.add(format!("{id}/{name}"), len, now, pieces)).await?;
    }
    let records = stream::iter(source.inventory.records()?);
    let files = records.map(|record| read(context, source, record).boxed());
    let mut files = files.buffered(AHEAD);
    while let Some(file) = files.next().await {
        context.check_cancelled()?;
        let (record, pieces) = file?;
        let pieces = match pieces {
            Some(pieces) => pieces,
            None => open(context, source, &record).await?,
        };
        let progress = &context.running.progress;
        let counted = pieces.inspect_ok(|piece| progress.add_bytes(piece.len() as u64));
        let path = format!("{id}/{}", record.path);
        let (size, modified) = (record.entry.size, record.entry.modified);
        archive.add(path, size, modified, counted).await?;
        progress.add_files(1);
    }
    Ok(())
}

type Pieces = BoxStream<'static, Result<Bytes>>;

/// A file with its bytes, where these are few.
async fn read(
    context: &Context,
    source: &Source,
    record: Result<Record>,
) -> Result<(Record, Option<Pieces>)> {
    let record = record?;
    if record.entry.size > SMALL {
        return Ok((record, None));
    }
    let pieces: Vec<Bytes> = (open(context, source, &record).await?)
        .try_collect()
        .await?;
    let pieces = stream::iter(pieces.into_iter().map(Ok)).boxed();
    Ok((record, Some(pieces)))
}

async fn open(context: &Context, source: &Source, record: &Record) -> Result<Pieces> {
    let id = &context.id;
    let body = (source.repository).open_file(id, &source.inventory, record, None);
    Ok(verified(
        body.await?,
        Expected {
            id: id.to_string(),
            path: record.path.to_string(),
            size: record.entry.size,
            sha256: record.entry.sha256,
        },
    ))
}
