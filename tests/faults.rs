//! Damage, hostility, kills and bad input, each in many variants: named, and nothing lost.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::collections::BTreeSet;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use arc_backup::manifest::{Manifest, seal};
use serde_json::Value;
use support::{ARC_OLD, Instance, database_rows, files, text, tree};

const UNKNOWN: &str = "backup-20260101-000000-00000000";

/// Runs a command that has to end within half a minute, whatever it meets; else its exit code is 124.
fn timely(instance: &Instance, arguments: &[&str]) -> Output {
    let command = instance.command(arguments);
    let mut timed = Command::new("timeout");
    timed
        .arg("30")
        .arg(command.get_program())
        .args(command.get_args());
    timed.stdin(Stdio::null()).output().unwrap()
}

fn timely_json(instance: &Instance, arguments: &[&str]) -> (Option<i32>, Value) {
    let output = timely(instance, &[&["--json"], arguments].concat());
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{arguments:?}: {e}: {}", text(&output)));
    (output.status.code(), document)
}

fn data_file(folder: &Path) -> String {
    let all = files(folder);
    all.into_iter().find(|f| f.starts_with("data/")).unwrap()
}

/// Everything below a folder, folders and links too, whose name has one of the parts.
fn named_like(folder: &Path, parts: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for child in std::fs::read_dir(folder).unwrap() {
        let child = child.unwrap();
        let name = child.file_name().to_string_lossy().into_owned();
        if parts.iter().any(|part| name.contains(part)) {
            found.push(child.path().display().to_string());
        }
        if child.file_type().unwrap().is_dir() {
            found.extend(named_like(&child.path(), parts));
        }
    }
    found
}

/// Makes the live state differ from any backup: a file gone, one rewritten, one added, the database changed. Answers the first.
fn change_live(instance: &Instance) -> String {
    let root = instance.path("data/arc");
    let all = files(&root);
    std::fs::remove_file(root.join(&all[3])).unwrap();
    std::fs::write(root.join(&all[4]), b"rewritten").unwrap();
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    let connection = rusqlite::Connection::open(instance.path("data/arc.db")).unwrap();
    connection
        .execute_batch("DELETE FROM api_tokens WHERE id > 1")
        .unwrap();
    all[3].clone()
}

/// Runs a restore that has to fail, and to leave the live data as it is.
fn refused(instance: &Instance, id: &str, named: &str, case: &str) {
    let database = instance.path("data/arc.db");
    let before = (instance.live(), std::fs::read(&database).unwrap());
    let output = timely(instance, &["--json", "restore", id, "--yes"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{case}: {said}");
    assert!(said.contains(named), "{case}: {said}");
    let after = (instance.live(), std::fs::read(&database).unwrap());
    assert!(before == after, "{case}: live data changed");
    let left = named_like(&instance.path(""), &[".tmp", "before-restore"]);
    assert_eq!(left, Vec::<String>::new(), "{case}");
}

fn has_problem(operation: &Value, path: &str, kind: &str) -> bool {
    let problems = operation["problems"].as_array().unwrap();
    problems
        .iter()
        .any(|p| p["path"] == path && p["kind"] == kind)
}

/// Lost otherwise: a script that reads the document, to an empty one.
#[test]
fn json_is_one_document_also_for_what_is_damaged_or_unknown() {
    let instance = Instance::new();
    for command in ["verify", "restore", "delete"] {
        let yes = if command == "verify" {
            "--quick"
        } else {
            "--yes"
        };
        let (code, document) = timely_json(&instance, &[command, UNKNOWN, yes]);
        assert_eq!(code, Some(1), "{document}");
    }
}

/// Lost otherwise: the worth of every check, which are all made against these two files.
#[test]
fn an_edited_inventory_or_manifest_is_named_and_nothing_is_restored_by_it() {
    let instance = Instance::new();
    let (inventory, manifest) = (instance.backup(), instance.backup());
    change_live(&instance);
    for (id, file, after) in [
        (&inventory, "inventory.jsonl", "\"sha256\":\""),
        (&manifest, "manifest.json", "\"total_files\": "),
    ] {
        let path = instance.backup_folder(id).join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let start = String::from_utf8_lossy(&bytes).find(after).unwrap() + after.len();
        let at = start + bytes[start..].iter().position(u8::is_ascii_digit).unwrap();
        bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
        std::fs::write(&path, bytes).unwrap();
        let (code, operation) = timely_json(&instance, &["verify", id]);
        let kind = file.split('.').next().unwrap();
        assert_eq!(code, Some(1), "{operation}");
        assert!(has_problem(&operation, file, kind), "{operation}");
        refused(&instance, id, file, file);
    }
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"].as_array().unwrap().len(), 1, "{list}");
    assert_eq!(list["damaged"][0]["backup_id"], *manifest);
    let shown = instance.run(&["show", &manifest]);
    assert_eq!(shown.status.code(), Some(1), "{}", text(&shown));
}

/// Multiplies the Parquet files to 600 and more.
fn enlarge(instance: &Instance) {
    let root = instance.path("data/arc");
    for file in files(&root).iter().filter(|f| f.ends_with(".parquet")) {
        for copy in 0..5 {
            let name = file.replace(".parquet", &format!("{copy}.parquet"));
            std::fs::copy(root.join(file), root.join(name)).unwrap();
        }
    }
    assert!(files(&root).len() > 500);
}

/// Marsaglia's xorshift64.
fn xorshift(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    }
}

/// Kills the command after that many microseconds.
fn kill_within(instance: &Instance, arguments: &[&str], micros: u64) {
    let mut command = instance.command(arguments);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = quiet.spawn().unwrap();
    std::thread::sleep(Duration::from_micros(micros));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The listed ids; none may be damaged, and those not `known` yet must verify.
fn whole_backups(instance: &Instance, known: &mut BTreeSet<String>) -> usize {
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["damaged"], serde_json::json!([]), "{list}");
    let backups = list["backups"].as_array().unwrap();
    for id in backups.iter().map(|b| b["backup_id"].as_str().unwrap()) {
        if known.insert(id.to_owned()) {
            instance.ok(&["verify", id]);
        }
    }
    backups.len()
}

/// Lost otherwise: an earlier backup, or the trust that what is listed is whole, when the power goes.
#[test]
fn a_backup_killed_at_any_moment_leaves_whole_backups_and_the_next_one_clears_up() {
    let instance = Instance::new();
    enlarge(&instance);
    let began = Instant::now();
    instance.backup();
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(0x5eed_0001);
    let mut known = BTreeSet::new();
    for round in 0..25 {
        let range = if round % 2 == 0 { 40_000 } else { whole };
        kill_within(&instance, &["backup"], random(range));
        whole_backups(&instance, &mut known);
        if round % 3 == 0 {
            // Something that can't be reused, so that copies are killed and not only links.
            let fresh = format!("data/arc/iot/fresh{round}.parquet");
            std::fs::write(instance.path(&fresh), vec![7; 1 << 20]).unwrap();
            instance.backup();
            let listed = whole_backups(&instance, &mut known);
            let folders = std::fs::read_dir(instance.path("data/backups")).unwrap();
            assert_eq!(
                folders.count(),
                listed + 1,
                "round {round}: an unfinished one"
            );
            let left = named_like(&instance.path("data"), &[".tmp", "-freeze"]);
            assert_eq!(left, Vec::<String>::new(), "round {round}");
        }
    }
    for id in known {
        instance.ok(&["verify", &id]);
    }
}

/// Lost otherwise: the live data, left between two states with no way on.
#[test]
fn a_restore_killed_at_any_moment_is_completed_by_the_same_restore() {
    let instance = Instance::new();
    enlarge(&instance);
    let database = instance.path("data/arc.db");
    let (live, rows) = (instance.live(), database_rows(&database));
    let id = instance.backup();
    let change = || {
        change_live(&instance);
        std::fs::remove_dir_all(instance.path("data/arc/iot/vibration")).unwrap();
    };
    change();
    let began = Instant::now();
    instance.ok(&["restore", &id, "--yes"]);
    let whole = u64::try_from(began.elapsed().as_micros()).unwrap();
    let mut random = xorshift(0x5eed_0002);
    let mut known = BTreeSet::new();
    for round in 0..25 {
        change();
        let range = if round % 2 == 0 { 40_000 } else { whole };
        let micros = random(range);
        kill_within(&instance, &["restore", &id, "--yes"], micros);
        whole_backups(&instance, &mut known);
        instance.ok(&["restore", &id, "--yes"]);
        let case = format!("round {round}, killed after {micros} µs");
        assert!(instance.live() == live, "{case}: not the backup's state");
        assert_eq!(database_rows(&database), rows, "{case}");
        let left = named_like(&instance.path("data"), &[".tmp", "restore-in-progress"]);
        assert_eq!(left, Vec::<String>::new(), "{case}");
    }
    instance.ok(&["verify", &id]);
}

/// Lost otherwise: a backup that somebody else is writing this very moment.
#[test]
fn what_only_looks_like_a_backup_survives_backup_and_sweep() {
    let instance = Instance::new();
    let ids = [1, 2, 3, 4].map(|n| format!("backup-20260101-000000-0000000{n}"));
    let [writing, garbage, linked, fifo] = ids.each_ref().map(|id| instance.backup_folder(id));
    std::fs::create_dir_all(writing.join("data/iot")).unwrap();
    std::fs::write(writing.join("data/iot/part.parquet"), b"part").unwrap();
    std::fs::create_dir(&garbage).unwrap();
    std::fs::write(garbage.join("manifest.json"), b"\xff{ garbage").unwrap();
    symlink(instance.backup_folder(ARC_OLD), &linked).unwrap();
    std::fs::create_dir(&fifo).unwrap();
    make_fifo(&fifo.join("manifest.json"));
    for arguments in [&["backup"][..], &["sweep", "--apply"], &["backup"]] {
        let output = timely(&instance, arguments);
        assert!(output.status.success(), "{}", text(&output));
    }
    let (_, list) = timely_json(&instance, &["list"]);
    let damaged = list["damaged"].as_array().unwrap();
    for id in &ids {
        assert!(damaged.iter().any(|d| d["backup_id"] == **id), "{list}");
    }
    assert_eq!((damaged.len(), &list["count"]), (4, &4.into()), "{list}");
    assert!(writing.join("data/iot/part.parquet").exists());
    assert!(garbage.join("manifest.json").exists() && linked.is_symlink());
    assert!(fifo.join("manifest.json").symlink_metadata().is_ok());
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Rewrites the inventory, and re-seals a manifest that agrees with it.
fn forge(folder: &Path, change: impl Fn(&str) -> String) {
    let path = folder.join("inventory.jsonl");
    let new = change(&std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, &new).unwrap();
    let path = folder.join("manifest.json");
    let mut manifest: Manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let reference = manifest.inventory.as_mut().unwrap();
    (reference.entries, reference.bytes) = (0, 0);
    for line in new.lines() {
        let size = serde_json::from_str::<Value>(line).unwrap()["size"].as_u64();
        reference.entries += 1;
        reference.bytes = reference.bytes.wrapping_add(size.unwrap_or(0));
    }
    reference.sha256 = arc_backup_core::Digest::of(new.as_bytes()).to_string();
    std::fs::write(&path, seal(&mut manifest).unwrap()).unwrap();
}

fn with_size(inventory: &str, size: &str) -> String {
    let at = inventory.find("\"size\":").unwrap() + 7;
    let end = at + inventory[at..].find(',').unwrap();
    format!("{}{size}{}", &inventory[..at], &inventory[end..])
}

/// Lost otherwise: whatever lies where a forged inventory points, or the memory and disk that it asks for.
#[test]
fn a_forged_inventory_with_a_true_seal_is_refused() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let original = instance.path("original");
    support::copy_tree(&folder, &original);
    let first = data_file(&folder);
    change_live(&instance);
    let outside = || -> Vec<_> { tree(&instance.path("")).into_keys().collect() };
    let sizes = "18446744073709551616 18446744073709551615 -1 1e3 1125899906842624";
    let paths = "data/../../evil /etc/x data//x data/a\\\\b ../evil data/. evil data/a\\u0000b manifest.json";
    forge(&folder, str::to_owned);
    instance.ok(&["verify", &id]); // The forgery itself is no fault.
    let check = |case: &str, change: &dyn Fn(&str) -> String| {
        for file in ["inventory.jsonl", "manifest.json"] {
            std::fs::copy(original.join(file), folder.join(file)).unwrap();
        }
        forge(&folder, change);
        let before = outside();
        let (code, operation) = timely_json(&instance, &["verify", &id]);
        assert_eq!(code, Some(1), "{case}: {operation}");
        refused(&instance, &id, "", case);
        assert_eq!(outside(), before, "{case}");
        assert!(!Path::new("/etc/x").exists());
    };
    for path in paths.split(' ') {
        check(path, &|old| old.replacen(&first, path, 1));
    }
    for size in sizes.split(' ') {
        check(size, &|old| with_size(old, size));
    }
    check("duplicate", &|old| {
        let line = old.lines().find(|l| l.contains(&first)).unwrap();
        old.replacen(line, &format!("{line}\n{line}"), 1)
    });
    check("stored_in elsewhere", &|old| {
        old.replacen('{', "{\"stored_in\":\"../../etc\",", 1)
    });
}

/// Lost otherwise: the machine's memory, to a file of 300 MiB that calls itself a manifest.
#[test]
fn a_huge_manifest_is_refused_without_being_held() {
    let instance = Instance::new();
    let (good, huge) = (instance.backup(), instance.backup());
    let manifest = instance.backup_folder(&huge).join("manifest.json");
    let file = std::fs::File::options().write(true).open(manifest).unwrap();
    file.set_len(300 << 20).unwrap();
    // Address space for the program, and not for 300 MiB; one malloc arena, as each reserves 64 MiB.
    let limited = |arguments: &[&str]| {
        Command::new("bash")
            .args(["-c", "ulimit -v 290000 && exec \"$0\" \"$@\""])
            .arg(env!("CARGO_BIN_EXE_arc-backup"))
            .arg("-C")
            .arg(instance.path(""))
            .args(arguments)
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    };
    let control = limited(&["verify", &good]);
    assert!(control.status.success(), "{}", text(&control));
    for arguments in [&["verify", &*huge][..], &["restore", &huge, "--yes"]] {
        let output = limited(arguments);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        assert!(text(&output).contains("manifest"), "{}", text(&output));
    }
    let list = limited(&["list"]);
    assert!(list.status.success() && text(&list).contains(&good));
}

/// Lost otherwise: files outside, read into or overwritten by a restore; or a verification that waits for ever.
#[test]
fn a_link_or_fifo_in_place_of_a_backups_file_is_refused() {
    let places = ["data", "metadata/arc.db", "inventory.jsonl", "data/iot"];
    for (place, fifo) in places.into_iter().flat_map(|p| [(p, false), (p, true)]) {
        let instance = Instance::new();
        let id = instance.backup();
        change_live(&instance);
        let folder = instance.backup_folder(&id);
        let place = match place {
            "data" => data_file(&folder),
            place => place.to_owned(),
        };
        let outside = instance.path("outside");
        std::fs::rename(folder.join(&place), &outside).unwrap();
        if fifo {
            make_fifo(&folder.join(&place));
        } else {
            symlink(&outside, folder.join(&place)).unwrap();
        }
        let snapshot = || (tree(&outside), std::fs::read(&outside).ok());
        let before = snapshot();
        let case = format!("{place}, fifo: {fifo}");
        let (code, operation) = timely_json(&instance, &["verify", &id]);
        assert_eq!(code, Some(1), "{case}: {operation}");
        assert!(operation.to_string().contains(&place), "{case}");
        refused(&instance, &id, &place, &case);
        assert!(snapshot() == before, "{case}");
    }
}

/// Lost otherwise: whatever lies behind a link in the live storage.
#[test]
fn a_restore_writes_through_no_linked_folder() {
    for linked in ["iot", "iot/temperature/2026/11/20"] {
        let instance = Instance::new();
        let id = instance.backup();
        let place = instance.path("data/arc").join(linked);
        let outside = instance.path("outside");
        std::fs::rename(&place, &outside).unwrap();
        let gone = outside.join(&files(&outside)[0]);
        std::fs::remove_file(gone).unwrap();
        symlink(&outside, &place).unwrap();
        let before = tree(&outside);
        refused(&instance, &id, linked, linked);
        assert!(tree(&outside) == before && place.is_symlink());
    }
}

/// Lost otherwise: two operations that take each other's files for leavings.
#[test]
fn a_second_command_is_busy_within_a_second_until_the_holder_is_dead() {
    let instance = Instance::new();
    let id = instance.backup();
    instance.configure("concurrency = 1");
    let big = ["a", "b"].map(|n| instance.path(&format!("data/arc/iot/{n}.parquet")));
    for path in &big {
        std::fs::File::create(path)
            .unwrap()
            .set_len(600 << 20)
            .unwrap();
    }
    let mut command = instance.command(&["backup"]);
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut holder = quiet.spawn().unwrap();
    let lock = instance.path("data/backups/.arc-backup/lock");
    let pid = holder.id().to_string();
    while !std::fs::read_to_string(&lock).is_ok_and(|text| text.contains(&pid)) {
        assert!(holder.try_wait().unwrap().is_none(), "ended too early");
        std::thread::sleep(Duration::from_millis(1));
    }
    let restore = ["restore", &*id, "--yes"];
    let (delete, verify) = (["delete", &*id, "--yes"], ["verify", &*id]);
    for arguments in [&["backup"][..], &restore, &delete, &verify] {
        let began = Instant::now();
        let output = instance.run(arguments);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {said}");
        assert!(
            began.elapsed() < Duration::from_secs(1),
            "{arguments:?} took its time"
        );
        assert!(
            said.contains("backup") && said.contains(&pid),
            "{arguments:?}: {said}"
        );
    }
    assert!(instance.run(&["list"]).status.success());
    assert!(holder.try_wait().unwrap().is_none(), "the holder ended");
    holder.kill().unwrap();
    holder.wait().unwrap();
    for path in big {
        std::fs::remove_file(path).unwrap();
    }
    instance.ok(&["verify", &id]);
    instance.backup();
}

fn expect(instance: &Instance, arguments: &[&str], code: i32, named: &str) {
    let output = timely(instance, arguments);
    let (got, said) = (output.status.code(), text(&output));
    assert_eq!(got, Some(code), "{arguments:?}: {said}");
    assert!(
        said.contains(named) && !said.contains("panicked"),
        "{arguments:?}: {said}"
    );
}

/// Lost otherwise: an operator's time, or a script's ability to tell a mistake from a failure.
#[test]
fn every_command_tells_bad_input_from_failure() {
    let instance = Instance::new();
    let before = instance.live();
    let with_id = |id| {
        [
            "show ID",
            "verify ID",
            "restore ID --yes",
            "delete ID --yes",
        ]
        .map(|text| -> Vec<&str> {
            text.split(' ')
                .map(|word| if word == "ID" { id } else { word })
                .collect()
        })
    };
    let long = format!("backup-20260101-000000-{}", "0".repeat(5000));
    let wrong = "|..|/etc|backup-|backup-20260101-000000-0000000g|backup-20260101-000000-00000000/..|backup-20260101-000000-00000000\n";
    for id in wrong.split('|').chain([&*long]) {
        for arguments in with_id(id) {
            expect(&instance, &arguments, 2, "");
        }
    }
    for arguments in with_id(UNKNOWN) {
        expect(&instance, &arguments, 1, UNKNOWN);
    }
    expect(&instance, &["restore", ARC_OLD], 2, "--yes");
    expect(&instance, &["delete", ARC_OLD], 2, "--yes");
    for command in ["backup", "list"] {
        expect(&instance, &[command, "--target", "moon"], 2, "local");
    }
    let broken = Instance::with_config("[storage]\nbackend = \"local\"\nlocal_path = \n");
    let s3 = Instance::with_config("[storage]\nbackend = \"s3\"\ns3_bucket = \"b\"\n");
    let plain = ["backup", "list", "status", "history", "sweep"].map(|command| vec![command]);
    let serve = vec!["serve", "--listen", "127.0.0.1:0"];
    for arguments in with_id(UNKNOWN).into_iter().chain(plain).chain([serve]) {
        let absent = [&["--config", "absent.toml"], &arguments[..]].concat();
        expect(&instance, &absent, 2, "absent.toml");
        expect(&broken, &arguments, 2, "line 3");
        expect(&s3, &arguments, 2, "s3");
    }
    assert_eq!(files(&s3.path("")), ["arc.toml"], "a wrong start left this");
    assert!(instance.live() == before);
}

/// Lost otherwise: the knowledge of what is not in the backup, or the backup itself, waiting on a FIFO.
#[test]
fn what_no_backup_can_hold_is_named_and_never_waited_on() {
    let instance = Instance::new();
    let folder = instance.path("data/arc/iot/temperature");
    make_fifo(&folder.join("fifo.parquet"));
    let _socket = std::os::unix::net::UnixListener::bind(folder.join("s.parquet")).unwrap();
    symlink("nowhere", folder.join("dangling.parquet")).unwrap();
    let invalid = std::ffi::OsStr::from_bytes(b"invalid\xff.parquet");
    std::fs::write(folder.join(invalid), b"x").unwrap();
    std::fs::write(folder.join("back\\slash.parquet"), b"x").unwrap();
    let (code, operation) = timely_json(&instance, &["backup"]);
    assert_eq!(code, Some(0), "{operation}");
    let id = operation["backup_id"].as_str().unwrap();
    let manifest: Value = serde_json::from_str(&instance.ok(&["show", id])).unwrap();
    for document in [&operation, &manifest] {
        assert_eq!(document["special_files"], 3, "{document}");
        assert_eq!(document["unaddressable_files"], 2, "{document}");
        let special = document["special_sample"].to_string();
        for name in ["fifo.parquet", "s.parquet", "dangling.parquet"] {
            assert!(special.contains(name), "{special}");
        }
        let unaddressable = document["unaddressable_sample"].to_string();
        assert!(unaddressable.contains("slash") && unaddressable.contains("invalid"));
    }
    instance.ok(&["verify", id]);
}
