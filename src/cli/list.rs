//! `list`.

use std::sync::Arc;

use poem_openapi::types::ToJSON;

use super::output::{complain, line};
use super::{DONE, FAILED};
use crate::Result;
use crate::operations::ArcBackup;
use crate::repository::LastVerified;

/// `full 2026-02-12 ok`, in words for a column.
fn last_verified(last: Option<&LastVerified>) -> String {
    let Some(last) = last else {
        return "never verified".to_owned();
    };
    let day = (last.at.parse::<jiff::Timestamp>())
        .map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
    // The note may be anybody's: nothing of it reaches the terminal as it is.
    let mode = ["full", "quick", "sample"].into_iter();
    let mode = mode.into_iter().find(|mode| *mode == last.mode);
    let what = if last.ok { "verified" } else { "DAMAGED" };
    format!("{what} {day} {}", mode.unwrap_or("?"))
}

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    target: Option<&str>,
    all: bool,
    json: bool,
) -> Result<u8> {
    let answer = engine.list(target, all).await?;
    if json {
        line(&crate::api::list_answer(answer).to_json_string());
        return Ok(DONE);
    }
    for backup in &answer.backups {
        line(&format!(
            "{}  {:30}  {:>8} files  {:>12}  {:26}  {}{}",
            backup.backup_id,
            backup.created_at,
            backup.total_files,
            indicatif::HumanBytes(backup.total_size_bytes).to_string(),
            last_verified(backup.last_verified.as_ref()),
            backup.target,
            match (&backup.last_full, backup.verified) {
                (_, false) => "  no checksums".to_owned(),
                (Some(full), true) => format!("  every byte: {}", last_verified(Some(full))),
                (None, true) => String::new(),
            },
        ));
    }
    for copy in answer.incomplete.iter().flatten() {
        line(&format!(
            "{}  {:30}  {:>8} files  {:>12}  {:26}  {}  incomplete: it lacks {}",
            copy.backup_id,
            copy.created_at,
            copy.total_files,
            indicatif::HumanBytes(copy.total_size_bytes).to_string(),
            "",
            copy.target,
            copy.lacks,
        ));
    }
    for damaged in &answer.damaged {
        complain!(
            "damaged: {} in {}: {}",
            damaged.backup_id,
            damaged.target,
            damaged.detail
        );
    }
    for backup in &answer.unreadable {
        let state = backup.state.as_str();
        complain!(
            "{state}: {} in {}: {}",
            backup.backup_id,
            backup.target,
            backup.detail
        );
    }
    for error in &answer.errors {
        complain!("error: target {}: {}", error.target, error.detail);
    }
    Ok(if answer.errors.is_empty() {
        DONE
    } else {
        FAILED
    })
}
