//! Times as people read and write them: ages, durations, moments.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The form of a duration, for messages.
pub(crate) const DURATION_FORM: &str = "a duration such as 90s, 30m, 26h, 7d or 1d12h";
/// The form of a moment, for messages.
pub(crate) const MOMENT_FORM: &str = "a date (2026-02-11), a time in RFC 3339 (2026-02-11T14:30:22Z) or an age such as 26h, 7d or 2 days ago";

const UNITS: [(u64, char); 4] = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];

/// Reads `90s`, `30m`, `26h`, `7d`, `2w`, `1d12h`; a number alone is of seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut seconds: u64 = 0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit());
        let (number, behind) = rest.split_at(digits.unwrap_or(rest.len()));
        let number: u64 = number.parse().ok()?;
        let unit = match behind.chars().next() {
            None if seconds == 0 => 1,
            Some('w') => 7 * 86_400,
            Some(letter) => UNITS.iter().find(|(_, unit)| *unit == letter)?.0,
            None => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = behind.get(1..).unwrap_or_default();
    }
    // Longer durations do not lead to a valid moment.
    (seconds <= 1000 * 365 * 86_400).then(|| Duration::from_secs(seconds))
}

/// Reads a duration as Go writes it: `2h`, `1h30m`, `1.5h`, `90s`, `0`. Not a negative one.
pub(crate) fn parse_go_duration(text: &str) -> Option<Duration> {
    const UNITS: [(&str, f64); 7] = [
        ("ns", 1e-9),
        ("us", 1e-6),
        ("\u{b5}s", 1e-6),
        ("ms", 1e-3),
        ("h", 3600.0),
        ("m", 60.0),
        ("s", 1.0),
    ];
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut seconds = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, behind) = rest.split_at(end);
        let (unit, factor) = UNITS.iter().find(|(unit, _)| behind.starts_with(unit))?;
        seconds += number.parse::<f64>().ok()? * factor;
        rest = behind.get(unit.len()..).unwrap_or_default();
    }
    Duration::try_from_secs_f64(seconds).ok()
}

/// Reads an age in words: `2 days ago`, `1 hour ago`, `2d ago`.
fn parse_ago(text: &str) -> Option<Duration> {
    let age = text.strip_suffix(" ago")?.trim();
    let Some((number, unit)) = age.split_once(' ') else {
        return parse_duration(age);
    };
    let letter = match unit.trim().trim_end_matches('s') {
        "week" => 'w',
        "day" => 'd',
        "hour" => 'h',
        "minute" => 'm',
        "second" => 's',
        _ => return None,
    };
    parse_duration(&format!("{number}{letter}"))
}

/// Reads a moment: a date (its first second), RFC 3339, or an age, counted from `now`. UTC where no
/// offset is given.
pub(crate) fn parse_moment(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(age) = parse_duration(text).or_else(|| parse_ago(text)) {
        return before(now, age);
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        return TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok();
    }
    let in_utc = || {
        let is_local = text.len() > 10 && !text.get(10..)?.contains(['Z', 'z', '+', '-', '[']);
        let time: DateTime = is_local.then(|| text.parse().ok())??;
        TimeZone::UTC.to_timestamp(time).ok()
    };
    text.parse().ok().or_else(in_utc)
}

/// The form of a moment to come, for messages.
pub(crate) const UNTIL_FORM: &str =
    "a date (2026-12-31), a time in RFC 3339 (2026-12-31T14:30:22Z) or a time from now such as 30d";

/// Reads a moment to come: a date (its end, UTC), RFC 3339, or a time from `now`.
pub(crate) fn parse_until(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Some(time) = parse_duration(text) {
        return now.checked_add(SignedDuration::try_from(time).ok()?).ok();
    }
    if let Ok(date) = text.parse::<Date>()
        && text.len() == 10
    {
        let next = date.tomorrow().ok()?.at(0, 0, 0, 0);
        return TimeZone::UTC.to_timestamp(next).ok();
    }
    text.parse().ok()
}

/// A duration in its two largest units: `3h 12m`, `45s`, `2d`.
pub(crate) fn long(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let first = UNITS.iter().position(|(unit, _)| seconds >= *unit);
    let Some(first) = first.filter(|first| *first < 3) else {
        return format!("{seconds}s");
    };
    let (large, small) = (UNITS[first], UNITS[first + 1]);
    let rest = seconds % large.0 / small.0;
    match rest {
        0 => format!("{}{}", seconds / large.0, large.1),
        _ => format!("{}{} {rest}{}", seconds / large.0, large.1, small.1),
    }
}

/// A duration in its largest unit: `3h`, `45s`, `400d`.
pub(crate) fn short(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = UNITS.iter().find(|(unit, _)| seconds >= *unit);
    let (unit, letter) = unit.copied().unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

/// A duration as somebody may have written it in a setting: `26h`, `7d`, `90m`.
pub(crate) fn setting(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let unit = (UNITS.iter()).find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (unit, letter) = unit.copied().unwrap_or((1, 's'));
    format!("{}{letter}", seconds / unit)
}

/// The moment as the standard library has it.
pub(crate) fn system_time(moment: Timestamp) -> SystemTime {
    let since_epoch = moment.as_duration();
    if since_epoch.is_negative() {
        UNIX_EPOCH - since_epoch.unsigned_abs()
    } else {
        UNIX_EPOCH + since_epoch.unsigned_abs()
    }
}

/// The moment that was this long ago; `None` where there is no such moment.
pub(crate) fn before(now: Timestamp, age: Duration) -> Option<Timestamp> {
    now.checked_sub(SignedDuration::try_from(age).ok()?).ok()
}

/// How long ago a moment is; `None` for one in the future.
pub(crate) fn age(moment: Timestamp, now: Timestamp) -> Option<Duration> {
    now.duration_since(moment).try_into().ok()
}

/// A moment in seconds, UTC, for tables: `2026-02-11 14:30:22`.
pub(crate) fn utc(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a duration that is read or shown as another one.
    #[test]
    fn durations_are_read_and_shown() {
        for (text, seconds) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("26h", Some(93_600)),
            ("7d", Some(604_800)),
            ("2w", Some(1_209_600)),
            ("1d12h", Some(129_600)),
            ("", None),
            ("h", None),
            ("26", Some(26)),
            ("26H", None),
            ("1h30", None),
            ("-5h", None),
            ("5 h", None),
            ("5µ", None),
            ("99999999999999999999h", None),
            ("999999999999d", None),
        ] {
            let read = parse_duration(text).map(|duration| duration.as_secs());
            assert_eq!(read, seconds, "{text:?}");
        }
        for (seconds, full, brief, set) in [
            (0, "0s", "0s", "0s"),
            (59, "59s", "59s", "59s"),
            (61, "1m 1s", "1m", "61s"),
            (93_600, "1d 2h", "1d", "26h"),
            (11_520, "3h 12m", "3h", "192m"),
            (172_800, "2d", "2d", "2d"),
            (86_400 * 400 + 59, "400d", "400d", "34560059s"),
        ] {
            let duration = Duration::from_secs(seconds);
            let shown = (long(duration), short(duration), setting(duration));
            assert_eq!(shown, (full.into(), brief.into(), set.into()));
        }
    }

    #[test]
    fn moments_are_dates_times_and_ages() {
        let now: Timestamp = "2026-02-11T14:30:22Z".parse().expect("a time");
        for (text, moment) in [
            ("2026-02-11", Some("2026-02-11T00:00:00Z")),
            ("2026-02-11T15:30:22+01:00", Some("2026-02-11T14:30:22Z")),
            ("2026-02-11T15:30", Some("2026-02-11T15:30:00Z")),
            ("2026-02-11 15:30:22", Some("2026-02-11T15:30:22Z")),
            ("2026-02-11T15:30:22+99:00", None),
            ("1d", Some("2026-02-10T14:30:22Z")),
            ("1d ago", Some("2026-02-10T14:30:22Z")),
            ("2 days ago", Some("2026-02-09T14:30:22Z")),
            ("1 hour ago", Some("2026-02-11T13:30:22Z")),
            ("2 fortnights ago", None),
            ("ago", None),
            (" ago", None),
            ("yesterday", None),
            ("2026-13-01", None),
            ("", None),
        ] {
            let read = parse_moment(text, now).map(|moment| moment.to_string());
            assert_eq!(read.as_deref(), moment, "{text:?}");
        }
        assert_eq!(utc(now), "2026-02-11 14:30:22");
        assert_eq!(age(now, now - SignedDuration::from_secs(1)), None);
    }
}
