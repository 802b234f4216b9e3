//! Which databases go to which target.

use std::collections::BTreeSet;

use arc_backup_core::{Databases, Key, Scope, Section};

use crate::Result;
use crate::config::{Settings, TargetSettings};
use crate::operations::ArcBackup;
use crate::repository::Repository;

impl ArcBackup {
    /// The repository of a new backup: that of the target that was asked for, with all of it; else
    /// that of the default target, with legs in the targets that have databases of their own.
    ///
    /// # Errors
    /// [`Error::Invalid`](crate::Error::Invalid) for an unknown target.
    pub(crate) fn repository_for(&self, target: Option<&str>, scope: &Scope) -> Result<Repository> {
        let default = self.repository(target)?;
        if target.is_some() || !scope.includes(&Section::Data) {
            return Ok(default.clone());
        }
        let is_wanted = |target: &TargetSettings| {
            let mut names = routed_to(&self.settings, &target.name).into_iter();
            names.any(|name| has_database(scope, &name))
        };
        let mut legs = vec![default.clone()];
        let routed = self.targets().filter(|(target, _)| is_wanted(target));
        legs.extend(routed.map(|(_, repository)| repository.clone()));
        match &legs[1..] {
            [] => Ok(default.clone()),
            [only] if is_all_of(&self.settings, scope, only.name()) => Ok(only.clone()),
            _ => Ok(Repository::of_legs(legs).unwrap_or_else(|| default.clone())),
        }
    }
}

/// The databases that go to this target, and not to the default one. The configuration names each
/// in one target.
fn routed_to(settings: &Settings, target: &str) -> BTreeSet<String> {
    let default = &settings.backup.default_target;
    (settings.targets.iter())
        .filter(|one| one.name != *default && one.name == target)
        .flat_map(|one| one.databases.iter().cloned())
        .collect()
}

/// The databases of the leg in this target.
pub(crate) fn databases_of(settings: &Settings, target: &str) -> Databases {
    match target == settings.backup.default_target {
        false => Databases::Only(routed_to(settings, target)),
        true => Databases::Except(
            (settings.targets.iter())
                .flat_map(|one| routed_to(settings, &one.name))
                .collect(),
        ),
    }
}

fn has_database(scope: &Scope, name: &str) -> bool {
    let key = Key::parse(&format!("{name}/x"));
    key.is_ok_and(|key| scope.contains(&Section::Data, &key))
}

/// Whether everything in scope goes to this target.
fn is_all_of(settings: &Settings, scope: &Scope, target: &str) -> bool {
    let Databases::Only(names) = scope.databases() else {
        return false;
    };
    names.is_subset(&routed_to(settings, target))
        && !scope.includes(&Section::Metadata)
        && !scope.includes(&Section::Config)
}
