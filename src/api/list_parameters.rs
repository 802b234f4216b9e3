//! The parameters of a list of backups.

use jiff::Timestamp;

use super::error::ApiError;
use super::parameters::{page, values};
use super::schema::Schema;
use crate::backup_type::BackupType;
use crate::operations::{ListFilter, ListPlace, check_label};
use crate::repository::BackupState;
use crate::times;

/// Which backups a request asks for, as it says it.
pub(super) struct ListParameters {
    pub(super) state: Option<BackupState>,
    pub(super) labels: Option<Vec<String>>,
    pub(super) backup_type: Option<BackupType>,
    pub(super) schedule: Option<String>,
    pub(super) locked: Option<bool>,
    pub(super) older_than: Option<String>,
    pub(super) instance: Option<String>,
    pub(super) include_foreign: Option<bool>,
    pub(super) since: Option<String>,
    pub(super) until: Option<String>,
    pub(super) start_after: Option<String>,
    pub(super) limit: Option<u64>,
}

impl ListParameters {
    /// The filter that they are.
    pub(super) fn filter(self, schema: &Schema) -> Result<ListFilter, ApiError> {
        let form = "the next of an earlier page, or a backup ID";
        let place = read("start_after", form, self.start_after, ListPlace::parse)?;
        let now = Timestamp::now();
        let moment = |text: &str| times::parse_moment(text, now);
        let age = |text: &str| times::before(now, times::parse_duration(text)?);
        let labels = values(self.labels);
        labels.iter().try_for_each(|label| check_label(label))?;
        Ok(ListFilter {
            state: self.state,
            labels,
            backup_type: self.backup_type,
            schedule: self.schedule,
            locked: self.locked,
            before: read("older_than", times::DURATION_FORM, self.older_than, age)?,
            instance: self.instance,
            include_foreign: self.include_foreign.unwrap_or(false),
            since: read("since", times::MOMENT_FORM, self.since, moment)?,
            until: read("until", times::MOMENT_FORM, self.until, moment)?,
            start_after: place,
            limit: (self.limit)
                .map(|limit| page(schema, Some(limit)))
                .transpose()?,
        })
    }
}

fn read<T>(
    name: &str,
    form: &str,
    text: Option<String>,
    parse: impl FnOnce(&str) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    let Some(text) = text else {
        return Ok(None);
    };
    match parse(&text) {
        Some(value) => Ok(Some(value)),
        None => Err(ApiError::bad(&format!("{name} must be {form}"), None)),
    }
}
