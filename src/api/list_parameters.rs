//! The parameters of a list of backups.

use jiff::Timestamp;

use super::error::ApiError;
use super::parameters::page;
use super::schema::Schema;
use crate::operations::{ListFilter, ListPlace};
use crate::repository::BackupState;
use crate::times;

/// Which backups a request asks for, as it says it.
pub(super) struct ListParameters {
    pub(super) state: Option<BackupState>,
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
        let moment = |text: &str| times::parse_moment(text, Timestamp::now());
        Ok(ListFilter {
            state: self.state,
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
