//! What is wrong with the files of an earlier backup that were to be reused: one warning for all of
//! them, and noted, so that no later backup reuses files of one that is damaged.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::Result;
use crate::manifest::BackupId;
use crate::operations::context::Context;
use crate::repository::{LastVerified, Note};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FaultKind {
    /// The backup does not have the bytes of the file: it is damaged.
    Damaged,
    /// What the backup has can't be read now, which does not show whether it is damaged.
    NotCompared,
    /// What the backup has can't be copied within the target.
    NotCopied,
}

/// What is wrong with one file.
#[derive(Debug)]
pub(super) struct BaseFault {
    pub(super) kind: FaultKind,
    /// The backup with the bytes.
    pub(super) holder: BackupId,
    pub(super) path: String,
    /// Behind "which": `is missing`.
    pub(super) detail: String,
}

/// What is wrong with all files so far.
#[derive(Debug, Default)]
pub(super) struct BaseFaults {
    groups: BTreeMap<FaultKind, Group>,
    damaged: BTreeSet<BackupId>,
}

/// The files with one kind of fault: how many, and the first.
#[derive(Debug)]
struct Group {
    files: u64,
    path: String,
    detail: String,
}

impl BaseFaults {
    pub(super) fn add(&mut self, fault: BaseFault) {
        if fault.kind == FaultKind::Damaged {
            self.damaged.insert(fault.holder);
        }
        let group = self.groups.entry(fault.kind).or_insert(Group {
            files: 0,
            path: fault.path,
            detail: fault.detail,
        });
        group.files += 1;
    }

    /// Warns of them, and notes which backups are damaged. `base` is the backup that lists the
    /// files: it lacks what the holder lacks.
    pub(super) async fn report(mut self, context: &Context, base: &BackupId) {
        for (kind, group) in &self.groups {
            context.warn(group.text(*kind, base));
        }
        if !self.damaged.is_empty() {
            self.damaged.insert(base.clone());
        }
        note(context, &self.damaged).await;
    }
}

impl Group {
    fn text(&self, kind: FaultKind, base: &BackupId) -> String {
        let Self {
            files,
            path,
            detail,
        } = self;
        match (kind, files) {
            (FaultKind::Damaged, 1) => format!(
                "backup `{base}` is damaged: `{path}` {detail}; the file is copied from the data; verify the backup"
            ),
            (FaultKind::Damaged, _) => format!(
                "backup `{base}` is damaged: {files} of its files can't be reused, such as `{path}`, which {detail}; \
                 they are copied from the data; verify the backup"
            ),
            (FaultKind::NotCompared, 1) => format!(
                "`{path}` of backup `{base}` could not be compared: it {detail}; the file is copied from the data"
            ),
            (FaultKind::NotCompared, _) => format!(
                "{files} files of backup `{base}` could not be compared, such as `{path}`, which {detail}; \
                 they are copied from the data"
            ),
            (FaultKind::NotCopied, 1) => format!(
                "`{path}` of backup `{base}` could not be copied within the target: it {detail}; the file is copied from \
                 the data"
            ),
            (FaultKind::NotCopied, _) => format!(
                "{files} files of backup `{base}` could not be copied within the target, such as `{path}`, which {detail}; \
                 they are copied from the data"
            ),
        }
    }
}

/// Notes that these backups are damaged. Where that can't be noted, it is a warning.
pub(crate) async fn note(context: &Context, damaged: &BTreeSet<BackupId>) {
    for id in damaged {
        if let Err(error) = note_one(context, id).await {
            context.warn(format!(
                "cannot record in the target that backup `{id}` is damaged: {error}"
            ));
        }
    }
}

async fn note_one(context: &Context, id: &BackupId) -> Result<()> {
    let repository = &context.repository;
    context.check_lock().await?;
    // Only files of it may be left, which others need.
    if !repository.is_published(id).await? {
        return repository
            .keep_damage(id, &Timestamp::now().to_string())
            .await;
    }
    let found = LastVerified {
        at: Timestamp::now().to_string(),
        mode: LastVerified::REUSE.to_owned(),
        ok: false,
        operation_id: context.operation_id.to_string(),
        share: None,
        covered: None,
    };
    let add = |note: &mut Note| note.add_verification(found.clone());
    repository.update_note(id, add).await.map(drop)
}
