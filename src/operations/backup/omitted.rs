//! Parts that a backup omits on request: `completed` must not lie by omission.

use arc_backup_core::{Scope, Section};

use crate::config::Settings;
use crate::manifest::{NO_CONFIG, NO_METADATA};
use crate::names::shortened;
use crate::operations::sections::named_databases;

/// What `scope` omits, each with its configuration key.
pub(crate) fn on_request(settings: &Settings, scope: &Scope) -> Vec<String> {
    let databases = named_databases(scope);
    if !databases.is_empty() {
        let others = match scope.includes(&Section::Config) {
            true => "other databases and the SQLite databases",
            false => "other databases, the SQLite databases and the configuration",
        };
        return vec![format!(
            "this is a backup of the data of {} only: {others} are not in it",
            shortened(&databases)
        )];
    }
    let mut omitted = Vec::new();
    if !scope.includes(&Section::Metadata) {
        // A database that no setting asks for, and that is not there, is not omitted.
        let databases = (settings.databases.iter())
            .filter(|database| database.needed_by.is_some() || database.path.exists());
        omitted.extend(databases.map(|database| {
            format!(
                "{}: databases were omitted on request {NO_METADATA}",
                database.setting
            )
        }));
    }
    if !scope.includes(&Section::Config) && settings.config_exists {
        omitted.push(format!(
            "arc.toml: the configuration was omitted on request {NO_CONFIG}"
        ));
    }
    omitted
}
