//! `file:` URIs, as `iceberg.warehouse` may be one.

use std::path::PathBuf;

/// The folder that a path or a `file:` URI names; `None` for a URI of another scheme.
pub(super) fn local_path(place: &str) -> Option<PathBuf> {
    let (scheme, rest) = match place.split_once(':') {
        // One letter is a drive, and what is behind a `/` is no scheme.
        Some((scheme, rest)) if scheme.len() > 1 && is_scheme(scheme) => (scheme, rest),
        _ => return Some(PathBuf::from(place)),
    };
    if !scheme.eq_ignore_ascii_case("file") {
        return None;
    }
    // `file:/srv`, `file:///srv`, `file://localhost/srv`; and `file://./lake`, as Arc takes it.
    let path = rest.strip_prefix("//").unwrap_or(rest);
    let of_localhost = path.strip_prefix("localhost");
    let path = of_localhost
        .filter(|path| path.starts_with('/'))
        .unwrap_or(path);
    decoded(path).map(PathBuf::from)
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// Decodes `%20` and the like; a `%` without two hex digits stays.
fn decoded(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut left = path.as_bytes();
    while let [first, rest @ ..] = left {
        let digits = rest
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let code = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match code.filter(|_| *first == b'%') {
            Some(code) => {
                bytes.push(code);
                left = rest.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                left = rest;
            }
        }
    }
    String::from_utf8(bytes).ok()
}
