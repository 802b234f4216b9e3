//! What the parameters of the endpoints may be.

use super::super::faults::Fault;

/// Files or operations on a page, if not asked otherwise, and at most.
pub(in crate::api) const PAGE: u64 = 100;
pub(in crate::api) const PAGE_LIMIT: u64 = 10_000;
/// The largest offset: SQLite's integers go no further than 2^63 - 1, and those of JavaScript are exact up to here.
pub(in crate::api) const OFFSET_LIMIT: u64 = (1 << 53) - 1;

pub(super) fn page(limit: Option<u64>) -> Result<u64, Fault> {
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

/// What a parameter must be, in words.
pub(in crate::api) fn parameter_fault(name: &str) -> String {
    match name {
        "limit" => format!("limit must be from 1 to {PAGE_LIMIT}"),
        "offset" => format!("offset must be from 0 to {OFFSET_LIMIT}"),
        "all" => "all must be true or false".to_owned(),
        _ => format!("parameter {name} is missing or is not understood"),
    }
}
