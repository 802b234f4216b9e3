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
/// An element of an array has no name, only a number. It gets a secret only where the rest of it
/// is the same in both files, at the same number or at one other: another element must not get
/// its password. For the same reason a secret is not put beside an address that the live file does
/// not have there.
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
        let path = live_path(leaf, &ours, &theirs);
        let found = path.and_then(|path| theirs.iter().find(|live| live.path == path));
        let found = found.filter(|live| {
            variable_of(live).is_none() && is_same_address(leaf, &live.path, &ours, &theirs)
        });
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

/// Where the live file has the value: at the same path; in an array of tables at the number of the
/// element that is the same but for placeholders. `None` where there is none, or more than one
/// elsewhere.
fn live_path(leaf: &Leaf, ours: &[Leaf], theirs: &[Leaf]) -> Option<Vec<Step>> {
    let mut path = leaf.path.clone();
    for at in 0..path.len() {
        let Step::Index(number) = path[at] else {
            continue;
        };
        // Of an array of values, all of them are compared.
        let is_table = at + 1 < path.len();
        let our_end = if is_table { at + 1 } else { at };
        let is_same = |number: usize| {
            let mut prefix = path[..our_end].to_vec();
            if is_table {
                prefix[at] = Step::Index(number);
            }
            is_same_below(&leaf.path[..our_end], ours, &prefix, theirs)
        };
        if is_same(number) {
            continue;
        }
        let numbers = (theirs.iter()).filter_map(|live| match live.path.get(at) {
            Some(Step::Index(number)) if live.path.starts_with(&path[..at]) => Some(*number),
            _ => None,
        });
        let mut numbers: Vec<usize> = numbers
            .filter(|number| is_table && is_same(*number))
            .collect();
        numbers.dedup();
        match numbers.as_slice() {
            [number] => path[at] = Step::Index(*number),
            _ => return None,
        }
    }
    Some(path)
}

/// Whether all values below two paths are the same, but for placeholders.
fn is_same_below(our_path: &[Step], ours: &[Leaf], their_path: &[Step], theirs: &[Leaf]) -> bool {
    let ours: Vec<_> = (ours.iter())
        .filter_map(|leaf| Some((leaf.path.strip_prefix(our_path)?, leaf)))
        .collect();
    let theirs: Vec<_> = (theirs.iter())
        .filter_map(|leaf| Some((leaf.path.strip_prefix(their_path)?, leaf)))
        .collect();
    ours.len() == theirs.len()
        && ours.iter().all(|(path, one)| {
            theirs.iter().any(|(other_path, other)| {
                other_path == path
                    && (variable_of(one).is_some()
                        || (other.kind, &other.text) == (one.kind, &one.text))
            })
        })
}

/// What the names of addresses end in.
const ADDRESSES: [&str; 9] = [
    "account_name",
    "address",
    "broker",
    "brokers",
    "endpoint",
    "host",
    "server",
    "uri",
    "url",
];

/// Whether the addresses beside a value, in its table, are the same in both.
fn is_same_address(leaf: &Leaf, live: &[Step], ours: &[Leaf], theirs: &[Leaf]) -> bool {
    let (Some((_, table)), Some((_, live))) = (leaf.path.split_last(), live.split_last()) else {
        return true;
    };
    let is_address = |other: &&Leaf| {
        let Some([Step::Name(name), below @ ..]) = other.path.strip_prefix(table) else {
            return false;
        };
        let name = name.to_ascii_lowercase().replace('-', "_");
        let is_beside = below.iter().all(|step| matches!(step, Step::Index(_)));
        is_beside && ADDRESSES.iter().any(|address| name.ends_with(address))
    };
    ours.iter().filter(is_address).all(|one| {
        variable_of(one).is_some()
            || theirs.iter().any(|other| {
                other.path.strip_prefix(live) == one.path.strip_prefix(table)
                    && other.path.starts_with(live)
                    && other.text == one.text
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

    /// Guards against: secrets that are lost, as another element was put before theirs.
    #[test]
    fn an_element_at_another_number_keeps_its_secret() {
        let text = "[[sinks]]\nname = \"a\"\ntoken = \"hush-a\"\n[[sinks]]\nname = \"b\"\ntoken = \"hush-b\"\n";
        let redacted = redact(text, &[]).expect("valid TOML").text;
        let new = "[[sinks]]\nname = \"c\"\ntoken = \"hush-c\"\n";
        let back = filled(&redacted, &format!("{new}{text}"));
        assert_eq!((back.text.as_str(), back.missing.len()), (text, 0));
        // Two that fit.
        let twice = format!("{new}{new}{text}{text}");
        assert_eq!(filled(&redacted, &twice).missing.len(), 2);
    }

    /// Guards against: the password of the new broker that is sent to the old one.
    #[test]
    fn a_secret_is_not_put_beside_another_address() {
        let text = "[mqtt]\nurl = \"mqtts://old:8883\"\npassword = \"hush-old\"\n[mail]\nhost = \"mail\"\nuser = \"me\"\npass = \"hush-mail\"\n";
        let redacted = redact(text, &[]).expect("valid TOML").text;
        let live = text.replace("old", "new").replace("\"me\"", "\"you\"");
        let back = filled(&redacted, &live);
        assert_eq!(back.missing, ["ARC_MQTT_PASSWORD"]);
        assert!(
            back.text.contains("url = \"mqtts://old:8883\"") && !back.text.contains("hush-new")
        );
        assert!(back.text.contains("hush-mail"));
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
