//! Plans that were shown, kept so that a restore does what was shown or nothing.
//!
//! A plan is a file in the state folder. It has the SHA-256 of what it was made from: the entries
//! of the backup, and the live files in scope. A restore that names it plans again and compares.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arc_backup_core::{Digest, TimeRange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Settings;
use crate::files::{create_folder, write_atomically};
use crate::manifest::BackupId;
use crate::operations::context::Context;
use crate::operations::restore::plan::RestorePlan;
use crate::operations::{ArcBackup, RestoreOptions};
use crate::{Error, Result};

/// The folder of the plans, in the state folder.
const FOLDER: &str = "plans";
/// How long a plan can be named.
const LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How much more an age may have moved than the plan is old: it is read some time before that.
const MOVED_AGE: Duration = Duration::from_secs(60);
/// What the id of a plan begins with; 16 hexadecimal digits follow.
const PREFIX: &str = "plan-";

/// What a restore is compared with.
#[derive(Debug, Serialize, Deserialize)]
struct SavedPlan {
    plan_id: String,
    created_at: Timestamp,
    backup_id: String,
    target: String,
    /// SHA-256 of the options, but for the times.
    options: String,
    /// The times that the data is limited to. They may have been ages.
    #[serde(default)]
    from: Option<Timestamp>,
    #[serde(default)]
    until: Option<Timestamp>,
    /// SHA-256 of what the plan was made from.
    basis: String,
}

impl ArcBackup {
    /// The options, with the times of the plan that they name: an age in them has moved since.
    ///
    /// # Errors
    /// Where the plan is of another restore, or not known.
    pub(crate) fn with_plan(
        &self,
        id: &BackupId,
        options: RestoreOptions,
        target: &str,
    ) -> Result<RestoreOptions> {
        let Some(plan_id) = &options.plan_id else {
            return Ok(options);
        };
        let saved = load(&self.folder(), plan_id)?;
        is_of(&saved, id, &options, target)?;
        let time = TimeRange::new(saved.from, saved.until)
            .map_err(|error| Error::Failed(error.to_string()))?;
        Ok(in_time(options, time))
    }

    fn folder(&self) -> PathBuf {
        folder_in(self.settings.backup.state_folder())
    }
}

/// Compares what is about to be done with the plan that the restore names.
///
/// # Errors
/// Where something has changed since.
pub(super) fn check(context: &Context, options: &RestoreOptions, plan: &RestorePlan) -> Result<()> {
    let Some(plan_id) = &options.plan_id else {
        return Ok(());
    };
    let saved = load(&folder_in(&context.state_folder), plan_id)?;
    is_of(&saved, &context.id, options, context.repository.name())?;
    let basis = plan.basis.map_or_else(String::new, |it| it.to_string());
    match basis == saved.basis {
        true => Ok(()),
        false => Err(Error::Failed(format!(
            "the live data or the backup is no longer what plan `{plan_id}` was made from: plan again (dry_run, --dry-run)"
        ))),
    }
}

fn folder_in(state_folder: &Path) -> PathBuf {
    state_folder.join(FOLDER)
}

/// The options, limited to other times.
fn in_time(options: RestoreOptions, time: TimeRange) -> RestoreOptions {
    match options.backup_scope.clone() {
        Some(scope) => RestoreOptions {
            backup_scope: Some(scope.in_time(time)),
            ..options
        },
        None => RestoreOptions {
            scope: options.scope.clone().in_time(time),
            ..options
        },
    }
}

/// The options, but for the name of the plan and the times.
fn fingerprint(options: &RestoreOptions) -> String {
    let options = RestoreOptions {
        plan_id: None,
        ..in_time(options.clone(), TimeRange::default())
    };
    Digest::of(format!("{options:?}").as_bytes()).to_string()
}

/// Keeps a plan, and returns its id.
///
/// # Errors
/// When it can't be written.
pub(super) fn keep(
    settings: &Settings,
    id: &BackupId,
    target: &str,
    options: &RestoreOptions,
    plan: &RestorePlan,
) -> Result<String> {
    let saved = SavedPlan {
        plan_id: format!("{PREFIX}{}", crate::random::random_hex::<8>()?),
        created_at: Timestamp::now(),
        backup_id: id.to_string(),
        target: target.to_owned(),
        options: fingerprint(options),
        from: options.backup_scope().time().from(),
        until: options.backup_scope().time().until(),
        basis: plan.basis.map_or_else(String::new, |it| it.to_string()),
    };
    save(&folder_in(settings.backup.state_folder()), &saved)?;
    Ok(saved.plan_id)
}

fn save(folder: &Path, saved: &SavedPlan) -> Result<()> {
    create_folder(folder).map_err(|error| Error::io("create", folder, error))?;
    remove_old(folder);
    let text = serde_json::to_vec_pretty(saved).expect("a plan is JSON");
    write_atomically(&folder.join(file_name(&saved.plan_id)), &text)?;
    Ok(())
}

/// Removes the plans that are too old to be named.
fn remove_old(folder: &Path) {
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let written = file.metadata().and_then(|meta| meta.modified());
        let age = written.map(|at| at.elapsed().unwrap_or_default());
        if age.is_ok_and(|age| age > LIFETIME) {
            let _ = std::fs::remove_file(file.path());
        }
    }
}

fn load(folder: &Path, plan_id: &str) -> Result<SavedPlan> {
    let unknown = || {
        Error::Invalid(format!(
            "no plan `{plan_id}`: a plan can be named for 24 h; make one with dry_run (--dry-run)"
        ))
    };
    let is_id = plan_id.strip_prefix(PREFIX).is_some_and(|digits| {
        digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    if !is_id {
        return Err(unknown());
    }
    let path = folder.join(file_name(plan_id));
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(unknown()),
        Err(error) => return Err(Error::io("read", &path, error)),
    };
    let saved: SavedPlan = serde_json::from_slice(&text).map_err(|error| {
        let path = path.display();
        Error::Failed(format!(
            "the plan in {path} can't be read ({error}): plan again"
        ))
    })?;
    let age = Timestamp::now().duration_since(saved.created_at);
    match age.unsigned_abs() <= LIFETIME {
        true => Ok(saved),
        false => Err(unknown()),
    }
}

fn file_name(plan_id: &str) -> String {
    format!("{plan_id}.json")
}

fn is_of(saved: &SavedPlan, id: &BackupId, options: &RestoreOptions, target: &str) -> Result<()> {
    let plan_id = &saved.plan_id;
    if saved.backup_id != id.as_str() || saved.target != target {
        return Err(Error::Invalid(format!(
            "plan `{plan_id}` is of backup `{}` in target {}, not of `{id}` in target {target}",
            saved.backup_id, saved.target
        )));
    }
    let time = options.backup_scope().time();
    let are_times =
        is_moment(saved, saved.from, time.from()) && is_moment(saved, saved.until, time.until());
    match saved.options == fingerprint(options) && are_times {
        true => Ok(()),
        false => Err(Error::Invalid(format!(
            "plan `{plan_id}` was made with other options: restore with the same ones, or plan again"
        ))),
    }
}

/// Whether a time of the request is that of the plan: the same, or the same age.
fn is_moment(saved: &SavedPlan, planned: Option<Timestamp>, asked: Option<Timestamp>) -> bool {
    let (Some(planned), Some(asked)) = (planned, asked) else {
        return planned == asked;
    };
    let moved = asked.duration_since(planned);
    let age = Timestamp::now().duration_since(saved.created_at);
    moved.is_zero() || (moved - age).unsigned_abs() <= MOVED_AGE
}
