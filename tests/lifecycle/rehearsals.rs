//! Rehearsals of a restore: what they find, what they note, and that they leave nothing.

use serde_json::{Value, json};

use crate::stores::{KINDS, configure, contents, s3_server, storage, target};
use crate::support::{Instance, files, text, write_inventory};

/// The files of scratch folders.
fn scratch(instance: &Instance) -> Vec<String> {
    files(&instance.path("data/backups/.arc-backup/scratch"))
}

fn rehearse(instance: &Instance, arguments: &[&str]) -> (i32, Value) {
    let done = instance.json(&[&["rehearse"], arguments].concat());
    assert_eq!(scratch(instance), [""; 0], "{done:?}");
    done
}

fn noted(instance: &Instance, arguments: &[&str]) -> Value {
    let (code, shown) = instance.json(&[&["show", "latest"], arguments].concat());
    assert_eq!(code, 0, "{shown}");
    shown["last_rehearsed"].clone()
}

/// Guards against: a rehearsal that fails where a restore would not, on any storage; that touches
/// what is live; or whose result nobody sees.
#[test]
fn a_whole_backup_is_rehearsed_and_that_is_noted() {
    for kind in KINDS {
        let (instance, server) = (Instance::new(), s3_server());
        let live = storage(kind, &instance, &server, true);
        let far = target(kind, &instance, &server);
        configure(&instance, &live, &far);
        instance.ok(&["backup", "--target", "far"]);
        let before = contents(&live.sink);
        assert_eq!(noted(&instance, &["--target", "far"]), Value::Null);
        let (code, done) = rehearse(&instance, &["--target", "far"]);
        assert_eq!((code, &done["status"]), (0, &json!("completed")), "{done}");
        assert_eq!(done["operation"], "rehearse", "{done}");
        assert!(done["processed_files"].as_u64() > Some(100), "{done}");
        assert_eq!(contents(&live.sink), before, "{kind:?}");
        let note = noted(&instance, &["--target", "far"]);
        assert_eq!(
            (&note["ok"], &note["mode"]),
            (&json!(true), &json!("full")),
            "{note}"
        );
        assert_eq!(note["operation_id"], done["operation_id"], "{note}");
        let (_, list) = instance.json(&["list", "--target", "far"]);
        assert_eq!(list["backups"][0]["last_rehearsed"], note, "{list}");
        assert_eq!(list["backups"][0]["state"], "unverified", "{list}");
        let (_, history) = instance.json(&["history"]);
        assert_eq!(
            history["operations"][0]["operation"], "rehearse",
            "{history}"
        );
    }
}

/// Guards against: a share that is all or nothing, or databases that are not opened with it.
#[test]
fn a_share_of_the_data_is_rehearsed_with_all_databases() {
    let instance = Instance::new();
    instance.backup();
    let (code, done) = rehearse(&instance, &["--share", "30%"]);
    assert_eq!(code, 0, "{done}");
    let rehearsed = done["processed_files"].as_u64().unwrap();
    assert!((5..100).contains(&rehearsed), "{done}");
    assert_eq!(done["sample"]["share"], 0.3, "{done}");
    assert_eq!(noted(&instance, &[])["mode"], "sample");
    for share in ["0", "0%", "101%", "x"] {
        assert_eq!(
            instance.run(&["rehearse", "--share", share]).status.code(),
            Some(2)
        );
    }
}

/// Guards against: a rehearsal that misses what a restore would bring back wrong.
#[test]
fn damage_of_each_kind_is_found() {
    for case in ["changed", "missing"] {
        let instance = Instance::new();
        let id = instance.backup();
        let folder = instance.backup_folder(&id);
        let paths = files(&folder.join("data"));
        let path = paths
            .iter()
            .find(|path| path.ends_with(".parquet"))
            .unwrap();
        let place = folder.join("data").join(path);
        let bytes = std::fs::read(&place).unwrap();
        let whole = bytes.clone();
        std::fs::remove_file(&place).unwrap();
        if case == "changed" {
            let mut bytes = bytes;
            bytes[40] ^= 1;
            std::fs::write(&place, bytes).unwrap();
        }
        let (code, done) = rehearse(&instance, &[]);
        assert_eq!(code, 1, "{case}: {done}");
        assert!(
            done["problems"].to_string().contains(path.as_str()),
            "{case}: {done}"
        );
        // `latest` is a good one.
        let (_, shown) = instance.json(&["show", &id]);
        assert_eq!(shown["last_rehearsed"]["ok"], false, "{case}: {shown}");
        assert_eq!(shown["last_failed"]["mode"], "rehearsal", "{case}: {shown}");
        let (_, list) = instance.json(&["list"]);
        assert_eq!(list["backups"][0]["state"], "damaged", "{case}: {list}");
        let said = instance.ok(&["list"]);
        assert!(said.contains("a rehearsal found faults"), "{case}: {said}");
        // As it was before, and rehearsed once more.
        std::fs::write(&place, whole).unwrap();
        assert_eq!(rehearse(&instance, &[&id]).0, 0, "{case}");
        let (_, list) = instance.json(&["list"]);
        assert_eq!(list["backups"][0]["state"], "unverified", "{case}: {list}");
    }
}

/// Guards against: a full disk for scratch files that makes a good backup a damaged one.
#[test]
fn no_room_for_a_restored_file_says_nothing_of_the_backup() {
    let instance = crate::scene::small();
    let id = instance.backup();
    let command = instance.command(&["rehearse", &id]);
    // No file may be larger than 600 blocks, of 512 or 1,024 bytes: one of the data is.
    let output = std::process::Command::new("sh")
        .args(["-c", "trap '' XFSZ; ulimit -f 600; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .output()
        .unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("no room to rehearse") && said.contains("backup.state_path"),
        "{said}"
    );
    assert_eq!(scratch(&instance), [""; 0]);
    assert_eq!(noted(&instance, &[]), Value::Null);
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["backups"][0]["state"], "unverified", "{list}");
}

/// Guards against: rows that are counted and not compared.
#[test]
fn rows_that_are_not_those_of_the_lists_are_found() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    // Another count in the manifest, and in the inventory, both sealed again.
    let path = folder.join("manifest.json");
    let sound = std::fs::read_to_string(&path).unwrap();
    let lists = crate::support::inventory_of(&folder);
    let reseal = |change: &dyn Fn(&mut Value), lines: &str| {
        let mut manifest: Value = serde_json::from_str(&sound).unwrap();
        change(&mut manifest);
        let zeros = "0".repeat(64);
        manifest["inventory"]["sha256"] = arc_backup::core::Digest::of(lines.as_bytes())
            .to_string()
            .into();
        manifest["sha256"] = zeros.as_str().into();
        let text = format!("{}\n", serde_json::to_string_pretty(&manifest).unwrap());
        let digest = arc_backup::core::Digest::of(text.as_bytes()).to_string();
        std::fs::write(&path, text.replace(&zeros, &digest)).unwrap();
        write_inventory(&folder, lines);
    };
    reseal(&|_| {}, &lists);
    assert_eq!(rehearse(&instance, &[&id]).0, 0);
    reseal(
        &|manifest| manifest["databases"][0]["measurements"][0]["rows"] = 7.into(),
        &lists,
    );
    let (code, done) = rehearse(&instance, &[&id]);
    assert_eq!(code, 1, "{done}");
    assert!(
        done["problems"].to_string().contains("it says 7 rows"),
        "{done}"
    );
    let line = lists
        .lines()
        .find(|line| line.contains("\"rows\":"))
        .unwrap();
    let mut record: Value = serde_json::from_str(line).unwrap();
    record["rows"] = 1_000_000.into();
    reseal(&|_| {}, &lists.replace(line, &record.to_string()));
    let (code, done) = rehearse(&instance, &[&id]);
    assert_eq!(code, 1, "{done}");
    assert!(
        done["problems"]
            .to_string()
            .contains("the inventory says 1000000"),
        "{done}"
    );
}

/// Guards against: a damaged source file that a rehearsal does not name, or takes for a fault of
/// the backup.
#[test]
fn damaged_source_files_are_named_by_a_rehearsal() {
    let instance = Instance::new();
    let folder = instance.path("data/arc/iot/hurt/2026/11/24/00");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("text.parquet"), b"no Parquet").unwrap();
    std::fs::write(folder.join("zero.parquet"), b"").unwrap();
    instance.backup();
    let (code, done) = rehearse(&instance, &[]);
    assert_eq!((code, &done["damaged_files"]), (0, &json!(2)), "{done}");
    let named = done["damaged_sample"].to_string();
    assert!(
        named.contains("text.parquet") && named.contains("not-parquet"),
        "{named}"
    );
    let said = text(&instance.run(&["rehearse"]));
    assert!(said.contains("damaged source files: 2"), "{said}");
}

/// Guards against: REST that does not have what the command line has, and Arc's own backups.
#[test]
fn rest_rehearses_too_and_arcs_own_backups() {
    let instance = Instance::new();
    let id = instance.backup();
    let service = instance.serve();
    let path = format!("/api/v1/backup/{id}/rehearse");
    let done = crate::stores::done(&service, &path, r#"{"percent": 50}"#);
    assert_eq!(
        (&done["operation"], &done["status"]),
        (&json!("rehearse"), &json!("completed"))
    );
    for body in [
        r#"{"percent": 0}"#,
        r#"{"percent": 100.5}"#,
        r#"{"percent": "x"}"#,
    ] {
        assert_eq!(service.post(&path, body).status, 400, "{body}");
    }
    let unknown = format!("/api/v1/backup/{}/rehearse", crate::support::UNKNOWN);
    assert_eq!(service.post(&unknown, "{}").status, 404);
    let arcs = format!("/api/v1/backup/{}/rehearse", crate::support::ARC_NEW);
    let done = crate::stores::done(&service, &arcs, "{}");
    assert_eq!(done["status"], "completed", "{done}");
    assert_eq!(scratch(&instance), [""; 0]);
}

/// Guards against: files of a rehearsal that was killed, which stay until the next backup.
#[test]
fn the_next_rehearsal_removes_what_a_killed_one_left() {
    let instance = Instance::new();
    let id = instance.backup();
    let state = instance.path("data/backups/.arc-backup");
    let dead = "20260101-000000-00000000";
    let folder = state
        .join("scratch/operations")
        .join(dead)
        .join("rehearsal");
    // What a kill leaves: the file of its slot, which nobody keeps locked, and its folder.
    for arguments in [["rehearse", &id], ["verify", &id]] {
        std::fs::create_dir_all(state.join("running")).unwrap();
        std::fs::write(state.join(format!("running/{dead}.lock")), b"{}").unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("left"), b"left").unwrap();
        instance.ok(&arguments);
        assert_eq!(scratch(&instance), [""; 0], "{arguments:?}");
        assert!(!folder.exists(), "{arguments:?}");
    }
}
