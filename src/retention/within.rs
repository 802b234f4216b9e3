//! `keep_within`: a span of the calendar, such as `2y5m7d3h`.

use std::fmt;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

/// The largest number of a unit: more leads to no valid time.
const LARGEST: u32 = 9_999;

/// Years, months, days and hours, in this order as they are written: `2y5m7d3h`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Within {
    /// Years of the calendar.
    pub years: u32,
    /// Months of the calendar.
    pub months: u32,
    /// Days of the calendar, which have 23 or 25 hours where clocks change.
    pub days: u32,
    /// Hours.
    pub hours: u32,
}

impl Within {
    /// What the text must be, for messages.
    pub const FORM: &str = "a time such as 2y5m7d3h: years, months, days, hours";

    /// Reads `2y5m7d3h`; each unit once, and at least one of them. `None` where it is none of that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut within = Self::default();
        let mut seen = Vec::new();
        let mut rest = text.trim();
        if rest == "0" {
            return Some(within);
        }
        while !rest.is_empty() {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            let (number, behind) = rest.split_at(end);
            let number = number.parse().ok().filter(|number| *number <= LARGEST)?;
            let unit = behind.chars().next()?;
            let place = match unit {
                'y' => &mut within.years,
                'm' => &mut within.months,
                'd' => &mut within.days,
                'h' => &mut within.hours,
                _ => return None,
            };
            if seen.contains(&unit) {
                return None;
            }
            *place = number;
            seen.push(unit);
            rest = &behind[1..];
        }
        (!seen.is_empty()).then_some(within)
    }

    /// Whether it is no time at all, which switches the rule off.
    #[must_use]
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// The moment that is this long before `newest` in this zone; backups after it are kept. The
    /// earliest moment there is, where that is out of range.
    pub(super) fn before(self, newest: Timestamp, zone: &TimeZone) -> Timestamp {
        let calendar = Span::new()
            .try_years(self.years)
            .and_then(|span| span.try_months(self.months))
            .and_then(|span| span.try_days(self.days));
        let hours = Span::new().try_hours(self.hours);
        calendar
            .and_then(|span| ZonedDateTime::new(newest, zone.clone()).checked_sub(span))
            .and_then(|moment| moment.checked_sub(hours?))
            .map_or(Timestamp::MIN, |moment| moment.timestamp())
    }
}

impl fmt::Display for Within {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_zero() {
            return f.write_str("0");
        }
        for (number, unit) in [
            (self.years, 'y'),
            (self.months, 'm'),
            (self.days, 'd'),
            (self.hours, 'h'),
        ] {
            if number > 0 {
                write!(f, "{number}{unit}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Guards against a span that is another one than the operator wrote.
    #[test]
    fn a_span_is_read_as_it_is_written() {
        for (text, written) in [
            ("2y5m7d3h", "2y5m7d3h"),
            ("7d", "7d"),
            ("3h7d", "7d3h"),
            (" 1m ", "1m"),
            ("0", "0"),
            ("0d", "0"),
        ] {
            let read = Within::parse(text).expect(text);
            assert_eq!(read.to_string(), written, "{text}");
        }
        for wrong in [
            "",
            "d",
            "7",
            "7w",
            "-7d",
            "7d7d",
            "7 d",
            "7.5d",
            "10000y",
            "99999999999d",
            "7d3",
        ] {
            assert_eq!(Within::parse(wrong), None, "{wrong:?}");
        }
    }

    /// Guards against an error, or no backup at all, where the span reaches beyond the calendar.
    #[test]
    fn the_longest_span_keeps_everything() {
        let newest = "2026-02-11T00:00:00Z".parse().expect("a time");
        let within = Within::parse("9999y9999m9999d9999h").expect("a span");
        let first: Timestamp = "0000-01-01T00:00:00Z".parse().expect("a time");
        assert!(within.before(newest, &TimeZone::UTC) < first);
        let newest = "-009000-01-01T00:00:00Z".parse().expect("a time");
        assert_eq!(within.before(newest, &TimeZone::UTC), Timestamp::MIN);
    }
}
