//! Whether the storages that a restore may write to are described well.

use super::check::Check;
use crate::operations::ArcBackup;

const SETTING: &str = "arc_backup.storages";

/// A check for each; they are not asked, as nothing but a restore writes there.
pub(super) fn check(engine: &ArcBackup) -> Vec<Check> {
    let names = engine.settings().storage_names().into_iter();
    let checks = names.map(|name| {
        let subject = format!("storage {name}");
        match engine.check_other_storage(&name) {
            Ok(location) => {
                let text = format!("{location}: a restore may write to it");
                Check::good(&subject, "valid", text)
            }
            Err(error) => {
                let remedy = "correct the table that is named, or remove it";
                Check::bad(&subject, "valid", error.to_string()).look_at(SETTING, remedy)
            }
        }
    });
    checks.collect()
}
