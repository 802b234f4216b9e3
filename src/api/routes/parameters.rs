//! What the parameters of the endpoints may be.

use jiff::Timestamp;

use super::super::faults::Fault;
use super::super::schema::{self, parameter_fault};
use crate::times::{MOMENT_FORM, parse_moment};

/// Files or operations on a page, if not asked otherwise, and at most.
pub(in crate::api) const PAGE: u64 = 100;
pub(in crate::api) const PAGE_LIMIT: u64 = 10_000;
/// The largest offset: SQLite's integers go no further than 2^63 - 1, and those of JavaScript are exact up to here.
pub(in crate::api) const OFFSET_LIMIT: u64 = (1 << 53) - 1;

pub(in crate::api) fn page(limit: Option<u64>) -> Result<u64, Fault> {
    match limit {
        None => Ok(PAGE),
        Some(limit @ 1..=PAGE_LIMIT) => Ok(limit),
        Some(_) => Err(Fault::bad(&parameter_fault("limit"), None)),
    }
}

pub(super) fn passed_over(offset: Option<u64>) -> Result<u64, Fault> {
    match offset {
        Some(offset) if offset > OFFSET_LIMIT => Err(Fault::bad(&parameter_fault("offset"), None)),
        other => Ok(other.unwrap_or(0)),
    }
}

/// The words of a parameter that is given several times, or with commas.
pub(super) fn words(given: Option<Vec<String>>) -> Vec<String> {
    (given.iter().flatten())
        .flat_map(|text| text.split(','))
        .map(|word| word.trim().to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

/// The same, each of which has to be one of the words that the document names.
pub(super) fn one_of(name: &str, given: Option<Vec<String>>) -> Result<Vec<String>, Fault> {
    let words = words(given);
    match words.iter().all(|word| schema::is_word_of(name, word)) {
        true => Ok(words),
        false => Err(Fault::bad(&parameter_fault(name), None)),
    }
}

/// A moment: RFC 3339, or how long ago.
pub(super) fn moment(name: &str, given: Option<String>) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = given else {
        return Ok(None);
    };
    // `+02:00` comes as a space where its sign was not escaped.
    let text = text.trim().replace(' ', "+");
    match parse_moment(&text, Timestamp::now()) {
        Some(moment) => Ok(Some(moment)),
        None => Err(Fault::bad(&format!("{name} must be {MOMENT_FORM}"), None)),
    }
}
