//! An interrupted restore, as its marker describes it.

use std::collections::BTreeSet;
use std::fmt;

use arc_backup_core::{Databases, Key, Scope, Section};
use jiff::Timestamp;

use crate::names::shortened;
use crate::operations::data_selection::quoted;
use crate::operations::restore::rename::Renames;
use crate::operations::{DataSelection, ExtraFilesPolicy};

/// The phase of a marker while files are staged: no live file has changed.
pub(crate) const STAGING: &str = "staging";
/// The phase of a marker while live data changes.
pub(crate) const APPLYING: &str = "applying";

/// A restore that began to change live data and did not end. Running the same restore again
/// completes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RestoreInProgress {
    /// The operation.
    pub operation_id: String,
    /// The backup that it restores.
    pub backup_id: String,
    /// The sections that it restores: `data`, `metadata`, `config`, ….
    #[serde(default)]
    pub sections: Vec<String>,
    /// The databases that the restore of data is limited to; empty if it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<String>,
    /// The databases that it does not restore, where it restores all others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except_databases: Vec<String>,
    /// The folders that the restore of data is limited to; `None` if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folders: Option<Vec<String>>,
    /// The part of the data that the restore is limited to; `None` if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<DataSelection>,
    /// The folder that it makes a new instance in; `None` where it restores over live data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_instance: Option<String>,
    /// The storage of `[arc_backup.storages]` that it restores the data to; `None` where it
    /// restores over live data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_storage: Option<String>,
    /// Whether renamed databases are restored over existing ones.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub over_existing: bool,
    /// New names of databases, by those in the backup. `selection` is then of the backup.
    #[serde(default, skip_serializing_if = "Renames::is_empty")]
    pub rename: Renames,
    /// The sections that are restored already.
    #[serde(default)]
    pub done: Vec<String>,
    /// `staging`: no live file has changed; `applying`: live files may have changed.
    pub phase: String,
    /// When that phase began, RFC 3339.
    pub written_at: String,
    /// The target that holds the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What becomes of live files that the backup does not hold.
    #[serde(default)]
    pub extra_files: ExtraFilesPolicy,
    /// Whether an incomplete copy may be taken.
    #[serde(default)]
    pub allow_incomplete: bool,
    /// Whether files that are damaged in the backup are omitted.
    #[serde(default)]
    pub skip_damaged: bool,
    /// The name of its stage. The next restore of the same backup reuses the staged files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Earlier interrupted runs, which have set files aside under their own ids.
    #[serde(default)]
    pub earlier: Vec<InterruptedRun>,
    /// The operation that it takes back, where it is an undo and no restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undoes: Option<String>,
    /// Whether it can be taken back, as far as the records of restores show.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub can_be_undone: bool,
    /// Whether an interrupted restore of other databases has to be completed too, which its backup
    /// does not do.
    #[serde(skip)]
    pub exceeds_backup: bool,
    /// Why the marker on disk cannot be read. The restore and its progress are then unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

/// An interrupted restore that another one has resumed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InterruptedRun {
    /// The operation. Its files are set aside under this id.
    pub operation_id: String,
    /// Its policy for live files that the backup does not hold.
    pub extra_files: ExtraFilesPolicy,
}

impl RestoreInProgress {
    /// Describes a restore whose marker cannot be read. It is assumed to restore the default
    /// sections.
    pub(crate) fn unknown(place: &str, written: Option<Timestamp>, reason: &str) -> Self {
        Self {
            operation_id: "unknown".to_owned(),
            backup_id: "unknown".to_owned(),
            sections: vec![Section::Data.to_string(), Section::Metadata.to_string()],
            databases: Vec::new(),
            except_databases: Vec::new(),
            folders: None,
            selection: None,
            new_instance: None,
            to_storage: None,
            over_existing: false,
            rename: Renames::default(),
            done: Vec::new(),
            phase: APPLYING.to_owned(),
            target: None,
            extra_files: ExtraFilesPolicy::default(),
            allow_incomplete: false,
            skip_damaged: false,
            stage: None,
            earlier: Vec::new(),
            undoes: None,
            can_be_undone: false,
            exceeds_backup: false,
            written_at: written.unwrap_or(Timestamp::UNIX_EPOCH).to_string(),
            unreadable: Some(format!("{place}: {reason}")),
        }
    }

    /// Returns the scope of the data that it restores. Whatever the marker does not say is in it.
    #[must_use]
    pub fn data_scope(&self) -> Scope {
        let names = |names: &[String]| names.iter().cloned().collect::<BTreeSet<_>>();
        let scope = Scope::of_sections([Section::Data]).of_databases(
            match (&self.databases[..], &self.except_databases[..]) {
                ([], []) => Databases::All,
                ([], except) => Databases::Except(names(except)),
                (only, _) => Databases::Only(names(only)),
            },
        );
        let folders = |all: &Vec<String>| all.iter().map(|one| Key::parse(one).ok()).collect();
        let scope = match self.folders.as_ref().and_then(folders) {
            Some(folders) => {
                let folders: Vec<Key> = folders;
                scope.within(folders)
            }
            None => scope,
        };
        if !self.rename.is_empty() {
            // The selection is of the backup, and these databases are live as a whole.
            return scope;
        }
        let selected = (self.selection.as_ref()).and_then(|one| one.to_scope(scope.clone()).ok());
        selected.unwrap_or(scope)
    }

    /// Whether anything in the scope is, or may be, what it was restoring.
    pub(crate) fn concerns(&self, scope: &Scope) -> bool {
        let of_data = self.data_scope();
        let both = scope.databases().and(of_data.databases());
        let has_no_data = matches!(both, Databases::Only(names) if names.is_empty());
        (self.sections.iter()).any(|name| match Section::parse(name) {
            Ok(Section::Data) => scope.includes(&Section::Data) && !has_no_data,
            Ok(section) => scope.includes(&section),
            Err(_) => true,
        })
    }

    /// Takes up the scope of the data that it restores.
    pub(crate) fn set_data_scope(&mut self, scope: &Scope) {
        let (only, except) = match scope.databases() {
            Databases::All => (BTreeSet::new(), BTreeSet::new()),
            Databases::Only(names) => (names.clone(), BTreeSet::new()),
            Databases::Except(names) => (BTreeSet::new(), names.clone()),
        };
        self.databases = only.into_iter().collect();
        self.except_databases = except.into_iter().collect();
        self.folders = (scope.folders()).map(|all| all.iter().map(Key::to_string).collect());
        self.selection = DataSelection::of(scope);
    }

    /// Takes up that a restore of data in the other scope has to be completed too.
    pub(crate) fn add_data_scope(&mut self, other: &Scope) {
        let own = self.data_scope();
        if own.covers_data_of(other) {
            return;
        }
        // A restore of data is of all databases that its backup is of.
        self.exceeds_backup = true;
        let is_of_databases = |one: &Scope| one.folders().is_none() && !one.is_selective();
        let both = match (own.databases(), other.databases()) {
            _ if other.covers_data_of(&own) => other.clone(),
            (Databases::Only(a), Databases::Only(b))
                if is_of_databases(&own) && is_of_databases(other) =>
            {
                Scope::whole().of_databases(Databases::Only(a | b))
            }
            _ => Scope::whole(),
        };
        self.set_data_scope(&both);
    }

    /// Describes the part of the data that it restores: ` (databases iot, web)`.
    fn of_data(&self) -> String {
        if let Some(selection) = &self.selection {
            return format!(" ({selection})");
        }
        match (&self.databases[..], &self.except_databases[..]) {
            ([], []) => String::new(),
            ([], except) => format!(" (all databases but {})", shortened(except)),
            (only, _) => format!(" (databases {})", shortened(only)),
        }
    }

    /// Describes the operation.
    fn what(&self) -> String {
        match &self.undoes {
            Some(operation_id) => format!(
                "an undo of operation {operation_id}, which restored {},",
                self.backup_id
            ),
            None => format!("a restore of {}{}", self.backup_id, self.of_data()),
        }
    }

    /// Returns the command that completes it.
    #[must_use]
    pub fn command(&self) -> String {
        if let Some(operation_id) = &self.undoes {
            return format!("arc-backup undo {operation_id}");
        }
        let mut command = format!("arc-backup restore {}", self.backup_id);
        if let Some(target) = &self.target {
            command.push_str(&format!(" --target {target}"));
        }
        let has = |section: Section| (self.sections.iter()).any(|other| other == section.as_str());
        command.push_str(match self.extra_files {
            ExtraFilesPolicy::SetAside => "",
            ExtraFilesPolicy::Keep => " --extra-files keep",
            ExtraFilesPolicy::Remove => " --extra-files remove",
        });
        command.push_str(
            &(self.selection.as_ref()).map_or_else(String::new, DataSelection::arguments),
        );
        for (old, new) in self.rename.names() {
            command.push_str(&format!(" --rename {old}:{new}"));
        }
        if let Some(folder) = &self.new_instance {
            command.push_str(&format!(" --to {}", quoted(folder)));
        }
        if let Some(name) = &self.to_storage {
            command.push_str(&format!(" --to-storage {}", quoted(name)));
        }
        if self.over_existing {
            command.push_str(" --over-existing");
        }
        let is_part = self.selection.is_some();
        for (is_given, flag) in [
            (!has(Section::Data), " --no-data"),
            (
                !has(Section::Metadata)
                    && !is_part
                    && self.rename.is_empty()
                    && self.to_storage.is_none(),
                " --no-metadata",
            ),
            (has(Section::Metadata) && is_part, " --with-metadata"),
            (has(Section::Config), " --with-config"),
            (self.allow_incomplete, " --allow-incomplete"),
            (self.skip_damaged, " --skip-damaged"),
        ] {
            if is_given {
                command.push_str(flag);
            }
        }
        command
    }

    /// Returns what the operator should do.
    #[must_use]
    pub fn remedy(&self) -> String {
        match &self.unreadable {
            Some(_) => "restore a whole backup, or remove that file if you know that the live data is complete".to_owned(),
            None if self.exceeds_backup => {
                let with = match &self.databases[..] {
                    [] => "a backup of all databases".to_owned(),
                    some => format!("one backup of {} or of all databases", shortened(some)),
                };
                format!(
                    "these are two restores, and `{}` completes only one: restore {with}",
                    self.backup_id
                )
            }
            None if self.new_instance.is_some() => format!(
                "complete it with `{}`, or remove the folder",
                self.command()
            ),
            None if self.can_be_undone => format!(
                "complete it with `{}`, or take it back with `arc-backup undo {}`",
                self.command(),
                self.operation_id
            ),
            None => format!("complete it with `{}`", self.command()),
        }
    }
}

impl fmt::Display for RestoreInProgress {
    /// Writes which sections are restored, and which are not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(fault) = &self.unreadable {
            return write!(
                f,
                "a restore may have been interrupted while it changed live data, and its restore marker cannot be read ({fault})"
            );
        }
        let list = |sections: Vec<&str>| match &sections[..] {
            [] => "nothing".to_owned(),
            some => some.join(", "),
        };
        let done = self.done.iter().map(String::as_str).collect();
        let incomplete: Vec<_> = (self.sections.iter())
            .filter(|section| !self.done.contains(section))
            .map(String::as_str)
            .collect();
        if incomplete.is_empty() {
            return write!(
                f,
                "{} restored all files but did not finish: live data may have changed since",
                self.what()
            );
        }
        write!(
            f,
            "{} was interrupted while it changed live data: restored: {}; incomplete: {}",
            self.what(),
            list(done),
            list(incomplete),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(names: &[&str]) -> Scope {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        Scope::of_sections([Section::Data]).of_databases(Databases::Only(names))
    }

    /// Guards against: a warning of half a restore in a backup that has nothing of it, or none in
    /// one that has.
    #[test]
    fn a_backup_is_concerned_where_it_has_a_part_of_what_was_restored() {
        let mut marker = RestoreInProgress::unknown("here", None, "not JSON");
        let whole = Scope::whole();
        let metadata = Scope::of_sections([Section::Metadata]);
        assert!(marker.concerns(&whole) && marker.concerns(&only(&["web"])));
        assert!(marker.concerns(&metadata));
        marker.sections = vec!["data".to_owned()];
        marker.set_data_scope(&only(&["iot"]));
        assert!(marker.concerns(&whole) && marker.concerns(&only(&["iot", "web"])));
        assert!(!marker.concerns(&only(&["web"])) && !marker.concerns(&metadata));
        marker.sections = vec!["metadata".to_owned()];
        assert!(!marker.concerns(&only(&["iot"])) && marker.concerns(&metadata));
    }

    /// Guards against: an interrupted restore that a smaller one takes for completed.
    #[test]
    fn a_marker_has_the_scope_of_all_that_is_to_be_completed() {
        let mut marker = RestoreInProgress::unknown("here", None, "not JSON");
        let whole = Scope::of_sections([Section::Data]);
        assert_eq!(
            marker.data_scope(),
            whole,
            "what is not known is everything"
        );
        let except = Databases::Except(BTreeSet::from(["iot".to_owned()]));
        let folder = Key::parse("iot/cpu").expect("a key");
        for scope in [
            whole.clone(),
            only(&["iot", "web"]),
            whole.clone().of_databases(except),
            whole.clone().within([folder]),
            selected(&["iot.cpu"]),
        ] {
            marker.set_data_scope(&scope);
            let text = serde_json::to_string(&marker).expect("plain data");
            let read: RestoreInProgress = serde_json::from_str(&text).expect("a marker");
            assert_eq!(read.data_scope(), scope, "{text}");
        }
        marker.set_data_scope(&only(&["iot"]));
        marker.add_data_scope(&only(&["iot"]));
        assert!(!marker.exceeds_backup);
        marker.add_data_scope(&only(&["web"]));
        assert_eq!(marker.data_scope(), only(&["iot", "web"]));
        assert!(marker.exceeds_backup);
        marker.add_data_scope(&only(&["web"]));
        assert_eq!(marker.data_scope(), only(&["iot", "web"]));
        marker.add_data_scope(&whole);
        assert_eq!(marker.data_scope(), whole);
        marker.set_data_scope(&selected(&["iot"]));
        marker.add_data_scope(&selected(&["iot.cpu"]));
        assert_eq!(marker.data_scope(), selected(&["iot"]));
        marker.add_data_scope(&selected(&["web"]));
        assert_eq!(marker.data_scope().selection(), whole.selection());
    }

    fn selected(include: &[&str]) -> Scope {
        let selection = DataSelection {
            include: include.iter().map(|&text| text.to_owned()).collect(),
            until: Some("2026-11-20T05:00:00Z".to_owned()),
            ..DataSelection::default()
        };
        let data = Scope::of_sections([Section::Data]);
        selection.to_scope(data).expect("valid")
    }

    /// Guards against: a command that completes an interrupted restore of a part with another one.
    #[test]
    fn the_command_names_the_part() {
        let mut marker = RestoreInProgress::unknown("here", None, "not JSON");
        marker.sections = vec!["data".to_owned()];
        marker.set_data_scope(&selected(&["*.cpu"]));
        assert_eq!(
            marker.command(),
            "arc-backup restore unknown --include '*.cpu' --until 2026-11-20T05:00:00Z"
        );
        marker.selection = Some(DataSelection {
            include: vec!["iot.[".to_owned()],
            ..DataSelection::default()
        });
        let everything = Scope::of_sections([Section::Data]);
        assert_eq!(
            marker.data_scope(),
            everything,
            "what can't be read is everything"
        );
    }
}
