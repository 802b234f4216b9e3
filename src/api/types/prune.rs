//! The plan of a prune, and the answers to a request for one.

use poem_openapi::payload::Json;
use poem_openapi::{ApiResponse, Object};

use super::accepted::Accepted;
use super::state::BackupState;
use crate::operations;

/// What a prune of a target would do now.
#[derive(Debug, Clone, PartialEq, Object)]
pub(crate) struct PrunePlan {
    /// The target.
    pub(in crate::api) target: String,
    /// When the plan was made, RFC 3339, UTC.
    pub(in crate::api) made_at: String,
    /// All backups of the target, newest first.
    pub(in crate::api) backups: Vec<PlannedBackup>,
    /// How many stay.
    pub(in crate::api) keep_count: u64,
    /// How many would be deleted.
    pub(in crate::api) delete_count: u64,
    /// Files that would be removed; null where that is not known of every backup.
    pub(in crate::api) freed_files: Option<u64>,
    /// Their bytes.
    pub(in crate::api) freed_bytes: Option<u64>,
    /// What the operator should know: that no rule applies, or that backups of others are kept.
    pub(in crate::api) warnings: Vec<String>,
}

/// A backup of the plan.
#[derive(Debug, Clone, PartialEq, Object)]
#[oai(skip_serializing_if_is_none)]
pub(in crate::api) struct PlannedBackup {
    /// The backup's id.
    pub(in crate::api) backup_id: String,
    /// When it began, RFC 3339, UTC; absent where that is not known.
    pub(in crate::api) created_at: Option<String>,
    /// What is known of it.
    pub(in crate::api) state: BackupState,
    /// The databases that it is limited to, sorted; absent where it has all of them.
    #[oai(default, skip_serializing_if_is_empty)]
    pub(in crate::api) scope: Vec<String>,
    /// The schedule that it was made for.
    pub(in crate::api) schedule: Option<String>,
    /// Whether a pin keeps it.
    pub(in crate::api) locked: bool,
    /// All targets that hold it, or a leg of it.
    pub(in crate::api) targets: Vec<String>,
    /// Whether it stays.
    pub(in crate::api) keep: bool,
    /// Why, or why not: `daily snapshot`, `oldest monthly snapshot`, `within 7d`, `pinned: audit`.
    pub(in crate::api) reasons: Vec<String>,
    /// Files that would be removed; absent where it stays, or that is not known.
    pub(in crate::api) freed_files: Option<u64>,
    /// Their bytes.
    pub(in crate::api) freed_bytes: Option<u64>,
}

impl From<operations::PrunePlan> for PrunePlan {
    fn from(plan: operations::PrunePlan) -> Self {
        let is_counted = plan.is_counted();
        let (delete_count, freed_files, freed_bytes) = plan.totals();
        let operations::PrunePlan {
            target,
            made_at,
            backups,
            warnings,
        } = plan;
        Self {
            target,
            made_at: made_at.to_string(),
            keep_count: backups.len() as u64 - delete_count,
            backups: backups.into_iter().map(Into::into).collect(),
            delete_count,
            freed_files: is_counted.then_some(freed_files),
            freed_bytes: is_counted.then_some(freed_bytes),
            warnings,
        }
    }
}

impl From<operations::PlannedBackup> for PlannedBackup {
    fn from(planned: operations::PlannedBackup) -> Self {
        let operations::PlannedBackup {
            backup_id,
            created_at,
            state,
            scope,
            schedule,
            is_locked,
            targets,
            keep,
            reasons,
            freed_files,
            freed_bytes,
        } = planned;
        Self {
            backup_id,
            created_at: created_at.map(|at| at.to_string()),
            state: state.into(),
            scope,
            schedule,
            locked: is_locked,
            targets,
            keep,
            reasons,
            freed_files,
            freed_bytes,
        }
    }
}

/// The answers to a request for a prune.
#[derive(ApiResponse)]
pub(in crate::api) enum Pruned {
    /// The plan. Nothing was done.
    #[oai(status = 200)]
    Planned(Json<PrunePlan>),
    /// It runs; poll the status.
    #[oai(status = 202)]
    Accepted(
        Json<Accepted>,
        /// Where the operation is reported: `/api/v1/backup/operations/{operation_id}`.
        #[oai(header = "Location")]
        String,
        /// After how many seconds to ask there; or ask with `?wait=30s`.
        #[oai(header = "Retry-After")]
        u64,
    ),
}
