//! When a token ends: every form in which Arc and its SQLite driver write a moment.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::Offset;

/// The value of `expires_at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expiry {
    /// NULL: the token has no end.
    Never,
    /// The token is good before this moment.
    At(Timestamp),
    /// Not a moment we can read. Counts as past: a token of doubtful validity is not let in.
    Unreadable,
}

impl Expiry {
    /// Reads `YYYY-MM-DD HH:MM:SS` (UTC), RFC 3339 with an offset, and Arc's own
    /// `2036-11-20 18:06:42.823682213+00:00`; the fraction is optional in all of them.
    pub(crate) fn parse(text: &str) -> Self {
        moment(text).map_or(Self::Unreadable, Self::At)
    }

    /// Whether the token is past its end at `now`.
    pub(crate) fn is_past(self, now: Timestamp) -> bool {
        match self {
            Self::Never => false,
            Self::At(end) => end <= now,
            Self::Unreadable => true,
        }
    }
}

/// jiff reads more than these forms (bare dates, zone annotations), so the shape is checked first.
fn moment(text: &str) -> Option<Timestamp> {
    let shape = b"0000-00-00T00:00:00";
    let bytes = text.as_bytes();
    let (head, tail) = bytes.split_at_checked(shape.len())?;
    let fits = head.iter().zip(shape).all(|(byte, wanted)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        _ => byte == wanted,
    });
    if !fits {
        return None;
    }
    let offset = match tail.strip_prefix(b".") {
        None => tail,
        Some(fraction) => {
            let digits = fraction
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if !(1..=9).contains(&digits) {
                return None;
            }
            &fraction[digits..]
        }
    };
    match offset {
        [] => {
            let civil: DateTime = text.parse().ok()?;
            Offset::UTC.to_timestamp(civil).ok()
        }
        [b'Z' | b'z'] => text.parse().ok(),
        [b'+' | b'-', h1, h2, b':', m1, m2]
            if [h1, h2, m1, m2].into_iter().all(u8::is_ascii_digit) =>
        {
            text.parse().ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against: tokens that end too early or too late.
    #[test]
    fn every_form_is_the_moment_it_says() {
        let whole: Timestamp = "2036-11-20T18:06:42Z".parse().expect("a moment");
        let exact: Timestamp = "2036-11-20T18:06:42.823682213Z".parse().expect("a moment");
        for (text, expected) in [
            ("2036-11-20 18:06:42", whole),
            ("2036-11-20T18:06:42", whole),
            ("2036-11-20T18:06:42Z", whole),
            ("2036-11-20T20:06:42+02:00", whole),
            ("2036-11-20T12:36:42-05:30", whole),
            ("2036-11-20 18:06:42+00:00", whole),
            ("2036-11-20 18:06:42.0", whole),
            ("2036-11-20 18:06:42.823682213+00:00", exact),
            ("2036-11-20T19:06:42.823682213+01:00", exact),
            ("2036-11-20 18:06:42.823682213", exact),
        ] {
            assert_eq!(Expiry::parse(text), Expiry::At(expected), "{text}");
        }
    }

    /// Guards against: an unreadable end that counts as no end.
    #[test]
    fn what_is_no_moment_is_past() {
        for text in [
            "",
            "never",
            "2036-11-20",
            "2036-13-20 18:06:42",
            "2036-02-30 18:06:42",
            "2036-11-20 25:06:42",
            "2036-11-20 18:06:42 ",
            " 2036-11-20 18:06:42",
            "2036-11-20 18:06:42.",
            "2036-11-20 18:06:42.1234567890Z",
            "2036-11-20 18:06:42 +0000 UTC",
            "2036-11-20T18:06:42+00:00[UTC]",
            "2036-11-20 18:06:42+é0:0",
            "2095379202",
        ] {
            assert_eq!(Expiry::parse(text), Expiry::Unreadable, "{text}");
            assert!(Expiry::parse(text).is_past(Timestamp::UNIX_EPOCH), "{text}");
        }
    }

    /// Guards against: a token that is accepted at the moment of its end.
    #[test]
    fn a_token_ends_at_its_end() {
        let end: Timestamp = "2026-11-23T18:06:43Z".parse().expect("a moment");
        let before: Timestamp = "2026-11-23T18:06:42.999Z".parse().expect("a moment");
        assert!(Expiry::At(end).is_past(end) && !Expiry::At(end).is_past(before));
        assert!(!Expiry::Never.is_past(end));
    }
}
