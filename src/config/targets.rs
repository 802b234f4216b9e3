//! Where backups go.

use std::collections::BTreeMap;

use super::backends::Backends;
use super::environment::in_variables;
use super::values::{Values, variable};
use crate::{Error, Result};

/// A configured backup destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetSettings {
    /// Its name; `local` for `backup.local_path`.
    pub name: String,
    /// Its type, as the registry knows it.
    pub kind: String,
    /// The key of its table: `backup.targets.offsite`.
    pub key: String,
    /// Databases whose backups go to this target, from `databases` in its table. The default target
    /// has all others.
    pub databases: Vec<String>,
}

/// The target of `backup.local_path`.
const BUILT_IN: &str = "local";

impl TargetSettings {
    /// Whether it is the target of `backup.local_path`, which there always is.
    pub(crate) fn is_built_in(&self) -> bool {
        self.name == BUILT_IN
    }
}

/// `backup.local_path` as the target `local`, then `[backup.targets.<name>]` and what the
/// environment announces.
pub(super) fn targets(
    values: &Values,
    names: &[String],
    backends: &Backends,
) -> Result<Vec<TargetSettings>> {
    let mut targets = BTreeMap::from([(
        BUILT_IN.to_owned(),
        TargetSettings {
            name: BUILT_IN.to_owned(),
            kind: "local".to_owned(),
            key: "backup".to_owned(),
            databases: Vec::new(),
        },
    )]);
    let mut variables = std::collections::BTreeSet::new();
    for name in names.iter().cloned() {
        if !variables.insert(in_variables(&name)) {
            return Err(Error::Config(format!(
                "`backup.targets.{name}`: another target has a name that differs only in case, `-` and `_`: they would share their variables"
            )));
        }
        let key = format!("backup.targets.{name}");
        let valid = !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        if !valid {
            return Err(Error::Config(format!(
                "`{key}`: a target's name has letters, digits, `-` and `_` only"
            )));
        }
        if name == BUILT_IN {
            return Err(Error::Config(
                "`backup.targets.local`: the name `local` is that of `backup.local_path`; give the target another name"
                    .to_owned(),
            ));
        }
        let Some(kind) = values.text(&format!("{key}.type"))? else {
            let missing = if values.keys("backup.targets").contains(&name) {
                format!("{key}.type")
            } else {
                variable(&format!("{key}.type"))
            };
            return Err(Error::Config(format!(
                "`{missing}` is missing: it says what kind of target it is ({})",
                backends.names()
            )));
        };
        let kind = kind.trim().to_ascii_lowercase();
        let databases = values.names(&format!("{key}.databases"))?;
        let target = TargetSettings {
            name: name.clone(),
            kind,
            key,
            databases,
        };
        targets.insert(name, target);
    }
    Ok(targets.into_values().collect())
}
