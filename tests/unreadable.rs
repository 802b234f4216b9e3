//! Local folders and files that can't be read, by a user who is not root: root can read everything.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::{Instance, database_rows};

/// The user that runs the program if the test runs as root.
const NOBODY: u32 = 65534;

struct Scene {
    instance: Instance,
    /// Where that user can run it: the checkout may lie below a folder that is closed to others.
    program: PathBuf,
    is_root: bool,
}

impl Scene {
    fn new() -> Self {
        let instance = Instance::new();
        let is_root = rustix::process::geteuid().is_root();
        let mut program = PathBuf::from(env!("CARGO_BIN_EXE_arc-backup"));
        if is_root {
            let copy = instance.path("arc-backup-under-test");
            std::fs::copy(&program, &copy).unwrap();
            program = copy;
            give_away(&instance.path(""));
        }
        Self {
            instance,
            program,
            is_root,
        }
    }

    fn json(&self, arguments: &[&str]) -> (i32, Value) {
        let mut command = Command::new(&self.program);
        if self.is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        let output = command
            .arg("-C")
            .arg(self.instance.path(""))
            .arg("--json")
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let document = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", support::text(&output)));
        (output.status.code().unwrap(), document)
    }
}

fn give_away(path: &Path) {
    chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    if path.is_dir() {
        for child in std::fs::read_dir(path).unwrap() {
            give_away(&child.unwrap().path());
        }
    }
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// Guards against losing a whole disk because of one folder, and silently losing that folder.
#[test]
fn a_folder_that_can_not_be_read_costs_no_more_than_itself() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let before = instance.live();
    let rows = database_rows(&instance.path("data/arc.db"));
    let closed = instance.path("data/arc/iot");
    set_mode(&closed, 0);
    let (code, failed) = scene.json(&["backup"]);
    assert_eq!(code, 1, "{failed}");
    assert_eq!(failed["problem_count"], 1, "{failed}");
    assert_eq!(failed["problems"][0]["path"], "data/iot/");
    assert_eq!(failed["problems"][0]["kind"], "unreadable");
    let error = failed["error"].as_str().unwrap();
    assert!(error.contains("data/iot/: permission denied"), "{error}");
    let id = failed["backup_id"].as_str().unwrap();
    let (_, list) = scene.json(&["list", "--all"]);
    assert_eq!(list["incomplete"][0]["backup_id"], id);
    assert_eq!(
        list["incomplete"][0]["missing"][0],
        "data/iot/: permission denied"
    );
    // A restore can't see the live files there, and so changes nothing.
    let arguments = ["restore", id, "--allow-incomplete", "--yes"];
    let (code, refused) = scene.json(&arguments);
    assert_eq!(code, 1, "{refused}");
    let error = refused["error"].as_str().unwrap();
    assert!(
        error.contains("iot/") && error.ends_with("; nothing was changed"),
        "{error}"
    );
    set_mode(&closed, 0o755);
    assert!(instance.live() == before);
    // The disk has died: all else comes back.
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    if scene.is_root {
        give_away(&instance.path("data/arc"));
    }
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    let (code, restored) = scene.json(&arguments);
    assert_eq!(code, 0, "{restored}");
    let mut expected = before;
    expected.retain(|path, _| !path.starts_with("iot/"));
    assert!(instance.live() == expected);
    assert_eq!(database_rows(&instance.path("data/arc.db")), rows);
}

/// Guards against a backup that fails because the data has its own volume.
#[test]
fn folders_of_the_file_system_are_not_data() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let own = instance.path("data/arc/lost+found");
    std::fs::create_dir(&own).unwrap();
    set_mode(&own, if scene.is_root { 0o700 } else { 0 });
    let (code, done) = scene.json(&["backup"]);
    assert_eq!(code, 0, "{done}");
    let id = done["backup_id"].as_str().unwrap();
    support::change_live(instance);
    if scene.is_root {
        for folder in ["data/arc", "data/arc.db"] {
            give_away(&instance.path(folder));
        }
        chown(&own, Some(0), Some(0)).unwrap();
    }
    let (code, restored) = scene.json(&["restore", id, "--yes"]);
    assert_eq!(code, 0, "{restored}");
    set_mode(&own, 0o700);
}

/// Guards against a folder that can't be read and hides the other damage of a backup.
#[test]
fn a_folder_of_a_backup_that_can_not_be_read_is_named_beside_other_faults() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let (code, done) = scene.json(&["backup"]);
    assert_eq!(code, 0, "{done}");
    let id = done["backup_id"].as_str().unwrap();
    let folder = instance.backup_folder(id);
    std::fs::remove_file(folder.join("metadata/arc.db")).unwrap();
    let closed = folder.join("data/iot");
    set_mode(&closed, 0);
    let (code, found) = scene.json(&["verify", id, "--quick"]);
    set_mode(&closed, 0o755);
    assert_eq!(code, 1, "{found}");
    let problems: Vec<_> = (found["problems"].as_array().unwrap().iter())
        .map(|problem| (problem["path"].clone(), problem["kind"].clone()))
        .collect();
    let expected = [("data/iot/", "unreadable"), ("metadata/arc.db", "missing")];
    assert_eq!(
        problems,
        expected.map(|(path, kind)| (path.into(), kind.into()))
    );
}

/// Guards against a doctor that finds nothing wrong before a backup that fails.
#[test]
fn the_doctor_reads_what_a_backup_reads() {
    let scene = Scene::new();
    let root = scene.instance.path("data/arc");
    let checks_of = |report: &Value, check: &str| -> Vec<Value> {
        let checks = report["checks"].as_array().unwrap().iter();
        checks
            .filter(|found| found["subject"] == "data storage" && found["check"] == check)
            .cloned()
            .collect()
    };
    let (code, report) = scene.json(&["doctor"]);
    assert_eq!(code, 0, "{report}");
    let read = checks_of(&report, "read");
    let detail = read[0]["detail"].as_str().unwrap();
    assert!(
        read[0]["status"] == "ok" && detail.starts_with("105 files"),
        "{detail}"
    );
    let first = support::files(&root).into_iter();
    let first = first
        .into_iter()
        .find(|file| file.starts_with("iot/"))
        .unwrap();
    for (place, named) in [("iot/temperature", "iot/temperature/"), (&*first, &*first)] {
        let path = root.join(place);
        let before = std::fs::metadata(&path).unwrap().permissions();
        set_mode(&path, 0);
        let (code, report) = scene.json(&["doctor"]);
        std::fs::set_permissions(&path, before).unwrap();
        assert_eq!((code, &report["status"]), (1, &"fault".into()), "{report}");
        let read = checks_of(&report, "read");
        let detail = read[0]["detail"].as_str().unwrap();
        let remedy = read[0]["remedy"].as_str().unwrap();
        assert!(read[0]["ok"] == false && detail.contains(named), "{read:?}");
        assert!(remedy.contains("the user that Arc runs as"), "{remedy}");
    }
    // A backup needs no more than this.
    set_mode(&root, 0o555);
    let (code, report) = scene.json(&["doctor"]);
    let (made, _) = scene.json(&["backup"]);
    set_mode(&root, 0o755);
    assert_eq!(
        (code, &report["status"], made),
        (0, &"warn".into(), 0),
        "{report}"
    );
    let put = checks_of(&report, "put");
    assert_eq!(
        (&put[0]["status"], &put[0]["state"]),
        (&"warn".into(), &"read-only".into()),
        "{put:?}"
    );
}

/// Guards against: a dying disk that keeps the restore of one database from being done, as folders
/// of another one can't be read.
#[test]
fn folders_of_other_databases_need_not_be_readable_to_restore_one() {
    let scene = Scene::new();
    let instance = &scene.instance;
    let root = instance.path("data/arc");
    let states = root.join("_compaction_state/hourly/metrics");
    std::fs::create_dir_all(&states).unwrap();
    std::fs::write(states.join("notes.txt"), b"notes").unwrap();
    give_away_if_root(&scene);
    let (code, made) = scene.json(&["backup", "--database", "iot"]);
    assert_eq!(code, 0, "{made}");
    let id = made["backup_id"].as_str().unwrap();
    // An earlier restore of the same database has staged files, and was killed.
    let marker = serde_json::json!({
        "operation_id": "20270115-040000-0a1b2c3d", "backup_id": "backup-20270115-030000-0a1b2c3d",
        "sections": ["data"], "databases": ["iot"], "phase": "staging",
        "written_at": "2027-01-15T04:00:00Z", "target": "local",
    });
    let state = instance.path("data/backups/.arc-backup/restore-in-progress.json");
    std::fs::write(state, marker.to_string()).unwrap();
    std::fs::write(root.join("iot/extra.parquet"), b"extra").unwrap();
    give_away_if_root(&scene);
    let closed = [states, root.join("metrics")];
    assert!(closed.iter().all(|path| path.is_dir()));
    closed.iter().for_each(|path| set_mode(path, 0));
    let (code, done) = scene.json(&["restore", id, "--yes"]);
    closed.iter().for_each(|path| set_mode(path, 0o755));
    assert_eq!(code, 0, "{done}");
    assert_eq!(done["set_aside_files"], 1, "{done}");
    // A folder of its own is another matter.
    let own = root.join("iot/temperature");
    set_mode(&own, 0);
    let (code, refused) = scene.json(&["restore", id, "--yes"]);
    set_mode(&own, 0o755);
    assert_eq!(code, 1, "{refused}");
    assert!(
        refused["error"].to_string().contains("iot/temperature/"),
        "{refused}"
    );
}

fn give_away_if_root(scene: &Scene) {
    if scene.is_root {
        give_away(&scene.instance.path(""));
    }
}
