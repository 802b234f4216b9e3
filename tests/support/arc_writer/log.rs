//! The log of a writer: each change of a row or file, with its time.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use super::files::{Unit, day_of};
use super::now;

/// When something began and ended.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub began: SystemTime,
    /// `None`: it has not ended yet.
    pub ended: Option<SystemTime>,
}

impl Span {
    fn begin() -> Self {
        Self {
            began: now(),
            ended: None,
        }
    }

    pub fn ended_before(&self, moment: SystemTime) -> bool {
        self.ended.is_some_and(|ended| ended < moment)
    }
}

/// The history of a row.
#[derive(Debug, Clone)]
pub struct Row {
    /// The event that added it.
    pub added_by: usize,
    /// The event that removed it.
    pub removed_by: Option<usize>,
}

/// A change of a file.
#[derive(Debug, Clone)]
pub struct Event {
    pub span: Span,
    pub what: &'static str,
    pub key: String,
    /// The day folder, also for a state file.
    pub day: String,
}

/// All rows and events.
#[derive(Debug, Default)]
pub struct Log {
    pub rows: HashMap<i64, Row>,
    pub events: Vec<Event>,
}

impl Log {
    /// Records the beginning of an event.
    pub fn begin(&mut self, day: &str, what: &'static str, key: &str) -> usize {
        self.events.push(Event {
            span: Span::begin(),
            what,
            key: key.to_owned(),
            day: day.to_owned(),
        });
        self.events.len() - 1
    }

    /// Records the end of an event.
    pub fn end(&mut self, event: usize) {
        self.events[event].span.ended = Some(now());
    }

    pub fn add(&mut self, unit: &Unit, key: &str, ids: &[i64]) -> usize {
        let added_by = self.begin(&unit.day, "add", key);
        for id in ids {
            let row = Row {
                added_by,
                removed_by: None,
            };
            assert!(self.rows.insert(*id, row).is_none(), "row {id} again");
        }
        added_by
    }

    pub fn remove(&mut self, unit: &Unit, key: &str, ids: &[i64]) -> usize {
        let event = self.begin(&unit.day, "rewrite", key);
        for id in ids {
            let row = self.rows.get_mut(id).unwrap();
            assert!(
                row.removed_by.replace(event).is_none(),
                "row {id} was removed"
            );
        }
        event
    }

    pub fn span(&self, event: usize) -> Span {
        self.events[event].span
    }

    /// The events in the day folder of `key` about that time, a line each.
    pub fn around(&self, key: &str, from: SystemTime, to: SystemTime) -> String {
        let (day, margin) = (day_of(key), Duration::from_secs(2));
        let since = |time: SystemTime| match time.duration_since(from) {
            Ok(after) => after.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        };
        let mut text = String::new();
        for event in &self.events {
            let late = event.span.began > to + margin;
            let early = event.span.ended_before(from - margin);
            if event.day == day && !late && !early {
                let ended = event.span.ended.map_or(f64::INFINITY, since);
                let (began, what, key) = (since(event.span.began), event.what, &event.key);
                text += &format!("      {began:+8.3}…{ended:+8.3} s {what} {key}\n");
            }
        }
        text
    }
}
