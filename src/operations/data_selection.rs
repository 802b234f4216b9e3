//! The part of the data that a request is limited to, as people write and read it.

use std::fmt;

use arc_backup_core::{Scope, Section, Selection, Selector, TimeRange};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Error, Result, times};

/// How many items a list may have.
const MAX_ITEMS: usize = 256;

/// The part of the data that a restore or a verification is limited to.
///
/// In a request the times are in any form that [`to_scope`](Self::to_scope) reads; in an answer
/// they are RFC 3339.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSelection {
    /// Databases, measurements and globs over paths; empty where nothing is included by name, and
    /// so everything is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub include: Vec<String>,
    /// What of these is left as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// When the time range begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// When the time range has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
}

impl DataSelection {
    /// The part of the data that a scope selects; `None` where it selects all.
    #[must_use]
    pub fn of(scope: &Scope) -> Option<Self> {
        let texts = |all: &[Selector]| all.iter().map(Selector::to_string).collect();
        let text = |moment: Option<Timestamp>| moment.map(|moment| moment.to_string());
        scope.is_selective().then(|| Self {
            include: texts(scope.selection().include()),
            exclude: texts(scope.selection().exclude()),
            from: text(scope.time().from()),
            until: text(scope.time().until()),
        })
    }

    /// Whether it selects everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// The scope, limited to this part of its data. A time is a date (its first second), RFC 3339,
    /// UTC where it has no offset, or an age such as `2d` or `2 days ago`.
    ///
    /// # Errors
    /// [`Error::Invalid`] names the item or the time that is not valid.
    pub fn to_scope(&self, scope: Scope) -> Result<Scope> {
        let items = |name: &str, texts: &[String]| -> Result<Vec<Selector>> {
            if texts.len() > MAX_ITEMS {
                let count = texts.len();
                let text = format!("{name}: {count} items are more than {MAX_ITEMS}");
                return Err(Error::Invalid(text));
            }
            let parse = |text: &String| text.parse();
            let parsed = texts.iter().map(parse).collect::<Result<_, _>>();
            parsed.map_err(|error| Error::Invalid(format!("{name}: {error}")))
        };
        let now = Timestamp::now();
        let moment = |name: &str, text: &Option<String>| -> Result<Option<Timestamp>> {
            let Some(text) = text else { return Ok(None) };
            let moment = times::parse_moment(text, now);
            moment.map(Some).ok_or_else(|| {
                let text: String = text.chars().take(100).collect();
                Error::Invalid(format!("{name}: {text:?} is not {}", times::MOMENT_FORM))
            })
        };
        let include = items("include", &self.include)?;
        let exclude = items("exclude", &self.exclude)?;
        let (from, until) = (moment("from", &self.from)?, moment("until", &self.until)?);
        let time = TimeRange::new(from, until)
            .map_err(|error| Error::Invalid(format!("from, until: {error}")))?;
        Ok(scope
            .selecting(Selection::new(include, exclude))
            .in_time(time))
    }

    /// The scope of an operation that takes a part of the data: the section `data` alone, or
    /// everything where this selects everything.
    ///
    /// # Errors
    /// As [`to_scope`](Self::to_scope).
    pub fn to_data_scope(&self) -> Result<Scope> {
        match self.is_all() {
            true => Ok(Scope::whole()),
            false => self.to_scope(Scope::of_sections([Section::Data])),
        }
    }

    /// The options of a command that select it, each with a space in front.
    #[must_use]
    pub(crate) fn arguments(&self) -> String {
        let lists = [("include", &self.include), ("exclude", &self.exclude)];
        let items = lists
            .into_iter()
            .flat_map(|(name, list)| list.iter().map(move |text| (name, text)));
        let times = [("from", &self.from), ("until", &self.until)];
        let times = (times.into_iter()).filter_map(|(name, time)| Some((name, time.as_ref()?)));
        (items.chain(times))
            .map(|(name, text)| format!(" --{name} {}", quoted(text)))
            .collect()
    }
}

/// The text as one word of a shell.
pub(crate) fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    match text.chars().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

impl fmt::Display for DataSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.include[..] {
            [] => f.write_str("all data")?,
            some => f.write_str(&some.join(", "))?,
        }
        if !self.exclude.is_empty() {
            write!(f, " but not {}", self.exclude.join(", "))?;
        }
        for (word, time) in [("from", &self.from), ("until", &self.until)] {
            if let Some(time) = time {
                write!(f, " {word} {time}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(include: &[&str], from: Option<&str>, until: Option<&str>) -> DataSelection {
        DataSelection {
            include: include.iter().map(|&text| text.to_owned()).collect(),
            exclude: Vec::new(),
            from: from.map(str::to_owned),
            until: until.map(str::to_owned),
        }
    }

    /// Guards against: a request that is taken for another one, or for one of everything.
    #[test]
    fn a_selection_is_read_shown_and_written_as_a_command() {
        let data = || Scope::of_sections([Section::Data]);
        let asked = of(&["iot.cpu", "*.mem's"], Some("2026-11-20"), None);
        let scope = asked.to_scope(data()).expect("valid");
        let shown = DataSelection::of(&scope).expect("a part");
        assert_eq!(
            shown.to_string(),
            "iot.cpu, *.mem's from 2026-11-20T00:00:00Z"
        );
        assert_eq!(
            shown.arguments(),
            r" --include iot.cpu --include '*.mem'\''s' --from 2026-11-20T00:00:00Z"
        );
        assert_eq!(shown.to_scope(data()).expect("valid"), scope);
        let all = DataSelection::default().to_scope(data()).expect("valid");
        assert_eq!((DataSelection::of(&all), all), (None, data()));
    }

    #[test]
    fn what_is_not_valid_is_named() {
        for (asked, part) in [
            (of(&["iot", ""], None, None), "include: \"\" is empty"),
            (of(&["iot.["], None, None), "is no valid glob"),
            (
                of(&[], Some("yesterday"), None),
                "from: \"yesterday\" is not a date",
            ),
            (of(&[], None, Some("")), "until: \"\" is not a date"),
            (
                of(&[], Some("2026-11-21"), Some("2026-11-20")),
                "ends at 2026-11-20T00:00:00Z, and begins no earlier (2026-11-21T00:00:00Z)",
            ),
            (of(&vec!["iot"; 257], None, None), "257 items"),
        ] {
            let error = asked
                .to_scope(Scope::whole())
                .expect_err("refused")
                .to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
