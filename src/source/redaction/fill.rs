//! Putting the secrets of the live `arc.toml` into one without secrets.

use super::leaves::{Leaf, Step, edited, leaves};
use crate::config::placeholder;

/// An `arc.toml` with secrets again.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) struct Filled {
    pub(in crate::source) text: String,
    /// The variables of the secrets that the live file does not have, sorted.
    pub(in crate::source) missing: Vec<String>,
}

/// Gives each placeholder in `text` the value that `live` has at its place; `None` where there is
/// no placeholder.
///
/// An element of an array has no name, only a number. It gets a secret only where the rest of it is
/// the same in both files: another one at that number must not get the password of this one.
///
/// # Errors
/// What is wrong where the text is not TOML. A live file that is none has no secrets.
pub(in crate::source) fn fill(text: &str, live: &str) -> Result<Option<Filled>, String> {
    let ours = leaves(text)?;
    let theirs = leaves(live).unwrap_or_default();
    let placeholders: Vec<(&Leaf, String)> = (ours.iter())
        .filter_map(|leaf| Some((leaf, variable_of(leaf)?)))
        .collect();
    if placeholders.is_empty() {
        return Ok(None);
    }
    let (mut edits, mut missing) = (Vec::new(), Vec::new());
    for (leaf, variable) in placeholders {
        let found = theirs.iter().find(|live| live.path == leaf.path);
        let found = found
            .filter(|live| variable_of(live).is_none() && is_same_element(leaf, &ours, &theirs));
        match found {
            Some(found) => edits.push((leaf.span.clone(), live[found.span.clone()].to_owned())),
            None => missing.push(variable),
        }
    }
    missing.sort();
    missing.dedup();
    Ok(Some(Filled {
        text: edited(text, edits),
        missing,
    }))
}

/// The variable of a value that is a placeholder.
fn variable_of(leaf: &Leaf) -> Option<String> {
    let (variable, text) = placeholder(&leaf.names());
    (leaf.text == text).then_some(variable)
}

/// Whether each element of an array that a value lies in is the same in both, but for placeholders.
fn is_same_element(leaf: &Leaf, ours: &[Leaf], theirs: &[Leaf]) -> bool {
    let indices = (leaf.path.iter().enumerate()).filter(|(_, step)| matches!(step, Step::Index(_)));
    indices.into_iter().all(|(at, _)| {
        let is_table = at + 1 < leaf.path.len();
        // Of an array of values, all of them.
        let prefix = &leaf.path[..if is_table { at + 1 } else { at }];
        let below = |leaf: &&Leaf| leaf.path.starts_with(prefix);
        let (ours, theirs) = (
            ours.iter().filter(below).collect::<Vec<_>>(),
            theirs.iter().filter(below).collect::<Vec<_>>(),
        );
        ours.len() == theirs.len()
            && ours.iter().all(|one| {
                theirs.iter().any(|other| {
                    other.path == one.path
                        && (variable_of(one).is_some()
                            || (other.kind, &other.text) == (one.kind, &one.text))
                })
            })
    })
}

#[cfg(test)]
mod tests {
    use super::super::redact::redact;
    use super::*;

    const LIVE: &str = "# ours\n[storage]\ns3_secret_key = 'hush-1-hush' # live\n[[mqtt]]\nurl = \"a\"\npassword = \"hush-2-hush\"\n\
                        [[mqtt]]\nurl = \"b\"\npassword = 123456\n[x]\ntokens = [\"hush-3-hush\", \"hush-4-hush\"]\n";

    fn filled(text: &str, live: &str) -> Filled {
        fill(text, live).expect("valid TOML").expect("placeholders")
    }

    /// Guards against: a restore that puts placeholders into force where the secrets are known.
    #[test]
    fn the_live_secrets_come_back_to_the_byte() {
        let redacted = redact(LIVE, &[]).expect("valid TOML").text;
        let back = filled(&redacted, LIVE);
        assert_eq!((back.text.as_str(), back.missing), (LIVE, Vec::new()));
        assert_eq!(fill(LIVE, LIVE), Ok(None));
        // A new host has none: each is named.
        let none = filled(&redacted, "");
        assert_eq!(none.text, redacted);
        assert_eq!(none.missing.len(), 5, "{:?}", none.missing);
        assert!(
            none.missing
                .contains(&"ARC_STORAGE_S3_SECRET_KEY".to_owned())
        );
        // Placeholders are no secrets.
        assert_eq!(filled(&redacted, &redacted).missing, none.missing);
        assert_eq!(filled(&redacted, "not TOML").missing, none.missing);
    }

    /// Guards against: the password of one broker that is sent to another one.
    #[test]
    fn an_element_that_is_another_one_gets_no_secret() {
        let redacted = redact(LIVE, &[]).expect("valid TOML").text;
        let swapped = LIVE
            .replace("\"a\"", "\"c\"")
            .replace("\"hush-3-hush\", ", "");
        let back = filled(&redacted, &swapped);
        assert_eq!(
            back.missing,
            ["ARC_MQTT_0_PASSWORD", "ARC_X_TOKENS_0", "ARC_X_TOKENS_1"]
        );
        assert!(back.text.contains("password = 123456"), "{}", back.text);
    }
}
