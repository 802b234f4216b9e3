//! The recipes of `docs/schedules.md`, copied from the page and run under a controlled clock.
//!
//! What differs: `/srv/` lies in a temporary folder, and stores of the type `s3` are in memory.

use std::sync::Arc;

use arc_backup::Registry;
use arc_backup_core::{MemorySink, Sink};

use super::world::{World, instance};

/// The recipe of this heading, with its paths in `root`.
fn recipe(title: &str, root: &str) -> String {
    let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schedules.md");
    let page = std::fs::read_to_string(page).unwrap();
    let begin = format!("```toml\n# {title}: /srv/arc/arc.toml, at the end\n");
    let (_, rest) = page
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no recipe {title:?}"));
    let (text, _) = rest.split_once("\n```").unwrap();
    text.replace("/srv/", root)
}

fn with_memory() -> Registry {
    let mut registry = Registry::new();
    registry.add_sink("s3", |_, _| {
        Ok(Arc::new(MemorySink::default()) as Arc<dyn Sink>)
    });
    registry
}

fn world(title: &str, now: &str) -> World {
    let folder = instance("");
    let root = folder.path("").display().to_string();
    let root = format!("{}/", root.trim_end_matches('/'));
    // The page's own table takes the place of the test's.
    let text = std::fs::read_to_string(folder.path("arc.toml")).unwrap();
    let (before, _) = text.split_once("[backup]").unwrap();
    let recipe = recipe(title, &root);
    let mut own = format!("[arc_backup]\nstate_path = \"{root}state/history.db\"\n");
    if !recipe.contains("local_path") {
        // Else the built-in target would be in the working folder of the test.
        own.push_str(&format!("local_path = \"{root}local\"\n"));
    }
    let text = format!("{before}{own}{recipe}\n");
    std::fs::write(folder.path("arc.toml"), text).unwrap();
    World::with(folder, with_memory, now)
}

#[test]
fn a_single_disk() {
    let world = world("single disk", "2026-11-01T00:30:00Z");
    for hour in 1..6 {
        world.at(&format!("2026-11-01T{hour:02}:00:01Z"), "hourly", 2 * hour);
    }
    let did = world.did("hourly");
    assert_eq!(
        did.iter().filter(|one| *one == "backup").count(),
        5,
        "{did:?}"
    );
    assert_eq!(
        did.iter().filter(|one| *one == "verify").count(),
        5,
        "{did:?}"
    );
    assert!(world.instance.path("backups").is_dir());
}

#[test]
fn s3_with_hourly_daily_and_monthly() {
    let world = world("S3", "2026-10-31T23:50:00Z");
    // The hour, then the first of the month in Berlin: 30 minutes past two and four.
    world.at("2026-11-01T00:15:00Z", "hourly", 1);
    world.at("2026-11-01T01:30:00Z", "daily", 2);
    world.at("2026-11-01T03:30:00Z", "monthly", 2);
    assert_eq!(world.did("daily"), ["backup", "verify"]);
    assert_eq!(world.did("monthly"), ["backup", "verify"]);
    world.wait("the hours that were due meanwhile", || {
        world.did("hourly").len() >= 3
    });
    world.at("2026-11-02T01:30:00Z", "daily", 4);
    assert_eq!(world.did("monthly").len(), 2);
    let targets = world.operations("hourly");
    assert!(
        targets
            .iter()
            .all(|one| one.target.as_deref() == Some("bucket"))
    );
}

#[test]
fn two_targets() {
    let world = world("two targets", "2026-11-01T12:00:00Z");
    world
        .work
        .failures
        .lock()
        .unwrap()
        .push_back("the bucket does not answer");
    // Three in the morning in Berlin.
    world.at("2026-11-02T02:00:00Z", "nightly", 2);
    assert_eq!(world.did("nightly"), ["backup", "verify"]);
    world.wait("the copy waits", || {
        world.kept("nightly")["copies"][0]["attempts"] == 1
    });
    world.clock.set("2026-11-02T02:02:00Z");
    world.wait("the copy is made", || {
        world.kept("nightly")["copies"].is_null()
    });
    let id = world.operations("nightly")[0].backup_id.clone();
    let tried = world.work.copies.lock().unwrap().clone();
    assert_eq!(
        tried,
        [
            (id.clone(), "offsite".to_owned()),
            (id, "offsite".to_owned())
        ]
    );
}
