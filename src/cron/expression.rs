//! A cron expression: five fields, an optional leading field of seconds, or a name such as
//! `@daily`.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, CronDateTime, Resolution, Weekday};
use jiff::SignedDuration;
use jiff::civil::{DateTime, date};

/// The names, and the expression that each stands for.
const NAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A search ends here: the calendar repeats after 400 years, and a leap day that is a Monday comes
/// within 40.
const SEARCH_YEARS: i32 = 60;

/// A cron expression.
#[derive(Debug, Clone)]
pub struct Cron {
    text: String,
    pattern: croner::Cron,
    is_every_hour: bool,
}

impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cron {}

/// Why a text is no cron expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CronFault(String);

impl Cron {
    /// What is allowed, for messages.
    pub const FORM: &'static str = "five fields (minute hour day-of-month month day-of-week), six \
        with a leading field of seconds, or @hourly, @daily, @weekly, @monthly, @yearly";

    /// Whether it runs in each hour of the day. Such a schedule counts real hours: it has no run in
    /// an hour that a clock change skips, and runs in both hours of a doubled one.
    #[must_use]
    pub fn is_every_hour(&self) -> bool {
        self.is_every_hour
    }

    /// The first time of the wall clock that it names: after `from`, or at `from` if `inclusive`.
    /// `None`: never.
    pub(super) fn next_on_the_wall(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        let wall = WallTime {
            at: from,
            last_year: i32::from(from.year()) + SEARCH_YEARS,
        };
        let found = self.pattern.find_next_occurrence(&wall, inclusive).ok()?;
        Some(found.at)
    }
}

impl FromStr for Cron {
    type Err = CronFault;

    fn from_str(text: &str) -> Result<Self, CronFault> {
        let text = text.trim();
        let fields = match text.strip_prefix('@') {
            Some(_) => (NAMES.iter())
                .find(|(name, _)| name.eq_ignore_ascii_case(text))
                .map(|(_, fields)| *fields)
                .ok_or_else(|| CronFault(format!("{text:?} is not a known name")))?,
            None => text,
        };
        let count = fields.split_whitespace().count();
        if !(5..=6).contains(&count) {
            return Err(CronFault(match count {
                1 => "it has 1 field".to_owned(),
                _ => format!("it has {count} fields"),
            }));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let pattern = (parser.parse(fields)).map_err(|error| CronFault(explained(&error)))?;
        let cron = Self {
            is_every_hour: (0..24).all(|hour| pattern.pattern.hour_match(hour).unwrap_or(false)),
            text: text.to_owned(),
            pattern,
        };
        match cron.next_on_the_wall(date(2026, 1, 1).at(0, 0, 0, 0), true) {
            Some(_) => Ok(cron),
            None => Err(CronFault(
                "no day is ever like that, and so it would never run".to_owned(),
            )),
        }
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn explained(error: &CronError) -> String {
    match error {
        CronError::InvalidPattern(text)
        | CronError::IllegalCharacters(text)
        | CronError::ComponentError(text) => text.trim_end_matches('.').to_owned(),
        error => error.to_string().trim_end_matches('.').to_owned(),
    }
}

/// A time of the wall clock, without a zone: the search runs there, and [`super::next_after`] finds
/// the moments.
#[derive(Debug, Clone, Copy)]
struct WallTime {
    at: DateTime,
    /// The year in which a search ends.
    last_year: i32,
}

fn unsigned(number: i8) -> u32 {
    u32::try_from(number).unwrap_or_default()
}

impl CronDateTime for WallTime {
    fn to_civil(&self) -> CivilDateTime {
        let at = self.at;
        let (month, day) = (unsigned(at.month()), unsigned(at.day()));
        let (hour, minute) = (unsigned(at.hour()), unsigned(at.minute()));
        // The parts are those of a valid time.
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(i32::from(at.year()), month, day),
            CivilTime::from_parts_unchecked(hour, minute, unsigned(at.second())),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.at.weekday().to_sunday_zero_offset();
        Weekday::from_days_from_sunday(unsigned(days))
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        if civil.year() > self.last_year {
            return Err(CronError::TimeSearchLimitExceeded);
        }
        let year = i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?;
        let part = |number: u32| i8::try_from(number).map_err(|_| CronError::InvalidDate);
        let at = DateTime::new(
            year,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        );
        let at = at.map_err(|_| CronError::InvalidDate)?;
        Ok(Resolution::Single(Self { at, ..*self }))
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        let at = self.at.checked_add(SignedDuration::from_secs(seconds));
        Some(Self {
            at: at.ok()?,
            ..*self
        })
    }

    fn cmp_instant(&self, other: &Self) -> Ordering {
        self.at.cmp(&other.at)
    }
}
