//! The query parameters that several endpoints have.

use jiff::Timestamp;

use super::error::ApiError;
use super::schema::Schema;
use crate::times::{MOMENT_FORM, parse_moment};

/// Files or operations on a page, if the request does not say.
pub(super) const PAGE: u64 = 100;
/// Files, operations or backups on a page, at most.
pub(super) const PAGE_LIMIT: u64 = 10_000;
/// The largest offset: SQLite's integers end at 2^63 - 1, and JavaScript's are exact up to here.
pub(super) const OFFSET_LIMIT: u64 = (1 << 53) - 1;

/// The size of a page.
pub(super) fn page(schema: &Schema, limit: Option<u64>) -> Result<u64, ApiError> {
    match limit {
        None => Ok(PAGE),
        Some(limit @ 1..=PAGE_LIMIT) => Ok(limit),
        Some(_) => Err(ApiError::bad(&schema.parameter_error("limit"), None)),
    }
}

/// How many rows come before the page.
pub(super) fn offset(schema: &Schema, offset: Option<u64>) -> Result<u64, ApiError> {
    match offset {
        Some(offset) if offset > OFFSET_LIMIT => {
            Err(ApiError::bad(&schema.parameter_error("offset"), None))
        }
        other => Ok(other.unwrap_or(0)),
    }
}

/// The values of a parameter that is given several times, or with commas.
pub(super) fn values(given: Option<Vec<String>>) -> Vec<String> {
    (given.iter().flatten())
        .flat_map(|text| text.split(','))
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
        .collect()
}

/// The same, each of which must be a value that the document names.
pub(super) fn named_values(
    schema: &Schema,
    name: &str,
    given: Option<Vec<String>>,
) -> Result<Vec<String>, ApiError> {
    let values = values(given);
    match values.iter().all(|value| schema.allows_item(name, value)) {
        true => Ok(values),
        false => Err(ApiError::bad(&schema.parameter_error(name), None)),
    }
}

/// A moment: RFC 3339, or an age.
pub(super) fn moment(name: &str, given: Option<String>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = given else {
        return Ok(None);
    };
    // `+02:00` comes as a space where its sign was not escaped.
    let text = text.trim().replace(' ', "+");
    match parse_moment(&text, Timestamp::now()) {
        Some(moment) => Ok(Some(moment)),
        None => Err(ApiError::bad(
            &format!("{name} must be {MOMENT_FORM}"),
            None,
        )),
    }
}
