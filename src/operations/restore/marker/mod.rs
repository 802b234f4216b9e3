//! The restore marker, which says that live data may be neither old nor new.
//!
//! It lies in the state folder (`restore-in-progress.json`) and beside the data, and counts
//! wherever it is found.

mod last_answer;
mod places;
mod reading;
mod restore_marker;
#[cfg(test)]
mod tests;

pub(crate) use last_answer::LastAnswer;
pub(crate) use reading::{
    any_marker, keeps_staged, marker, marker_path, merge, remove_marker, state_marker,
};
pub(crate) use restore_marker::{RestoreMarker, check_covers_interrupted, check_options_cover};
