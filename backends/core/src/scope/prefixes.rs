//! Prefixes of keys, for listings.

use super::databases::{COMPACTION_STATES, SCHEMAS};

/// What the keys of a database begin with.
pub(super) fn of_database(name: &str) -> [String; 3] {
    [
        format!("{name}/"),
        format!("{SCHEMAS}/{name}/"),
        format!("{COMPACTION_STATES}/"),
    ]
}

/// The same prefixes in byte order, without those that begin with another one.
pub(super) fn reduced(mut all: Vec<String>) -> Vec<String> {
    all.sort_unstable();
    all.dedup_by(|next, prefix| next.starts_with(prefix.as_str()));
    all
}

/// The prefixes of the keys that begin with one of each list.
pub(super) fn of_both(one: &[String], other: &[String]) -> Vec<String> {
    let longer = |a: &String, b: &String| match (a.starts_with(&**b), b.starts_with(&**a)) {
        (true, _) => Some(a.clone()),
        (_, true) => Some(b.clone()),
        (false, false) => None,
    };
    let pairs = one
        .iter()
        .flat_map(|a| other.iter().filter_map(move |b| longer(a, b)));
    reduced(pairs.collect())
}
