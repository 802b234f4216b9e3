//! Bringing a file list into a private local file, checked and sorted.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use arc_backup_core::{Activity, BlockingJob, Body};
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::FILE_LIST;
use super::parse::{ParseFault, parse};
use super::runs::{Limits, Runs};
use crate::files::{create_file, with_suffix};
use crate::manifest::{Inventory, InventoryFault};
use crate::{Error, Result};

/// How much is held at once while a list is sorted.
const LIMITS: Limits = Limits {
    records: 20_000,
    files: 64,
};

/// Brings a list into local files that begin with `path`, checks each entry, and sorts them: they
/// are records of the section `data`.
///
/// # Errors
/// [`InventoryFault::Damaged`] says what is wrong with it.
pub async fn receive_file_list(
    body: Body,
    path: &Path,
    activity: &Activity,
) -> Result<Inventory, InventoryFault> {
    let json = with_suffix(path, ".json");
    let mut copy = BufWriter::new(create_file(&json).map_err(|e| Error::io("write", &json, e))?);
    let mut pieces = crate::pipeline::pieces(body, FILE_LIST);
    while let Some(piece) = pieces.next().await {
        let piece = piece.map_err(Error::from)?;
        activity.note();
        (copy.write_all(&piece)).map_err(|e| Error::io("write", &json, e))?;
    }
    copy.flush().map_err(|e| Error::io("write", &json, e))?;
    drop(copy);
    let (path, activity) = (path.to_owned(), activity.clone());
    let ended = CancellationToken::new();
    let _ended = ended.clone().drop_guard();
    let job = BlockingJob::begin();
    let sorted = tokio::task::spawn_blocking(move || {
        let _job = job;
        let sorted = sort(&json, &path, || match ended.is_cancelled() {
            true => Err(Error::Cancelled("cancelled".to_owned())),
            false => {
                activity.note();
                Ok(())
            }
        });
        // It takes room, and the folder is removed after the operation.
        let _ = std::fs::remove_file(&json);
        sorted
    });
    sorted
        .await
        .map_err(Error::from)?
        .map_err(|fault| match fault {
            ParseFault::Damaged(detail) => InventoryFault::Damaged {
                list: FILE_LIST,
                detail,
            },
            ParseFault::Other(error) => error.into(),
        })
}

fn sort(
    json: &Path,
    path: &Path,
    mut step: impl FnMut() -> Result<()>,
) -> Result<Inventory, ParseFault> {
    let file = File::open(json).map_err(|e| ParseFault::Other(Error::io("read", json, e)))?;
    let mut runs = Runs::new(path, LIMITS);
    parse(file, &mut |record| {
        step().map_err(ParseFault::Other)?;
        runs.push(record)
    })?;
    runs.finish()
}
