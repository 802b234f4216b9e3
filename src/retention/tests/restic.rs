//! The same times and rules, given to restic.
//!
//! The answers in `tests/fixtures/retention/` are those of restic 0.14.0, Debian's, to `restic
//! forget --dry-run --json --group-by ''`, over snapshots that were made with `--time`: once with
//! `TZ=UTC`, once with `TZ=Europe/Berlin`. `tests/lifecycle/retention/restic.rs` asks a restic
//! that is installed.
//!
//! What is kept is the same, and so are the reasons, but for one difference:
//!
//! - The oldest backup is kept while a rule is not filled. That is restic's own rule since 0.16:
//!   0.14 does not have it. It keeps more.
//!
//! Differences that these times do not reach:
//!
//! - A month before 31 March is 28 February here, and 3 March there. Here more is kept.
//! - Where clocks go back over midnight, restic counts both days twice. Here each is one.
//! - restic counts a snapshot from the future. Here it takes no place.
//! - restic has no damaged snapshots, and no last good one that it never removes.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{NOW, time, zone};
use crate::retention::{Candidate, Rules, evaluate};

/// What was asked, and what restic answered.
#[derive(Deserialize)]
struct Recorded {
    zone: String,
    times: Vec<String>,
    answers: Vec<Answer>,
}

#[derive(Deserialize)]
struct Answer {
    rules: Rules,
    /// The reasons, by the place of the time.
    kept: BTreeMap<usize, Vec<String>>,
}

/// Guards against: rules that keep other backups than operators know from restic.
#[test]
fn the_kept_set_is_that_of_restic() {
    for text in [
        include_str!("../../../tests/fixtures/retention/restic-utc.json"),
        include_str!("../../../tests/fixtures/retention/restic-berlin.json"),
    ] {
        let recorded: Recorded = serde_json::from_str(text).expect("a fixture");
        let backups: Vec<_> = (recorded.times.iter().enumerate())
            .map(|(at, text)| Candidate::new(format!("{at:03}"), time(text)))
            .collect();
        assert_eq!((backups.len(), recorded.answers.len()), (200, 10));
        for Answer { rules, kept } in recorded.answers {
            let decisions = evaluate(&backups, &rules, &zone(&recorded.zone), time(NOW));
            let mut found: BTreeMap<usize, Vec<String>> = (decisions.into_iter())
                .filter(|one| one.keep)
                .map(|one| (one.id.parse().expect("a number"), one.reasons))
                .collect();
            // The difference: the oldest of all.
            if let Some(oldest) = found.get_mut(&0) {
                oldest.retain(|reason| !reason.starts_with("oldest "));
                if oldest.is_empty() {
                    found.remove(&0);
                }
            }
            assert_eq!(found, kept, "{rules:?} in {}", recorded.zone);
        }
    }
}
