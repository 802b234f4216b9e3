//! Which values of a configuration are secrets.

use super::credentials::has_credentials;
use super::leaves::{Leaf, LeafKind, Step};
use super::names::{is_about, is_secret_name, is_secret_number, is_secret_table, squashed};

/// Names of the value itself, in a table with the name of a secret.
const VALUE_NAMES: [&str; 5] = ["data", "hash", "plain", "text", "value"];
/// Headers that are no secret; any other one may be.
const PUBLIC_HEADERS: [&str; 7] = [
    "accept",
    "acceptencoding",
    "acceptlanguage",
    "contentencoding",
    "contenttype",
    "host",
    "useragent",
];

/// Whether the value at a path is a secret; `known` are further names of secrets.
pub(super) fn is_secret(leaf: &Leaf, known: &[&str]) -> bool {
    if leaf.kind == LeafKind::Boolean || leaf.text.is_empty() {
        return false;
    }
    let mut names = leaf.path.iter().rev().filter_map(|step| match step {
        Step::Name(name) => Some(name.as_str()),
        Step::Index(_) => None,
    });
    let Some(name) = names.next() else {
        return false;
    };
    let tables: Vec<&str> = names.collect();
    let is_in_array = matches!(leaf.path.last(), Some(Step::Index(_)));
    let in_table =
        tables.iter().any(|name| is_secret_table(name)) || (is_in_array && is_secret_table(name));
    match leaf.kind {
        LeafKind::Boolean => false,
        LeafKind::Number => (in_table && !is_about(name)) || is_secret_number(name),
        LeafKind::Text => {
            in_table
                || is_secret_name(name, known)
                || (VALUE_NAMES.contains(&&*squashed(name))
                    && (tables.first()).is_some_and(|table| is_secret_name(table, known)))
                || is_secret_header(name, &tables, &leaf.text)
                || (leaf.text.contains("://")
                    && tables
                        .iter()
                        .any(|table| squashed(table).contains("webhook")))
                || has_credentials(&leaf.text)
        }
    }
}

/// Whether a text is a header of HTTP that may be a secret: `X-Auth = "…"` in a table of headers,
/// or `"X-Auth: …"` in an array of them.
fn is_secret_header(name: &str, tables: &[&str], text: &str) -> bool {
    let are_headers = |name: &str| squashed(name).ends_with("headers");
    let header = if tables.first().is_some_and(|table| are_headers(table)) {
        Some(name)
    } else if are_headers(name) {
        text.split_once([':', '=']).map(|(header, _)| header)
    } else {
        None
    };
    header.is_some_and(|header| !PUBLIC_HEADERS.contains(&&*squashed(header)))
}
