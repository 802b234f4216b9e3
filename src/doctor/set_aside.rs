//! Files that restores have set aside: not a fault, but room that only an operator can free.

use indicatif::HumanBytes;
use jiff::Timestamp;

use super::check::Check;
use crate::operations::ArcBackup;
use crate::times;

/// Absent where nothing is set aside.
pub(super) async fn replaced_files(engine: &ArcBackup) -> Option<Check> {
    let (found, faults) = engine.set_aside().await;
    if let Some(fault) = faults.first() {
        let text = format!("cannot count the files set aside by restores: {fault}");
        return Some(Check::good("replaced files", "room", text));
    }
    let now = Timestamp::now();
    let oldest = found.iter().filter_map(|one| one.since).min();
    let age = oldest.and_then(|oldest| times::age(oldest, now));
    let (files, bytes) = (found.iter()).fold((0, 0), |(files, bytes), one| {
        (files + one.files, bytes + one.bytes)
    });
    let example = found.first()?;
    let text = format!(
        "restores have set aside {files} files, {}{}, in {} places (`arc-backup set-aside` names them), such as {}: remove \
         those that are no longer needed",
        HumanBytes(bytes),
        age.map_or_else(String::new, |age| format!(
            ", the oldest {} ago",
            times::short(age)
        )),
        found.len(),
        example.place,
    );
    Some(Check::good("replaced files", "room", text))
}
