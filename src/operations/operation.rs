//! An operation, as the status and the history tell of it.

use jiff::Timestamp;
use poem_openapi::{Enum, Object};

use crate::operations::{ExtraFilesPolicy, RestorePlan};
use crate::repository::BackupState;
use crate::source::{CONFIG, DATA, METADATA};

/// What is wrong with one file.
#[derive(Debug, Clone, PartialEq, Eq, Object)]
pub struct Problem {
    /// Its path as in the inventory: `data/…`, `metadata/arc.db`.
    pub path: String,
    /// `missing`, `size`, `checksum`, `manifest`, `inventory`, `unexpected`, `unreadable` or `write`.
    pub kind: String,
    /// What it is, in words.
    pub detail: String,
}

/// How an operation stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
#[oai(rename_all = "lowercase")]
pub enum Status {
    /// It runs.
    #[default]
    Running,
    /// It did all it was asked to.
    Completed,
    /// It did not, and `error` says why.
    Failed,
    /// It was asked to end before it was done: by a cancel, or by a signal to its process. `error`
    /// says by whom.
    Cancelled,
}

impl Status {
    /// Its name, as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The most warnings that are told one by one.
const WARNING_LIMIT: usize = 100;

/// The most problems that are named; `problem_count` counts all.
pub(crate) const PROBLEM_LIMIT: usize = 10_000;

/// A backup, restore, verification or deletion: running, or how it ended.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub struct Operation {
    /// `backup`, `restore`, `verify` or `delete`.
    pub operation: String,
    /// Its own id.
    pub operation_id: String,
    /// The backup that is made or read.
    pub backup_id: String,
    /// How it stands.
    pub status: Status,
    /// The target that holds the backup.
    pub target: Option<String>,
    /// What it is doing: `listing`, `copying`, `applying`, …
    pub phase: Option<String>,
    /// Files to go through; grows until everything is listed.
    pub total_files: u64,
    /// Files done.
    pub processed_files: u64,
    /// Always 0: a file that can't be stored fails the operation.
    pub skipped_files: u64,
    /// Bytes to go through.
    pub total_bytes: u64,
    /// Bytes done.
    pub processed_bytes: u64,
    /// Bytes a second so far.
    pub bytes_per_second: Option<u64>,
    /// Seconds that remain at that rate.
    pub eta_seconds: Option<u64>,
    /// When it began, RFC 3339.
    pub started_at: String,
    /// When it ended.
    pub completed_at: Option<String>,
    /// Why it failed, or who cancelled it.
    pub error: Option<String>,
    /// The name of the token that asked for it, or the user on the command line.
    pub actor: String,
    /// `rest` or `cli`.
    pub origin: String,
    /// What is wrong, file by file; at most 10,000.
    #[oai(default)]
    pub problems: Vec<Problem>,
    /// How many problems there are.
    #[oai(default)]
    pub problem_count: u64,
    /// What the operator should know.
    #[oai(default, skip_serializing_if_is_empty)]
    pub warnings: Vec<String>,
    /// What the configuration names and the backup does not hold.
    #[oai(default, skip_serializing_if_is_empty)]
    pub not_included: Vec<String>,
    /// Backup: whether Arc wrote what it held in memory before its files were listed; absent where
    /// no `backup.arc_url` is set and Arc is not seen to run.
    pub flushed: Option<bool>,
    /// Links, FIFOs, sockets and devices that the backup does not hold.
    pub special_files: Option<u64>,
    /// The first of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub special_sample: Vec<String>,
    /// Files whose names no key can carry.
    pub unaddressable_files: Option<u64>,
    /// The first of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub unaddressable_sample: Vec<String>,
    /// Files that an interrupted backup had stored already; restore: that an interrupted restore of
    /// the same backup had staged.
    pub reused_files: Option<u64>,
    /// Their bytes.
    pub reused_bytes: Option<u64>,
    /// Backup: where what could be read is kept, as other files could not: an incomplete copy, for emergencies.
    pub incomplete_copy: Option<String>,
    /// Restore and verify: whether the backup has checksums; false for one that Arc itself made.
    pub has_checksums: Option<bool>,
    /// Backup and verify: the state of the backup afterwards.
    pub backup_state: Option<BackupState>,
    /// Verification of a sample: what it is a sample of.
    pub sample: Option<Sample>,
    /// Restore: what it was going to change, by its plan; there once that is made.
    pub plan: Option<RestorePlan>,
    /// Restore: live files that were the same already.
    pub unchanged_files: Option<u64>,
    /// Restore: live files that were moved or copied aside.
    pub set_aside_files: Option<u64>,
    /// Restore: where to.
    pub set_aside_location: Option<String>,
    /// Restore: files that Arc wrote meanwhile, which stay.
    pub appeared_files: Option<u64>,
    /// Restore: where what was there before is kept.
    #[oai(default, skip_serializing_if_is_empty)]
    pub kept: Vec<String>,
    /// Restore: whether Arc must be restarted to see all of it.
    pub restart_required: Option<bool>,
    /// In the status only: a restore that was interrupted while it changed live data, and has not been completed.
    pub restore_in_progress: Option<RestoreInProgress>,
}

/// A restore that began to change live data and did not end: running the same restore again completes it.
#[derive(Debug, Clone, PartialEq, Eq, Object, serde::Serialize, serde::Deserialize)]
pub struct RestoreInProgress {
    /// The operation.
    pub operation_id: String,
    /// The backup that it restores.
    pub backup_id: String,
    /// The sections that it restores: `data`, `metadata`, `config`, ….
    #[serde(default)]
    #[oai(default)]
    pub sections: Vec<String>,
    /// Those of them that are in force already.
    #[serde(default)]
    #[oai(default)]
    pub done: Vec<String>,
    /// `staging`: nothing live has changed; `applying`: it has.
    pub phase: String,
    /// When it came to that phase, RFC 3339.
    pub written_at: String,
    /// The target that holds the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(default, skip_serializing_if_is_none)]
    pub target: Option<String>,
    /// What becomes of live files that the backup does not hold.
    #[serde(default)]
    #[oai(default)]
    pub extra_files: ExtraFilesPolicy,
    /// Whether an incomplete copy may be taken.
    #[serde(default)]
    #[oai(default)]
    pub allow_incomplete: bool,
    /// Whether files that are damaged in the backup are left out.
    #[serde(default)]
    #[oai(default)]
    pub skip_damaged: bool,
    /// The name that its files are staged under: what is staged is used by the next restore of the
    /// same backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(skip)]
    pub stage: Option<String>,
    /// Runs before this one that were interrupted too, and have set files aside under their own names.
    #[serde(default)]
    #[oai(default)]
    pub earlier: Vec<InterruptedRun>,
    /// Why the mark on disk can't be read: which restore it is of, and how far that came, is then not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[oai(default, skip_serializing_if_is_none)]
    pub unreadable: Option<String>,
}

/// A restore that was interrupted, and that another one has gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Object, serde::Serialize, serde::Deserialize)]
pub struct InterruptedRun {
    /// The operation: what it has set aside has this name.
    pub operation_id: String,
    /// What it did with live files that the backup does not hold.
    pub extra_files: ExtraFilesPolicy,
}

/// What a sample is a sample of. What it reads itself is counted as that of any operation.
#[derive(Debug, Clone, Default, PartialEq, Object)]
#[oai(rename = "SampleOf", skip_serializing_if_is_none)]
pub struct Sample {
    /// The share that was asked for: 0.05 for a twentieth.
    pub share: f64,
    /// How many files the backup has.
    pub of_files: u64,
    /// Their bytes.
    pub of_bytes: u64,
    /// How much of the whole the samples have read, this one included, since they last began anew; 1 when all of it.
    /// Absent while it runs.
    pub covered: Option<f64>,
}

impl RestoreInProgress {
    /// Stands for a mark that is there and can't be read: a restore of what is restored by default.
    pub(crate) fn unknown(place: &str, written: Option<Timestamp>, reason: &str) -> Self {
        Self {
            operation_id: "unknown".to_owned(),
            backup_id: "unknown".to_owned(),
            sections: vec![DATA.to_owned(), METADATA.to_owned()],
            done: Vec::new(),
            phase: crate::operations::restore::marker::APPLYING.to_owned(),
            target: None,
            extra_files: ExtraFilesPolicy::default(),
            allow_incomplete: false,
            skip_damaged: false,
            stage: None,
            earlier: Vec::new(),
            written_at: written.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
            unreadable: Some(format!("{place}: {reason}")),
        }
    }

    /// The command that completes it.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = format!("arc-backup restore {}", self.backup_id);
        if let Some(target) = &self.target {
            command.push_str(&format!(" --target {target}"));
        }
        let has = |section: &str| self.sections.iter().any(|other| other == section);
        command.push_str(match self.extra_files {
            ExtraFilesPolicy::SetAside => "",
            ExtraFilesPolicy::Keep => " --extra-files keep",
            ExtraFilesPolicy::Remove => " --extra-files remove",
        });
        for (is_given, flag) in [
            (!has(DATA), " --no-data"),
            (!has(METADATA), " --no-metadata"),
            (has(CONFIG), " --with-config"),
            (self.allow_incomplete, " --allow-incomplete"),
            (self.skip_damaged, " --skip-damaged"),
        ] {
            if is_given {
                command.push_str(flag);
            }
        }
        command
    }

    /// What to do about it, in words.
    #[must_use]
    pub fn remedy(&self) -> String {
        match &self.unreadable {
            Some(_) => "restore a backup whole, or remove that file when you know that the live data is whole".to_owned(),
            None => format!("complete it with `{}`", self.command()),
        }
    }

    /// What is done and what is not, in words.
    #[must_use]
    pub fn words(&self) -> String {
        if let Some(fault) = &self.unreadable {
            return format!(
                "a restore may have been interrupted while it changed live data, and its mark can't be read ({fault})"
            );
        }
        let left: Vec<_> = (self.sections.iter())
            .filter(|section| !self.done.contains(section))
            .map(String::as_str)
            .collect();
        if left.is_empty() {
            return format!(
                "a restore of {} put all into force and did not end well: live data may have changed meanwhile",
                self.backup_id
            );
        }
        let list = |sections: Vec<&str>| match &sections[..] {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        };
        format!(
            "a restore of {} was interrupted while it changed live data: restored: {}; not, or half: {}",
            self.backup_id,
            list(self.done.iter().map(String::as_str).collect()),
            list(left),
        )
    }
}

impl Operation {
    /// Adds a warning, once; those past the limit are only counted.
    pub(crate) fn add_warning(&mut self, text: String) {
        if self.warnings.contains(&text) {
            return;
        }
        let more = |count: u64| format!("and {count} more warnings");
        let counted = self.warnings.get(WARNING_LIMIT).map_or(0, |last| {
            let digits = last.trim_matches(|c: char| !c.is_ascii_digit());
            digits.parse().unwrap_or(0)
        });
        self.warnings.truncate(WARNING_LIMIT);
        self.warnings.push(match self.warnings.len() {
            0..WARNING_LIMIT => text,
            _ => more(counted + 1),
        });
    }

    pub(crate) fn add_problem(&mut self, problem: Problem) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEM_LIMIT {
            self.problems.push(problem);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A restore of a million files that each have one must not have a status of gigabytes.
    #[test]
    fn warnings_are_bounded() {
        let mut operation = Operation::default();
        for number in 0..250 {
            operation.add_warning(format!("file {number}"));
            operation.add_warning("file 0".to_owned());
        }
        assert_eq!(operation.warnings.len(), WARNING_LIMIT + 1);
        assert_eq!(operation.warnings[WARNING_LIMIT], "and 150 more warnings");
    }
}
