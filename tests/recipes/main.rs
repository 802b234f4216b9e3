//! The recipes of `docs/` work as they are written: their files and commands, in their order.
//!
//! Some details differ. Absolute paths (`/srv/…`) lie in a temporary folder. Keys are those of
//! the test's S3 server, and a variable sets its endpoint. `systemctl` only records its calls.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod machine;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb};
use machine::Machine;
use support::{copy_tree, database_rows, rows, tree};

fn server() -> S3Server {
    let options = ServerOptions {
        buckets: vec!["arc-backups".to_owned()],
        ..ServerOptions::default()
    };
    S3Server::start(options).unwrap()
}

/// The variables that point a target of the documentation to the test's server.
fn endpoint(target: &str, server: &S3Server) -> BTreeMap<&'static str, String> {
    let name = |key: &str| {
        let name = format!("ARC_BACKUP_TARGETS_{}_{key}", target.to_uppercase());
        &*Box::leak(name.into_boxed_str())
    };
    BTreeMap::from([
        (name("S3_ENDPOINT"), server.endpoint()),
        (name("S3_PATH_STYLE"), "true".to_owned()),
    ])
}

/// The ids that a target lists.
fn listed(machine: &Machine, folder: &str, variables: &BTreeMap<&str, String>) -> Vec<String> {
    let keys = "set -a; for f in /etc/arc-backup/*.env; do [ -e \"$f\" ] && . \"$f\"; done; set +a";
    let said = machine.run(
        &format!("{keys}\narc-backup -C {folder} list --ids"),
        variables,
    );
    said.lines().map(str::to_owned).collect()
}

/// Guards against a backup that works in a login shell and not from cron.
#[test]
fn a_backup_every_night_to_s3_from_crons_bare_environment() {
    let server = server();
    let machine = Machine::with_instance().using(&server);
    let variables = endpoint("offsite", &server);
    machine.follow("nightly.md", &[], &variables);
    let before = listed(&machine, "/srv/arc", &variables);
    assert_eq!(before.len(), 1, "the page's own try");

    // As cron does it: the command of the line, with the crontab's PATH and a minimal environment.
    let crontab = std::fs::read_to_string(machine.path("/etc/cron.d/arc-backup")).unwrap();
    let line = crontab
        .lines()
        .find(|line| line.contains("  arc  "))
        .unwrap();
    let (_, job) = line.split_once("  arc  ").unwrap();
    let output = machine.command(job, &variables).output().unwrap();
    assert!(output.status.success(), "{}", support::text(&output));
    let unit = machine.path("/etc/systemd/system/arc-backup-nightly.service");
    let unit = std::fs::read_to_string(unit).unwrap();
    let (_, job) = unit.split_once("ExecStart=").unwrap();
    machine.run(job.lines().next().unwrap(), &variables);
    let after = listed(&machine, "/srv/arc", &variables);
    assert_eq!(after.len(), 3, "one by cron, one by the timer");
    let called = std::fs::read_to_string(machine.path("/systemctl.log")).unwrap();
    assert_eq!(called, "enable --now arc-backup-nightly.timer\n");

    // The backup fails: cron mails a line that says why, and the exit code is not 0.
    server.fault(Rule::new(Fault::Answer(
        403,
        "InvalidAccessKeyId",
        "no such key",
    )));
    let output = machine.command(job, &variables).output().unwrap();
    let said = support::text(&output);
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("offsite"), "the target is not named: {said}");
    server.heal();
    let history = machine.run(
        "arc-backup -C /srv/arc history --json --limit 1",
        &variables,
    );
    assert!(
        history.contains("\"failed\""),
        "no entry of that night: {history}"
    );
}

/// Guards against a new host on which everything was restored to where Arc does not look.
#[test]
fn a_dead_disk_a_new_host_and_credentials_only() {
    let server = server();
    let variables = endpoint("offsite", &server);
    let old = Machine::with_instance().using(&server);
    // Its paths differ from the defaults of a new `arc.toml`.
    let config = old.path("/srv/arc/arc.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let moved = text
        .replace("./data/arc\"", "./tsdb/files\"")
        .replace("./data/arc.db", "./tsdb/meta/arc.db");
    std::fs::write(&config, moved).unwrap();
    std::fs::create_dir_all(old.path("/srv/arc/tsdb/meta")).unwrap();
    for (from, to) in [
        ("data/arc", "tsdb/files"),
        ("data/arc.db", "tsdb/meta/arc.db"),
    ] {
        let place = |path: &str| old.path("/srv/arc").join(path);
        std::fs::rename(place(from), place(to)).unwrap();
    }
    old.follow("nightly.md", &["verify latest"], &variables);
    let data = tree(&old.path("/srv/arc/tsdb/files"));
    let database = database_rows(&old.path("/srv/arc/tsdb/meta/arc.db"));
    let config = std::fs::read(old.path("/srv/arc/arc.toml")).unwrap();
    drop(old);

    let new = Machine::new().using(&server);
    new.follow("new-host.md", &[], &variables);
    assert!(
        tree(&new.path("/srv/arc/tsdb/files")) == data,
        "the data differs"
    );
    assert_eq!(
        database_rows(&new.path("/srv/arc/tsdb/meta/arc.db")),
        database
    );
    assert_eq!(
        std::fs::read(new.path("/srv/arc/arc.toml")).unwrap(),
        config
    );
    assert!(
        !new.path("/srv/arc/data/arc").exists(),
        "something went to the defaults"
    );
    let called = std::fs::read_to_string(new.path("/systemctl.log")).unwrap();
    assert_eq!(called, "start arc\n");
}

/// Guards against a shortcut that puts the data where Arc does not look, and reports success.
#[test]
fn everything_at_once_on_a_new_host_is_refused_where_the_places_differ() {
    let server = server();
    let variables = endpoint("offsite", &server);
    let old = Machine::with_instance().using(&server);
    let config = old.path("/srv/arc/arc.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("./data/arc.db", "./meta/arc.db")).unwrap();
    std::fs::create_dir_all(old.path("/srv/arc/meta")).unwrap();
    let place = |path: &str| old.path("/srv/arc").join(path);
    std::fs::rename(place("data/arc.db"), place("meta/arc.db")).unwrap();
    old.follow("nightly.md", &["verify latest"], &variables);

    let new = Machine::new().using(&server);
    new.follow("new-host.md", &["restore latest", "systemctl"], &variables);
    let before = tree(&new.path("/srv/arc"));
    let keys = "set -a; . /etc/arc-backup/keys.env; set +a";
    let all = format!("{keys}\narc-backup -C /srv/arc restore latest --with-config --yes");
    let output = new.command(&all, &variables).output().unwrap();
    let said = support::text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for named in [
        "auth.db_path",
        "meta/arc.db",
        "data/arc.db",
        "--no-data --no-metadata",
    ] {
        assert!(said.contains(named), "{named} is not named: {said}");
    }
    let after = tree(&new.path("/srv/arc"));
    let changed = |files: &BTreeMap<String, _>| {
        let own = |path: &&String| !path.contains(".arc-backup/");
        files.keys().filter(own).cloned().collect::<Vec<_>>()
    };
    assert_eq!(changed(&before), changed(&after), "something was written");
}

/// Guards against a test machine that moves production's objects away.
#[test]
fn a_test_machine_restores_beside_production_and_cannot_touch_it() {
    let server = server();
    let production = Machine::with_instance().using(&server);
    let variables = endpoint("offsite", &server);
    production.follow("nightly.md", &["verify latest"], &variables);
    let of_production = tree(&production.path("/srv/arc"));
    let stored = server.keys("arc-backups");

    // The test machine's key may only read.
    for verb in [
        Verb::PutObject,
        Verb::DeleteObject,
        Verb::DeleteObjects,
        Verb::CopyObject,
        Verb::CreateMultipartUpload,
    ] {
        server.fault(Rule::new(Fault::Deny).verb(verb));
    }
    let test = Machine::new().using(&server);
    let variables = endpoint("production", &server);
    test.follow("test-machine.md", &[], &variables);
    let counted = rows(&test.path("/srv/arc-test/data"));
    assert_eq!(counted, rows(&production.path("/srv/arc/data/arc")));
    assert_eq!(server.keys("arc-backups"), stored, "the target was written");

    // Without the explicit option, files of another instance are not replaced.
    let keys = "set -a; . /etc/arc-backup/test.env; set +a";
    let again = format!("{keys}\narc-backup -C /srv/arc-test restore latest --yes");
    let output = test.command(&again, &variables).output().unwrap();
    let said = support::text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--into-other-instance"), "{said}");

    // Production's own configuration, copied to the test machine that sees production's files.
    let copied = Machine::new().using(&server);
    copy_tree(
        &production.path("/srv/arc/data/arc"),
        &copied.path("/srv/arc/data/arc"),
    );
    std::fs::copy(
        production.path("/srv/arc/arc.toml"),
        copied.path("/srv/arc/arc.toml"),
    )
    .unwrap();
    let newer = copied.path("/srv/arc/data/arc/iot/newer.parquet");
    std::fs::write(&newer, "newer than the backup").unwrap();
    let keys = std::fs::read(test.path("/etc/arc-backup/test.env")).unwrap();
    let keys = String::from_utf8(keys)
        .unwrap()
        .replace("PRODUCTION", "OFFSITE");
    std::fs::write(copied.path("/etc/arc-backup/keys.env"), keys).unwrap();
    let variables = endpoint("offsite", &server);
    let over =
        "set -a; . /etc/arc-backup/keys.env; set +a\narc-backup -C /srv/arc restore latest --yes";
    let output = copied.command(over, &variables).output().unwrap();
    let said = support::text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--into-other-instance"), "{said}");
    assert!(newer.exists(), "a newer file was moved aside");
    assert!(
        tree(&production.path("/srv/arc")) == of_production,
        "production was touched"
    );
}

/// Guards against a far target that is down and prevents the backup to the near one.
#[test]
fn two_targets_get_a_backup_each() {
    let server = server();
    let machine = Machine::with_instance().using(&server);
    let mut variables = endpoint("far", &server);
    let (access, secret) = (&server.options().access_key, &server.options().secret_key);
    variables.insert("ARC_BACKUP_TARGETS_FAR_S3_ACCESS_KEY", access.clone());
    variables.insert("ARC_BACKUP_TARGETS_FAR_S3_SECRET_KEY", secret.clone());
    machine.follow("two-targets.md", &[], &variables);
    assert_eq!(listed(&machine, "/srv/arc", &variables).len(), 2);
    server.fault(Rule::new(Fault::Deny));
    let script = "/usr/local/bin/arc-backup-both";
    let output = machine.command(script, &variables).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", support::text(&output));
    server.heal();
    let near = "arc-backup -C /srv/arc list --ids --target near | wc -l";
    assert_eq!(machine.run(near, &variables).trim(), "2");
}

/// Guards against restoring one measurement and changing something else.
#[test]
fn one_measurement_comes_back_and_nothing_else_changes() {
    let machine = Machine::with_instance();
    let none = BTreeMap::new();
    let data = machine.path("/srv/arc/data/arc");
    machine.run("arc-backup -C /srv/arc backup", &none);
    let before = tree(&data);
    std::fs::remove_dir_all(data.join("iot/temperature")).unwrap();
    std::fs::write(data.join("iot/vibration/later.parquet"), "written since").unwrap();
    machine.follow("one-measurement.md", &[], &none);
    let mut after = tree(&data);
    assert!(after.remove("iot/vibration/later.parquet").is_some());
    assert!(after == before, "the measurement differs");
    assert!(!machine.path("/srv/arc-scratch").exists());
}

/// Guards against an undo that leaves files of the restore.
#[test]
fn a_restore_is_taken_back() {
    let machine = Machine::with_instance();
    let none = BTreeMap::new();
    let data = machine.path("/srv/arc/data/arc");
    machine.run("arc-backup -C /srv/arc backup", &none);
    std::fs::write(data.join("iot/vibration/later.parquet"), "written since").unwrap();
    let before = tree(&data);
    machine.run("arc-backup -C /srv/arc restore latest --yes", &none);
    assert!(tree(&data) != before, "the restore changed nothing");
    let history = machine.run(
        "arc-backup -C /srv/arc --json history --operation restore",
        &none,
    );
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    let operation = history["operations"][0]["operation_id"].as_str().unwrap();
    // As on the page, but for the id.
    let page = include_str!("../../docs/take-back.md");
    assert!(page.contains("arc-backup -C /srv/arc undo \"$OPERATION\" --yes"));
    let undo = format!("OPERATION={operation}\narc-backup -C /srv/arc undo \"$OPERATION\" --yes");
    machine.run(&undo, &none);
    assert!(tree(&data) == before, "the restore was not taken back");
}

/// Guards against a probe that reports success without a backup.
#[test]
fn monitoring_says_when_there_is_no_backup() {
    let machine = Machine::with_instance();
    let none = BTreeMap::new();
    machine.run("arc-backup -C /srv/arc backup", &none);
    let said = machine.follow("monitoring.md", &[], &none);
    assert!(said.contains("OK"), "{said}");
    std::fs::set_permissions(
        machine.path("/usr/local/bin/check_arc_backup"),
        std::fs::Permissions::from_mode(0o755),
    )
    .unwrap();
    let probe = "/usr/local/bin/check_arc_backup --max-age 26h";
    assert!(machine.run(probe, &none).contains("OK"));
    let id = machine.run("arc-backup -C /srv/arc list --ids", &none);
    std::fs::remove_dir_all(machine.path("/srv/arc/data/backups").join(id.trim())).unwrap();
    let output = machine.command(probe, &none).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", support::text(&output));
    let crontab = std::fs::read_to_string(machine.path("/etc/cron.d/arc-backup-check")).unwrap();
    let (_, job) = crontab.split_once("  arc  ").unwrap();
    let output = machine.command(job, &none).output().unwrap();
    assert!(
        support::text(&output).contains("CRITICAL"),
        "cron has nothing to mail"
    );
}
