//! Range requests: RFC 9110, section 14.

use std::ops::Range;

/// What of a file is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing: no byte is in the range.
    Nothing,
}

/// What `Range` asks for of a file of `size` bytes. What is not understood, and several ranges,
/// are ignored, as the RFC allows.
pub(super) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some((unit, range)) = header.and_then(|header| header.split_once('=')) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = range.trim().split_once('-') else {
        return Wanted::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return Wanted::Whole;
    }
    let part = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(size),
        (Some(first), None) if last.is_empty() => first..size,
        (None, Some(last)) if first.is_empty() => size.saturating_sub(last)..size,
        _ => return Wanted::Whole,
    };
    match part.start < part.end {
        true => Wanted::Part(part),
        false => Wanted::Nothing,
    }
}

/// A number of digits alone; one that is too large is as good as the largest.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Whether `If-None-Match` names this entity tag; `*` is any.
pub(super) fn has_tag(header: &str, tag: Option<&str>) -> bool {
    (header.split(',').map(str::trim)).any(|one| {
        one == "*" || tag.is_some() && Some(one.strip_prefix("W/").unwrap_or(one)) == tag
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: bytes of another place, or a request beyond the end that looks empty.
    #[test]
    fn a_range_is_cut_at_the_end_and_refused_behind_it() {
        let part = |start: u64, end: u64| Wanted::Part(start..end);
        for (header, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=0-", part(0, 10)),
            ("bytes=9-9", part(9, 10)),
            ("bytes=9-99999999999999999999999", part(9, 10)),
            ("bytes=5-", part(5, 10)),
            ("bytes=-3", part(7, 10)),
            ("bytes=-30", part(0, 10)),
            ("Bytes= 2-4", part(2, 5)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=-", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("rows=0-1", Wanted::Whole),
            ("0-1", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        for header in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            assert_eq!(wanted(Some(header), 0), Wanted::Nothing, "{header}");
        }
    }

    #[test]
    fn a_tag_is_one_of_a_list() {
        assert!(has_tag("\"a\", W/\"b\"", Some("\"b\"")) && has_tag("*", None));
        assert!(!has_tag("\"a\"", Some("\"b\"")) && !has_tag("\"a\"", None));
    }
}
