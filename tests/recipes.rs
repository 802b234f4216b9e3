//! The recipes of `docs/` work as they are written: their files and commands, in their order.
//!
//! What is not taken as written: absolute paths (`/srv/…`) lie in a temporary folder, keys are
//! those of the test's S3 server, its endpoint is set by a variable, and `systemctl` only records
//! how it was called.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, Verb};
use support::{Instance, copy_tree, database_rows, rows, tree};

/// Folders of the documentation that lie in the sandbox.
const ROOTS: [&str; 4] = ["/srv/", "/etc/", "/mnt/", "/usr/local/bin/"];

/// A block of a page.
#[derive(Debug)]
enum Block {
    /// Commands to type.
    Commands(String),
    /// A file: its path, whether it is added to what is there, and its text.
    File(PathBuf, bool, String),
}

/// A machine: the folders of the documentation, and the programs.
struct Machine {
    folder: tempfile::TempDir,
    /// What the documentation leaves open: a part of a file, and what stands there.
    replaced: Vec<(String, String)>,
}

impl Machine {
    fn new() -> Self {
        let machine = Self {
            folder: tempfile::tempdir().unwrap(),
            replaced: Vec::new(),
        };
        for root in ROOTS {
            std::fs::create_dir_all(machine.path(root)).unwrap();
        }
        for folder in [
            "/srv/arc",
            "/srv/arc-test",
            "/etc/arc-backup",
            "/etc/cron.d",
            "/etc/systemd/system",
            "/home",
        ] {
            std::fs::create_dir_all(machine.path(folder)).unwrap();
        }
        symlink(
            env!("CARGO_BIN_EXE_arc-backup"),
            machine.path("/usr/local/bin/arc-backup"),
        )
        .unwrap();
        let stub = machine.path("/usr/local/bin/systemctl");
        let script = format!(
            "#!/bin/sh\necho \"$@\" >>{}\n",
            machine.path("/systemctl.log").display()
        );
        std::fs::write(&stub, script).unwrap();
        std::fs::set_permissions(&stub, std::fs::Permissions::from_mode(0o755)).unwrap();
        machine
    }

    /// With the sample instance in `/srv/arc`.
    fn with_instance() -> Self {
        let machine = Self::new();
        copy_tree(&Instance::new().path(""), &machine.path("/srv/arc"));
        // Arc's own backups are not what these pages are about.
        std::fs::remove_dir_all(machine.path("/srv/arc/data/backups")).unwrap();
        // The pages add the table; its keys in the sample are the defaults.
        let config = machine.path("/srv/arc/arc.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(config, text.split("[backup]").next().unwrap()).unwrap();
        machine
    }

    /// With the keys and the address of a store in place of those of the documentation.
    fn using(mut self, server: &S3Server) -> Self {
        let options = server.options();
        for (from, to) in [
            ("AKIAEXAMPLE", options.access_key.as_str()),
            ("AKIAREADONLY", options.access_key.as_str()),
            ("secret-example", options.secret_key.as_str()),
        ] {
            self.replaced.push((from.to_owned(), to.to_owned()));
        }
        self
    }

    fn path(&self, absolute: &str) -> PathBuf {
        self.folder.path().join(absolute.trim_start_matches('/'))
    }

    /// The text with the sandbox's paths.
    fn placed(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for root in ROOTS {
            // A path begins behind a space, a quote, `=` or a line's start; not in the middle of
            // another.
            let mut placed = String::new();
            let mut rest = text.as_str();
            while let Some(at) = rest.find(root) {
                let before = rest[..at].chars().next_back();
                placed.push_str(&rest[..at]);
                if before.is_none_or(|c| c.is_whitespace() || "\"'=:".contains(c)) {
                    placed.push_str(&self.path(root).display().to_string());
                    if !placed.ends_with('/') {
                        placed.push('/');
                    }
                } else {
                    placed.push_str(root);
                }
                rest = &rest[at + root.len()..];
            }
            placed.push_str(rest);
            text = placed;
        }
        for (from, to) in &self.replaced {
            text = text.replace(from, to);
        }
        text
    }

    /// Writes a file of a page.
    fn write(&self, path: &Path, is_added: bool, text: &str) {
        let path = self.path(path.to_str().unwrap());
        let old = match is_added {
            true => std::fs::read_to_string(&path).unwrap_or_default(),
            false => String::new(),
        };
        let text = format!("{old}\n{text}").trim_start().to_owned();
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, self.placed(&text)).unwrap();
    }

    /// A command in an environment as bare as cron's, with these variables.
    fn command(&self, text: &str, variables: &BTreeMap<&str, String>) -> Command {
        let mut command = Command::new("/bin/sh");
        command
            .args(["-ec", &self.placed(text)])
            .env_clear()
            .env("PATH", self.placed("/usr/local/bin/:/usr/bin:/bin"))
            .env("HOME", self.path("/home"))
            .env("SHELL", "/bin/sh")
            .env("LOGNAME", "arc")
            .envs(variables.iter())
            .current_dir(self.path("/home"))
            .stdin(Stdio::null());
        command
    }

    /// Runs commands, which must succeed, and answers what they printed.
    fn run(&self, text: &str, variables: &BTreeMap<&str, String>) -> String {
        let output = self.command(text, variables).output().unwrap();
        let said = support::text(&output);
        assert!(output.status.success(), "{text}\n{said}");
        said
    }

    /// Goes through a page: writes its files, runs its commands in one shell as somebody would who
    /// types them. Blocks that hold one of `left_out` are passed over; the test that names them
    /// says why.
    fn follow(&self, page: &str, left_out: &[&str], variables: &BTreeMap<&str, String>) -> String {
        let mut said = String::new();
        let mut used = vec![false; left_out.len()];
        // What was set by one block holds in the next: files are sourced, ids are kept.
        let mut typed = String::new();
        for block in blocks(page) {
            let text = match &block {
                Block::Commands(text) | Block::File(_, _, text) => text,
            };
            if let Some(which) = left_out.iter().position(|part| text.contains(part)) {
                used[which] = true;
                continue;
            }
            match block {
                Block::File(path, is_added, text) => self.write(&path, is_added, &text),
                Block::Commands(text) => {
                    said.push_str(&self.run(&format!("{typed}\n{text}"), variables));
                    let kept = (text.lines())
                        .filter(|line| line.starts_with("set -a;"))
                        .fold(String::new(), |kept, line| kept + line + "\n");
                    typed.push_str(&kept);
                }
            }
        }
        assert!(
            used.iter().all(|used| *used),
            "{page} has none of {left_out:?}"
        );
        said
    }
}

/// The blocks of a page that are to be done: `sh` blocks, and whatever begins with the path of a
/// file.
fn blocks(page: &str) -> Vec<Block> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("docs")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let mut blocks = Vec::new();
    for part in text.split("\n```").skip(1).step_by(2) {
        let (language, body) = part.split_once('\n').unwrap();
        let first = body.lines().next().unwrap_or_default();
        let file = first.strip_prefix("# /").map(|path| format!("/{path}"));
        match (language, file) {
            (_, Some(path)) => {
                let (path, is_added) = match path.strip_suffix(", at the end") {
                    Some(path) => (path, true),
                    None => (path.as_str(), false),
                };
                let text = body.split_once('\n').unwrap().1;
                blocks.push(Block::File(
                    PathBuf::from(path),
                    is_added,
                    format!("{text}\n"),
                ));
            }
            ("sh", None) => blocks.push(Block::Commands(body.to_owned())),
            _ => {}
        }
    }
    assert!(!blocks.is_empty(), "{page} has no blocks");
    blocks
}

fn server() -> S3Server {
    let options = ServerOptions {
        buckets: vec!["arc-backups".to_owned()],
        ..ServerOptions::default()
    };
    S3Server::start(options).unwrap()
}

/// The variables that make a target of the documentation one of the test's server.
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

/// Guards against: a backup that works in a login shell and not from cron.
#[test]
fn a_backup_every_night_to_s3_from_crons_bare_environment() {
    let server = server();
    let machine = Machine::with_instance().using(&server);
    let variables = endpoint("offsite", &server);
    machine.follow("nightly.md", &[], &variables);
    let before = listed(&machine, "/srv/arc", &variables);
    assert_eq!(before.len(), 1, "the page's own try");

    // As cron does it: the line's command, with the crontab's PATH and next to nothing else.
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

    // The night that goes wrong: cron mails a line that says what, and the exit code is not 0.
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

/// Guards against: a new host on which everything was restored to where Arc does not look.
#[test]
fn a_dead_disk_a_new_host_and_credentials_only() {
    let server = server();
    let variables = endpoint("offsite", &server);
    let old = Machine::with_instance().using(&server);
    // Its paths are none that a new `arc.toml` would have by default.
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

/// Guards against: the short cut that put the data where Arc does not look, and said that all was
/// well.
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

/// Guards against: a test machine that moves production's objects out of the way.
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

    // Without the word that it is meant, files of another instance are not replaced.
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

/// Guards against: a far target that is down and keeps the near one from its backup.
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

/// Guards against: a measurement that comes back with something else changed.
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

/// Guards against: a way back that leaves something of the restore.
#[test]
fn a_restore_is_taken_back_with_the_backup_from_before_it() {
    let machine = Machine::with_instance();
    let none = BTreeMap::new();
    let data = machine.path("/srv/arc/data/arc");
    machine.run("arc-backup -C /srv/arc backup", &none);
    std::fs::write(data.join("iot/vibration/later.parquet"), "written since").unwrap();
    let before = tree(&data);
    machine.follow("take-back.md", &[], &none);
    assert!(tree(&data) == before, "the restore was not taken back");
}

/// Guards against: a probe that says that all is well.
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
