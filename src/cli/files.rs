//! `files`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::exit_code::DONE;
use super::inside_arguments::FilesArguments;
use super::output::{escaped, print_line, print_note};
use super::table::{Table, left, right};
use super::{figures, ids};
use crate::Result;
use crate::api::types::{FileBody, FilesBody};
use crate::operations::{ArcBackup, FolderChild, OpenedBackup};

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    arguments: FilesArguments,
    json: bool,
) -> Result<u8> {
    let named = ids::resolve(engine, &arguments.id, arguments.target.as_deref()).await?;
    let backup = engine.open(&named.id, named.target.as_deref()).await?;
    // A list may have millions of lines.
    tokio::task::block_in_place(|| match (arguments.recursive, json) {
        (true, true) => print_all_as_json(&backup, &arguments.path),
        (true, false) => print_all(&backup, &arguments.path),
        (false, true) => print_as_json(&backup, &arguments.path),
        (false, false) => print(&backup, &arguments.path),
    })?;
    Ok(DONE)
}

/// What is right in the folder.
fn print(backup: &OpenedBackup, path: &str) -> Result<()> {
    let mut table = Table::new([left("PATH"), right("FILES"), right("SIZE")]);
    let totals = backup.children(path, |child: FolderChild| {
        let files = match child.is_folder() {
            true => child.files.to_string(),
            false => String::new(),
        };
        table.row([child.path, files, figures::size(child.bytes)]);
        Ok(())
    })?;
    table.print();
    print_note!(
        "{} files, {} in {}{}",
        totals.files,
        figures::size(totals.bytes),
        match path {
            "" => backup.id().to_string(),
            path => path.to_owned(),
        },
        match backup.has_checksums() {
            true => "",
            false => " (without checksums: the backup was made by Arc)",
        }
    );
    Ok(())
}

fn print_as_json(backup: &OpenedBackup, path: &str) -> Result<()> {
    let mut body = FilesBody {
        folders: Some(Vec::new()),
        ..FilesBody::default()
    };
    let totals = backup.children(path, |child| {
        body.add(child);
        Ok(())
    })?;
    body.total_files = Some(totals.files);
    body.total_bytes = Some(totals.bytes);
    print_line(&body.to_json_string());
    Ok(())
}

/// Every file, one a line, as it is read.
fn print_all(backup: &OpenedBackup, path: &str) -> Result<()> {
    let mut count = 0_u64;
    for record in backup.files(path)? {
        let record = record?;
        count += 1;
        print_line(&format!(
            "{:>9}  {}",
            figures::size(record.entry.size),
            escaped(&record.path)
        ));
    }
    has_any(backup, path, count)
}

/// The same as the document that a page of them is, which is printed piece by piece.
fn print_all_as_json(backup: &OpenedBackup, path: &str) -> Result<()> {
    let mut records = backup.files(path)?.peekable();
    if records.peek().is_none() && !path.is_empty() {
        return has_any(backup, path, 0);
    }
    let mut count = 0_u64;
    print_line("{\"files\": [");
    while let Some(record) = records.next() {
        let comma = if records.peek().is_some() { "," } else { "" };
        let file = FileBody::from(record?).to_json_string();
        print_line(&format!("{file}{comma}"));
        count += 1;
    }
    print_line(&format!("], \"count\": {count}}}"));
    Ok(())
}

fn has_any(backup: &OpenedBackup, path: &str, count: u64) -> Result<()> {
    match count == 0 && !path.is_empty() {
        true => Err(backup.lacks(path)),
        false => Ok(()),
    }
}
