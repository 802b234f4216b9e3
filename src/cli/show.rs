//! `show`.

use std::sync::Arc;

use jiff::Timestamp;

use super::exit_code::DONE;
use super::list::mode;
use super::output::{escaped, print_line};
use super::table::{Table, left, right};
use super::{figures, ids, json};
use crate::api::types::manifest_answer;
use crate::manifest::{Manifest, Skipped};
use crate::names::shortened;
use crate::operations::ArcBackup;
use crate::operations::owner::Owner;
use crate::repository::{BackupState, LastVerified, Loaded, Note, is_in_force, new_bytes};
use crate::{Result, times};

/// How many damaged files are named.
const DAMAGED: usize = 20;
/// How many measurements are shown.
const MEASUREMENTS: usize = 20;

pub(super) async fn run(
    engine: &Arc<ArcBackup>,
    text: &str,
    target: Option<&str>,
    as_json: bool,
) -> Result<u8> {
    let found = ids::resolve(engine, text, target).await?;
    let (repository, loaded) = engine.find(&found.id, found.target.as_deref()).await?;
    let note = repository.note_to_show(&found.id).await;
    match as_json {
        true => {
            let manifest = manifest_answer(repository.name(), &loaded, &note);
            print_line(&json::pretty(&manifest));
        }
        false => print(
            repository.name(),
            &loaded,
            &note,
            &Owner::of(engine.settings()),
        ),
    }
    Ok(DONE)
}

fn print(target: &str, loaded: &Loaded, note: &Note, owner: &Owner) {
    let now = Timestamp::now();
    let manifest = &loaded.manifest;
    print_line(&escaped(&manifest.backup_id));
    print_line("");
    for (name, text) in fields(target, loaded, note, owner, now) {
        print_line(&format!("{name:14}{}", escaped(&text)));
    }
    for table in [sections(manifest), databases(manifest), sqlite(manifest)] {
        if !table.is_empty() {
            print_line("");
            table.print();
        }
    }
    let measurements: usize = (manifest.databases.iter())
        .map(|database| database.measurements.len())
        .sum();
    if let Some(more @ 1..) = measurements.checked_sub(MEASUREMENTS) {
        print_line(&format!(
            "and {more} smaller measurements (all with --json)"
        ));
    }
}

/// The target; of a backup over several targets, all of them, or that it is only a leg.
fn place(target: &str, loaded: &Loaded) -> String {
    let Some(run) = loaded.manifest.run() else {
        return target.to_owned();
    };
    let targets = run.targets.into_iter().collect::<Vec<_>>().join(", ");
    match loaded.raw.get("targets") {
        Some(_) => targets,
        None => format!("{target}: only a leg of a backup over the targets {targets}"),
    }
}

fn fields(
    target: &str,
    loaded: &Loaded,
    note: &Note,
    owner: &Owner,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    let manifest = &loaded.manifest;
    let state = BackupState::of(note);
    let mut created = figures::utc_and_age(&manifest.created_at, now);
    if let Some(seconds) = manifest.duration_seconds {
        let took = std::time::Duration::try_from_secs_f64(seconds).unwrap_or_default();
        created.push_str(&format!(", took {}", times::long(took)));
    }
    let data = format!(
        "{} data files, {}",
        manifest.total_files,
        figures::size(manifest.total_size_bytes)
    );
    let mut fields = vec![
        (
            "state",
            match state {
                BackupState::Damaged => "DAMAGED".to_owned(),
                state => state.as_str().to_owned(),
            },
        ),
        ("verified", verified(note.last_verified.as_ref(), now)),
        ("rehearsed", verified(note.last_rehearsed.as_ref(), now)),
    ];
    let is_last = |other: &LastVerified| Some(other) == note.last_verified.as_ref();
    for (name, done) in [
        ("every byte", note.last_full.as_ref()),
        ("fault", note.fault()),
    ] {
        if let Some(done) = done.filter(|done| !is_last(done)) {
            fields.push((name, verified(Some(done), now)));
        }
    }
    fields.extend([("created", created), ("target", place(target, loaded))]);
    fields.extend(remarks(note, now));
    if let Some(base) = &manifest.base_backup_id {
        let mut text = format!("{}, on {base}", manifest.backup_type);
        if let Some(copied) = &manifest.copied_from {
            // This target need not have that one.
            text.push_str(&format!(" in {}", copied.target));
        }
        fields.push(("type", text));
    }
    if let Some(copied) = &manifest.copied_from {
        let at = figures::utc_and_age(&copied.at, now);
        fields.push(("copied from", format!("target {}, {at}", copied.target)));
    }
    if let Some(schedule) = &manifest.schedule {
        fields.push(("schedule", schedule.clone()));
    }
    if !manifest.scope.is_empty() {
        fields.push(("scope", manifest.scope.join(", ")));
    }
    fields.extend([
        (
            "size",
            match &manifest.inventory {
                Some(all) => format!(
                    "{} files, {} ({data})",
                    all.entries,
                    figures::size(all.bytes)
                ),
                None => data,
            },
        ),
        (
            "checksums",
            match (loaded.sealed, loaded.has_checksums) {
                (true, _) => "SHA-256 of every file".to_owned(),
                (false, true) => "SHA-256 of every data file, by Arc".to_owned(),
                (false, false) => "none: the backup was made by Arc".to_owned(),
            },
        ),
    ]);
    if manifest.total_rows.is_some() {
        let mut text = figures::rows(manifest.total_rows, 0);
        if manifest.files_without_rows > 0 {
            let files = manifest.files_without_rows;
            text.push_str(&format!(", without those of {files} data files"));
        }
        fields.push(("rows", text));
    }
    fields.extend(damaged_files(manifest));
    if manifest.reused_files > 0 {
        let size = figures::size(manifest.reused_bytes);
        fields.push(("reused", format!("{} files, {size}", manifest.reused_files)));
    }
    if manifest.base_backup_id.is_some() || manifest.copied_from.is_some() {
        fields.push(("new", figures::size(new_bytes(manifest))));
    }
    if !manifest.stored_in.is_empty() {
        let (files, bytes) = (manifest.stored_in.values()).fold((0, 0), |sum: (u64, u64), one| {
            (sum.0 + one.files, sum.1 + one.bytes)
        });
        let holders: Vec<_> = manifest.stored_in.keys().cloned().collect();
        fields.push((
            "held by others",
            format!(
                "{files} files, {}, in {}",
                figures::size(bytes),
                shortened(&holders)
            ),
        ));
    }
    if let Some(source) = &manifest.source {
        fields.push(("source", format!("{}: {}", source.backend, source.location)));
        if let Some(instance) = &source.instance {
            fields.push(("instance", instance.clone()));
        }
    }
    if let Some(id) = &manifest.owner_instance_id {
        let instance = manifest
            .source
            .as_ref()
            .and_then(|source| source.instance.as_deref());
        let whose = match owner.is_other(Some(id), instance) {
            true => " (another instance)",
            false => "",
        };
        fields.push(("owner", format!("{id}{whose}")));
    }
    if let Some(cluster) = &manifest.cluster {
        let name = cluster.name.as_deref().unwrap_or("(no name)");
        let text = format!("{name}: the storage of one node, without the state of the cluster");
        fields.push(("cluster", text));
    }
    if let Some(cold_files) = manifest.cold_files.filter(|files| *files > 0) {
        let size = figures::size(manifest.cold_size_bytes);
        let text = format!("{cold_files} files, {size}, are in the backup");
        fields.push(("cold tier", text));
    }
    if manifest.cold_files_excluded > 0 {
        let text = format!("{} files of the cold tier", manifest.cold_files_excluded);
        fields.push(("not included", text));
    }
    if let Some(moment) = &manifest.consistency {
        let flushed = match moment.flushed {
            Some(true) => "Arc was flushed before",
            Some(false) => "Arc was not flushed before: its newest rows may be missing",
            None => "Arc was not asked to flush before",
        };
        let of = figures::utc_and_age(&moment.moment, now);
        fields.push(("data of", format!("{of}, by {}; {flushed}", moment.method)));
    }
    let tool = manifest.tool.as_ref().unwrap_or(&manifest.version);
    if !tool.is_empty() {
        fields.push(("made by", tool.clone()));
    }
    for (count, what) in [
        (manifest.special_files, "links or special files"),
        (manifest.unaddressable_files, "files with unsupported names"),
    ] {
        if count > 0 {
            fields.push(("not included", format!("{count} {what}")));
        }
    }
    if !manifest.config_redacted.is_empty() {
        let names = manifest.config_redacted.join(", ");
        fields.push(("not included", format!("secrets of arc.toml: {names}")));
    }
    let skipped = Skipped::of(manifest);
    for kind in skipped.kinds() {
        let text = format!("{kind}, skipped by Arc{}", skipped.first(3));
        fields.push(("not included", text));
    }
    let omitted = manifest.not_included.iter();
    fields.extend(omitted.map(|text| ("not included", text.clone())));
    fields
}

/// Data files that were damaged in the source already.
fn damaged_files(manifest: &Manifest) -> Vec<(&'static str, String)> {
    if manifest.damaged_files == 0 {
        return Vec::new();
    }
    let count = manifest.damaged_files;
    let mut lines = vec![format!("{count} data files, in the backup as they are:")];
    let named = manifest.damaged_sample.iter().take(DAMAGED);
    lines.extend(named.map(|file| format!("{} {}", file.path, file.detail)));
    if let Some(more @ 1..) = count.checked_sub(lines.len() as u64 - 1) {
        lines.push(format!("and {more} more (the first 1,000 with --json)"));
    }
    let names = std::iter::once("DAMAGED DATA").chain(std::iter::repeat(""));
    names.zip(lines).collect()
}

/// What people and the pin say of it.
fn remarks(note: &Note, now: Timestamp) -> Vec<(&'static str, String)> {
    let mut remarks = Vec::new();
    if let Some(pin) = note.pin.as_ref().filter(|pin| is_in_force(pin, now)) {
        let mut text = format!("since {} by {}", figures::utc_and_age(&pin.at, now), pin.by);
        if let Some(until) = &pin.until {
            text.push_str(&format!(", until {} UTC", figures::utc(until)));
        }
        if let Some(reason) = &pin.reason {
            text.push_str(&format!(": {reason}"));
        }
        remarks.push(("pinned", text));
    }
    if !note.labels.is_empty() {
        remarks.push(("labels", note.labels.join(", ")));
    }
    let lines = note.note.iter().flat_map(|text| text.lines());
    for (number, line) in lines.enumerate() {
        let name = if number == 0 { "note" } else { "" };
        remarks.push((name, line.to_owned()));
    }
    remarks
}

fn verified(done: Option<&LastVerified>, now: Timestamp) -> String {
    let Some(done) = done else {
        return "never".to_owned();
    };
    let outcome = match done.ok {
        true => "nothing wrong",
        false => "faults found",
    };
    let when = figures::utc_and_age(&done.at, now);
    format!("{when}, {}: {outcome}", mode(done))
}

fn sections(manifest: &Manifest) -> Table {
    let mut table = Table::new([left("SECTION"), right("FILES"), right("SIZE")]);
    for section in &manifest.sections {
        table.row([
            section.name.clone(),
            section.files.to_string(),
            figures::size(section.bytes),
        ]);
    }
    table
}

/// The largest measurements, by database.
fn databases(manifest: &Manifest) -> Table {
    let mut all: Vec<_> = (manifest.databases.iter())
        .flat_map(|database| database.measurements.iter().map(move |one| (database, one)))
        .collect();
    all.sort_by_key(|(_, measurement)| std::cmp::Reverse(measurement.size_bytes));
    all.truncate(MEASUREMENTS);
    all.sort_by_key(|(database, measurement)| (&database.name, &measurement.name));
    let mut table = Table::new([
        left("DATABASE").or_shrink(),
        left("MEASUREMENT").or_shrink(),
        right("DATA FILES"),
        right("SIZE"),
        right("ROWS"),
    ]);
    for (database, measurement) in all {
        table.row([
            database.name.clone(),
            measurement.name.clone(),
            measurement.file_count.to_string(),
            figures::size(measurement.size_bytes),
            figures::rows(measurement.rows, 0),
        ]);
    }
    table
}

fn sqlite(manifest: &Manifest) -> Table {
    let mut table = Table::new([left("SQLITE FILE").or_shrink(), left("SETTING")]);
    for file in &manifest.databases_included {
        table.row([file.file.clone(), file.setting.clone()]);
    }
    table
}
