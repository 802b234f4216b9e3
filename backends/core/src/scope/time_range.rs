//! The range of time of a scope, and the hour or day of a partition.

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::RowTimes;

/// Nanoseconds of an hour.
const HOUR: i128 = 3600 * 1_000_000_000;
/// Hours of a day.
const DAY: i64 = 24;
/// How many folders of days a listing is split into.
const MAX_DAYS: i64 = 62;
/// How many folders of months a listing is split into.
const MAX_MONTHS: i64 = 60;

/// A range of time, `from` ≤ t < `until`. Either end may be open.
///
/// Files are restored as a whole, so the range is taken in units of partitions: it is rounded
/// outwards to full hours, and the file of a day is in it when a part of the day is.
///
/// ```
/// use arc_backup_core::TimeRange;
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let until = Some("2026-11-20T06:00:00Z".parse()?);
/// let range = TimeRange::new(Some("2026-11-20T05:00:00Z".parse()?), until)?;
/// assert_eq!(range.whole_days().to_string(), "from 2026-11-20 until 2026-11-21");
/// assert!(TimeRange::new(until, until).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimeRange {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// A range of time that nothing is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the time range ends at {until}, and begins no earlier ({from})")]
pub struct EmptyTimeRange {
    from: Timestamp,
    until: Timestamp,
}

/// The time that a partition has rows of, in hours since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    start: i64,
    hours: i64,
}

impl Period {
    /// A day, or with `hour` an hour of it; `None` where the calendar has no such time.
    pub(super) fn new(year: i16, month: i8, day: i8, hour: Option<i8>) -> Option<Self> {
        let time = jiff::civil::Time::new(hour.unwrap_or(0), 0, 0, 0).ok()?;
        let date = jiff::civil::Date::new(year, month, day).ok()?;
        let moment = TimeZone::UTC.to_timestamp(date.to_datetime(time)).ok()?;
        Some(Self {
            start: moment.as_second().div_euclid(3600),
            hours: if hour.is_some() { 1 } else { DAY },
        })
    }
}

impl TimeRange {
    /// The range between the two; `None` is an open end.
    ///
    /// # Errors
    /// Where it ends before it begins, or when it begins.
    pub fn new(from: Option<Timestamp>, until: Option<Timestamp>) -> Result<Self, EmptyTimeRange> {
        match (from, until) {
            (Some(from), Some(until)) if from >= until => Err(EmptyTimeRange { from, until }),
            _ => Ok(Self { from, until }),
        }
    }

    /// When it begins.
    #[must_use]
    pub fn from(&self) -> Option<Timestamp> {
        self.from
    }

    /// When it has ended.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// Whether both ends are open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.from.is_none() && self.until.is_none()
    }

    /// The same range, rounded outwards to full days.
    #[must_use]
    pub fn whole_days(&self) -> Self {
        let (from, until) = self.hours();
        let moment = |hours: i64| Timestamp::from_second(hours.saturating_mul(3600)).ok();
        Self {
            from: (self.from).and_then(|_| moment(from.div_euclid(DAY) * DAY)),
            until: (self.until).and_then(|_| moment(-(-until).div_euclid(DAY) * DAY)),
        }
    }

    /// Whether each moment of the other range is in this one, as far as partitions go.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let ((from, until), (others_from, others_until)) = (self.hours(), other.hours());
        from <= others_from && others_until <= until
    }

    /// Whether a part of the period is in it.
    pub(super) fn overlaps(&self, period: Period) -> bool {
        let (from, until) = self.hours();
        period.start < until && from < period.start + period.hours
    }

    /// Whether some of the rows may be in it, in full hours.
    pub(super) fn overlaps_rows(&self, times: RowTimes) -> bool {
        let (from, until) = self.hours();
        times.min < until.saturating_mul(3600) && from.saturating_mul(3600) <= times.max
    }

    /// Whether the period is that of a day, and only a part of it is in the range.
    pub(super) fn splits(&self, period: Period) -> bool {
        let (from, until) = self.hours();
        let is_covered = from <= period.start && period.start + period.hours <= until;
        self.overlaps(period) && !is_covered
    }

    /// The folders `YYYY/MM/DD/`, or `YYYY/MM/`, that partitions of the range are in; empty where
    /// these are too many to list each.
    pub(super) fn folders(&self) -> Vec<String> {
        let (Some(_), Some(_)) = (self.from, self.until) else {
            return Vec::new();
        };
        let (from, until) = self.hours();
        let (first, last) = (from.div_euclid(DAY), (until - 1).div_euclid(DAY));
        if last - first > MAX_MONTHS * 31 {
            return Vec::new();
        }
        let form = match last - first < MAX_DAYS {
            true => "%Y/%m/%d/",
            false => "%Y/%m/",
        };
        let mut folders: Vec<String> = (first..=last)
            .filter_map(|day| Timestamp::from_second(day * DAY * 3600).ok())
            .map(|day| day.strftime(form).to_string())
            .collect();
        folders.dedup();
        folders
    }

    /// The hours of its ends since 1970, rounded outwards.
    fn hours(&self) -> (i64, i64) {
        let rounded = |nanoseconds: i128| i64::try_from(nanoseconds).unwrap_or(i64::MAX);
        let from = self.from.map_or(i64::MIN / 2, |from| {
            rounded(from.as_nanosecond().div_euclid(HOUR))
        });
        let until = self.until.map_or(i64::MAX / 2, |until| {
            rounded(-(-until.as_nanosecond()).div_euclid(HOUR))
        });
        (from, until)
    }
}

/// A moment as `--from` and `--until` take it: the date alone where a day begins.
fn shown(moment: Timestamp) -> String {
    let text = moment.to_string();
    let date = text.strip_suffix("T00:00:00Z").map(str::to_owned);
    date.unwrap_or(text)
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.until) {
            (Some(from), Some(until)) => {
                write!(f, "from {} until {}", shown(from), shown(until))
            }
            (Some(from), None) => write!(f, "from {}", shown(from)),
            (None, Some(until)) => write!(f, "until {}", shown(until)),
            (None, None) => f.write_str("any time"),
        }
    }
}
