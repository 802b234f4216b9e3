//! Lists of names in messages.

/// How many names a message has.
const NAMED: usize = 5;

/// The first of the names, and how many more there are.
#[must_use]
pub(crate) fn shortened(names: &[String]) -> String {
    let mut text = names[..names.len().min(NAMED)].join(", ");
    if names.len() > NAMED {
        text.push_str(&format!(" and {} more", names.len() - NAMED));
    }
    text
}
