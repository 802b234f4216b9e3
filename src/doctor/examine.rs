//! All checks, one after the other.

use super::check::{Check, Report};
use super::machine::OTHER_FOLDER;
use super::{arc, machine, probe, reading, room, schedules, set_aside, storages};
use crate::operations::ArcBackup;

/// Checks everything. Takes no lock, so that it can look while an operation runs.
pub async fn examine(engine: &ArcBackup) -> Report {
    let mut checks = machine::configuration(engine);
    if let Err(error) = engine.check_place() {
        // Whatever else is looked at would be made, or missing, in the wrong place.
        checks.push(
            Check::bad("configuration", "place", error.to_string())
                .look_at("arc.toml", OTHER_FOLDER),
        );
        return Report::new(checks);
    }
    checks.extend(machine::state(engine).await);
    checks.extend(machine::databases(engine).await);
    checks.extend(machine::warehouse(engine).await);
    checks.extend(arc::check(engine.settings()).await);
    checks.extend(schedules::check(engine).await);
    checks.extend(storages::check(engine));
    let data = (
        reading::SUBJECT.to_owned(),
        "storage".to_owned(),
        engine.storage().clone(),
        None,
    );
    let cold = engine.cold.iter().map(|cold| {
        let (subject, table) = ("cold tier".to_owned(), "tiered_storage.cold".to_owned());
        (subject, table, cold.clone(), None)
    });
    let targets = engine.targets().map(|(target, repository)| {
        (
            format!("target {}", target.name),
            target.key.clone(),
            repository.sink().clone(),
            Some(repository),
        )
    });
    let backends = &engine.settings().backends;
    let probes = std::iter::once(data).chain(cold).chain(targets);
    let probes = probes.map(async |(subject, table, sink, repository)| {
        probe::Probe::new(&subject, &table, backends, &sink, repository)
            .run()
            .await
    });
    let (probed, (read, needs), replaced) = futures::join!(
        futures::future::join_all(probes),
        reading::data(engine),
        set_aside::replaced_files(engine),
    );
    checks.extend(probed.into_iter().flatten());
    let is_listed = (checks.iter())
        .any(|check| check.subject == reading::SUBJECT && check.check == "list" && check.ok);
    // What prevents a listing at all is reported once.
    if is_listed {
        checks.extend(read);
    }
    checks.extend(room::checks(engine, needs));
    checks.extend(replaced);
    Report::new(checks)
}
