//! Runs: backups that lie in several targets. The part of a run in one target is a *leg*; it has a
//! manifest and a list of files of its own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::Manifest;

/// What the manifests of all legs of a run have in common.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The targets that hold a leg.
    pub targets: BTreeSet<String>,
    /// The instance that made it, as Arc names it.
    owner: Option<String>,
    /// The SHA-256 of each leg's inventory, by target; empty where Arc made the run.
    inventories: BTreeMap<String, String>,
}

impl Run {
    /// Checks that one of the legs of a run is that of the default target. `legs` says of each
    /// whether it is, and whether its backup is of some databases.
    ///
    /// # Errors
    /// What is wrong, for people.
    pub fn check_default(legs: impl IntoIterator<Item = (bool, bool)>) -> Result<(), &'static str> {
        let (mut defaults, mut all_scoped) = (0, true);
        for (is_default, is_scoped) in legs {
            defaults += usize::from(is_default);
            all_scoped &= is_scoped;
        }
        match defaults {
            1 => Ok(()),
            // A scoped run may be of routed databases alone.
            0 if all_scoped => Ok(()),
            0 => Err("none of its legs is the one of the default target"),
            _ => Err("several of its legs say that they are the one of the default target"),
        }
    }
}

impl Manifest {
    /// The run that the backup is a leg of; `None` where it is whole by itself. Whatever says that
    /// it is not the default leg, or that its run is of other targets, is a leg too: as a whole it
    /// would take the other databases away.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        let mut targets: BTreeSet<_> = self.run_targets.iter().cloned().collect();
        let is_other_leg = self.is_default_target == Some(false) && self.scope.is_empty();
        let is_of_others = |own: &String| !targets.is_empty() && !targets.contains(own);
        let is_leg =
            targets.len() > 1 || is_other_leg || self.target.as_ref().is_some_and(is_of_others);
        if targets.len() < 2 {
            targets.extend(self.target.clone());
        }
        is_leg.then(|| Run {
            targets,
            owner: self.owner_instance_id.clone(),
            inventories: self.run_inventories.clone(),
        })
    }

    /// Whether it is only a part of a backup.
    #[must_use]
    pub fn is_leg(&self) -> bool {
        self.run().is_some()
    }

    /// Checks that this manifest, found in `target`, is that of a leg of `run`.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn check_leg(&self, target: &str, run: &Run) -> Result<(), String> {
        match self.run() {
            None => return Err("it is a whole backup of the same id, not a leg".to_owned()),
            Some(other) if other != *run => {
                return Err("it is the leg of another run".to_owned());
            }
            Some(_) => {}
        }
        if self.target.as_deref() != Some(target) {
            let says = self.target.as_deref().unwrap_or_default();
            return Err(format!("it is the leg of target `{}`", says.escape_debug()));
        }
        match &self.inventory {
            Some(inventory) if run.inventories.get(target) != Some(&inventory.sha256) => {
                Err("its inventory is not the one of this run".to_owned())
            }
            None if !run.inventories.is_empty() => Err("it has no inventory".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether it is the leg that holds databases, configuration, and all data that is routed to no
    /// other target.
    #[must_use]
    pub fn is_default_leg(&self) -> bool {
        self.is_default_target == Some(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::InventoryRef;

    fn leg(target: &str, targets: &[&str]) -> Manifest {
        Manifest {
            target: Some(target.to_owned()),
            run_targets: targets.iter().map(|&name| name.to_owned()).collect(),
            owner_instance_id: Some("a".to_owned()),
            ..Manifest::default()
        }
    }

    /// Guards against: a restore that takes a leg for the whole, or puts legs of two runs together.
    #[test]
    fn only_the_legs_of_one_run_belong_together() {
        let run = leg("a", &["a", "b"]).run().expect("two targets");
        assert_eq!(leg("a", &[]).run(), None);
        assert_eq!(leg("a", &["a", "a"]).run(), None);
        let check = |manifest: &Manifest| manifest.check_leg("b", &run);
        assert_eq!(check(&leg("b", &["b", "a"])), Ok(()));
        let other_owner = Manifest {
            owner_instance_id: Some("b".to_owned()),
            ..leg("b", &["a", "b"])
        };
        for (bad, part) in [
            (leg("b", &[]), "a whole backup"),
            (leg("b", &["b", "c"]), "another run"),
            (other_owner, "another run"),
            (leg("a", &["a", "b"]), "of target `a`"),
        ] {
            let said = check(&bad).expect_err(part);
            assert!(said.contains(part), "{said}");
        }
    }

    /// Guards against: a leg that is restored as the whole, because its list of targets is short.
    #[test]
    fn a_leg_by_its_own_words_is_not_whole() {
        let other = |targets: &[&str]| Manifest {
            is_default_target: Some(false),
            ..leg("b", targets)
        };
        for manifest in [other(&["b"]), other(&[]), other(&["a"]), leg("b", &["a"])] {
            assert!(manifest.is_leg(), "{manifest:?}");
        }
        let scoped = Manifest {
            scope: vec!["iot".to_owned()],
            ..other(&["b"])
        };
        for manifest in [scoped, leg("b", &["b"]), Manifest::default()] {
            assert!(!manifest.is_leg(), "{manifest:?}");
        }
    }

    /// Guards against: a leg of ours whose files are those of another day.
    #[test]
    fn our_legs_name_each_others_inventories() {
        let of = |sha256: &str| {
            let mut leg = leg("b", &["a", "b"]);
            leg.run_inventories =
                BTreeMap::from([("a", "1"), ("b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
            leg.inventory = Some(InventoryRef {
                entries: 0,
                bytes: 0,
                sha256: sha256.to_owned(),
                compression: None,
            });
            leg
        };
        let run = of("2").run().expect("two targets");
        assert_eq!(of("2").check_leg("b", &run), Ok(()));
        assert!(of("1").check_leg("b", &run).is_err());
        assert!(leg("b", &["a", "b"]).check_leg("b", &run).is_err());
    }
}
