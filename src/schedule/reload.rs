//! Takes up a changed configuration file.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use super::work::configured;
use crate::config::{Overrides, ScheduleSettings, Settings};
use crate::operations::ArcBackup;
use crate::{Error, Result};

/// The version of a file: a changed one has another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version(Option<(u64, u64, i64, i64)>);

impl Version {
    pub(super) fn of(path: &Path) -> Self {
        let meta = std::fs::metadata(path).ok();
        Self(meta.map(|meta| (meta.ino(), meta.size(), meta.mtime(), meta.mtime_nsec())))
    }
}

/// How long a changed file must stay as it is: an editor may have emptied it for a moment.
const SETTLED: Duration = Duration::from_secs(1);

/// A file that is looked at again and again.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    in_force: Version,
    seen: Option<(Version, Instant)>,
}

impl Watched {
    pub(super) fn new(in_force: Version) -> Self {
        Self {
            in_force,
            seen: None,
        }
    }

    /// Whether this version is another one than that in force, and has been there for a while. Then
    /// it is the one in force.
    pub(super) fn is_new(&mut self, found: &Version) -> bool {
        if *found == self.in_force {
            self.seen = None;
            return false;
        }
        match &self.seen {
            Some((seen, at)) if seen == found => {
                let is_settled = at.elapsed() >= SETTLED;
                if is_settled {
                    self.in_force = found.clone();
                    self.seen = None;
                }
                is_settled
            }
            _ => {
                self.seen = Some((found.clone(), Instant::now()));
                false
            }
        }
    }
}

/// Reads the file again: the settings, of which schedules, retention and `copy_to` count, and the
/// schedules.
///
/// # Errors
/// When the file or a schedule is wrong, or a schedule needs a target that the service does not
/// have.
pub(super) fn read(engine: &ArcBackup) -> Result<(Settings, Vec<ScheduleSettings>)> {
    let old = engine.settings();
    let overrides = Overrides {
        config: Some(old.config_path.clone()),
        ..Overrides::default()
    };
    let new = Settings::load(&overrides, old.backends.clone())?;
    let schedules = configured(&new)?;
    let is_known = |name: &String| old.targets.iter().any(|target| target.name == *name);
    for schedule in &schedules {
        let targets = std::iter::once(&schedule.target).chain(&schedule.copy_to);
        if let Some(target) = targets.into_iter().find(|target| !is_known(target)) {
            return Err(Error::Config(format!(
                "schedule {:?} names the target {target:?}, which is new: restart the service to take it up",
                schedule.timing.name
            )));
        }
    }
    Ok((new, schedules))
}
