//! A backup as the rules see it.

use jiff::Timestamp;

use crate::omitted::Omitted;

/// A backup of one target, with all that decides whether it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its id.
    pub id: String,
    /// When it was made.
    pub time: Timestamp,
    /// What is known of it.
    pub state: CandidateState,
    /// That it must not be deleted.
    pub pin: Option<Pinned>,
    /// Whether this instance made it with this program. What another made is never removed.
    pub is_ours: bool,
    /// The instance that made it: each has backups of its own.
    pub instance: Option<String>,
    /// The databases that it is limited to, sorted; empty where it has all of them. Backups of
    /// other databases are counted apart.
    pub scope: Vec<String>,
    /// What it lacks, as it was asked for without. Those that lack something else are counted
    /// apart.
    pub omitted: Omitted,
    /// The schedule that it was made for.
    pub schedule: Option<String>,
}

impl Candidate {
    /// A good backup of everything, made by this instance.
    #[must_use]
    pub fn new(id: impl Into<String>, time: Timestamp) -> Self {
        Self {
            id: id.into(),
            time,
            state: CandidateState::Good,
            pin: None,
            is_ours: true,
            instance: None,
            scope: Vec::new(),
            omitted: Omitted::default(),
            schedule: None,
        }
    }

    /// The pin that is in force at this moment, if there is one.
    pub(super) fn live_pin(&self, now: Timestamp) -> Option<&Pinned> {
        self.pin.as_ref().filter(|pin| pin.is_live(now))
    }
}

/// That a backup must not be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinned {
    /// Why.
    pub reason: Option<String>,
    /// Until when; `None` for ever.
    pub until: Option<Timestamp>,
}

impl Pinned {
    /// Whether it is in force at this moment.
    #[must_use]
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// What is known of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CandidateState {
    /// A restore of it can be expected to work.
    Good,
    /// It is good, and has no data file: the storage may not have been mounted.
    Empty,
    /// It is known not to be good.
    NotGood(Fault),
    /// Nothing is known: it may be good. It is never removed.
    Unknown(Unknown),
}

/// Why a backup is not good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// A verification found a fault.
    Damaged,
    /// Damage was found in the target since it was made, and it may share the damaged files.
    InDoubt,
    /// It lacks files.
    Incomplete,
}

/// Why nothing is known of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unknown {
    /// It lies in an archive tier.
    Archived,
    /// The right to read it is missing.
    Denied,
    /// A target with a part of it does not answer.
    Unreachable,
    /// Its manifest is broken, and does not say whose it is.
    Broken,
    /// Its note can't be read, which says whether it is damaged.
    Note,
    /// A part of it is missing.
    Partial,
    /// It is a backup over several targets, of which another one is the default.
    Elsewhere,
}

impl Fault {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::InDoubt => "may share damaged files",
            Self::Incomplete => "incomplete",
        }
    }
}

impl Unknown {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Archived => "archived: can't be read now",
            Self::Denied => "denied: can't be read now",
            Self::Unreachable => "a part of it can't be reached now",
            Self::Broken => "damaged: it doesn't say who made it",
            Self::Note => "its note can't be read: it may be damaged",
            Self::Partial => "a part of it is missing",
            Self::Elsewhere => "a prune of its default target decides",
        }
    }
}
