//! Damaged and hostile backups: each is named and refused, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};

use arc_backup::testing::{Manifest, seal};
use serde_json::Value;
use support::{
    ARC_OLD, Instance, change_live, data_file, has_problem, make_fifo, refused, text, timely,
    timely_json, tree,
};

/// Guards against overwriting live data with a damaged backup, and against damage that nobody
/// notices.
#[test]
fn a_flipped_truncated_missing_or_additional_file_is_named_and_nothing_live_changes() {
    for (kind, changed) in ["checksum", "size", "missing", "unexpected"]
        .into_iter()
        .flat_map(|kind| [(kind, false), (kind, true)])
    {
        let instance = Instance::new();
        let id = instance.backup();
        let folder = instance.backup_folder(&id);
        let mut named = data_file(&folder);
        let victim = folder.join(&named);
        let mut bytes = std::fs::read(&victim).unwrap();
        match kind {
            "checksum" => {
                bytes[100] ^= 1;
                std::fs::write(&victim, bytes).unwrap();
            }
            "size" => std::fs::write(&victim, &bytes[..bytes.len() - 1]).unwrap(),
            "missing" => std::fs::remove_file(&victim).unwrap(),
            _ => {
                named = "data/iot/added.parquet".to_owned();
                std::fs::write(folder.join(&named), b"added").unwrap();
            }
        }
        let (code, operation) = instance.json(&["verify", &id]);
        assert_eq!(code, 1, "{kind}");
        assert!(has_problem(&operation, &named, kind), "{operation}");
        assert_eq!(operation["problem_count"], 1, "{operation}");
        // Also where every live file equals the backup already: a restore checks the whole backup.
        if changed {
            change_live(&instance);
            std::fs::remove_dir_all(instance.path("data/arc/iot/temperature/2026/11/20")).unwrap();
        }
        refused(
            &instance,
            &id,
            &named,
            &format!("{kind}, live changed: {changed}"),
        );
        assert!(support::kept(&instance.path("data/arc.db")).is_empty());
    }
}

/// Guards against a damaged backup that can't be deleted, and a deletion that follows a link.
#[test]
fn deleting_removes_a_damaged_backup_and_never_the_target_of_a_link() {
    let instance = Instance::new();
    let (flipped, link) = (instance.backup(), "backup-20260101-000000-00000002");
    let manifest = instance.backup_folder(&flipped).join("manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replacen("\"full", "\"Full", 1)).unwrap();
    let outside = instance.path("outside");
    support::copy_tree(&instance.backup_folder(ARC_OLD), &outside);
    let before = tree(&outside);
    symlink(&outside, instance.backup_folder(link)).unwrap();
    for id in [&*flipped, link] {
        instance.ok(&["delete", id, "--yes", "--even-last"]);
        assert!(instance.backup_folder(id).symlink_metadata().is_err());
    }
    assert!(tree(&outside) == before, "what the link led to has changed");
}

/// Guards against edits of the two files that all checks rely on.
#[test]
fn an_edited_inventory_or_manifest_is_named_and_nothing_is_restored_by_it() {
    let instance = Instance::new();
    let (inventory, manifest) = (instance.backup(), instance.backup());
    change_live(&instance);
    for (id, file, after) in [
        (&inventory, "inventory.jsonl.zst", "\"sha256\":\""),
        (&manifest, "manifest.json", "\"total_files\": "),
    ] {
        let folder = instance.backup_folder(id);
        let path = folder.join(file);
        let mut bytes = match file {
            "manifest.json" => std::fs::read(&path).unwrap(),
            _ => support::inventory_of(&folder).into_bytes(),
        };
        let start = String::from_utf8_lossy(&bytes).find(after).unwrap() + after.len();
        let at = start + bytes[start..].iter().position(u8::is_ascii_digit).unwrap();
        bytes[at] = if bytes[at] == b'3' { b'4' } else { b'3' };
        match file {
            "manifest.json" => std::fs::write(&path, bytes).unwrap(),
            _ => support::write_inventory(&folder, &String::from_utf8(bytes).unwrap()),
        }
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

/// Guards against removing a backup that somebody else is writing at this moment.
#[test]
fn a_folder_that_only_looks_like_a_backup_survives_backup_and_sweep() {
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

/// Rewrites the inventory, and seals a manifest that agrees with it.
fn forge(folder: &Path, change: impl Fn(&str) -> String) {
    let new = change(&support::inventory_of(folder));
    support::write_inventory(folder, &new);
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
    let data = inventory.find("\"path\":\"data/").unwrap();
    let at = data + inventory[data..].find("\"size\":").unwrap() + 7;
    let end = at + inventory[at..].find(',').unwrap();
    format!("{}{size}{}", &inventory[..at], &inventory[end..])
}

/// Guards against a forged inventory that points outside, or asks for too much memory or disk.
#[test]
fn a_forged_inventory_with_a_valid_seal_is_refused() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    let original = instance.path("original");
    support::copy_tree(&folder, &original);
    let first = data_file(&folder);
    change_live(&instance);
    let outside = || -> Vec<_> {
        let names = tree(&instance.path("")).into_keys();
        // When damage was found last is recorded in the target.
        names
            .filter(|name| !name.ends_with("/damage.json"))
            .collect()
    };
    let sizes = "18446744073709551616 18446744073709551615 -1 1e3 1125899906842624";
    let paths = "data/../../evil /etc/x data//x data/a\\\\b ../evil data/. evil data/a\\u0000b manifest.json";
    forge(&folder, str::to_owned);
    // Rewriting and sealing alone adds no fault.
    instance.ok(&["verify", &id]);
    let check = |case: &str, change: &dyn Fn(&str) -> String| {
        for file in ["inventory.jsonl.zst", "manifest.json"] {
            std::fs::copy(original.join(file), folder.join(file)).unwrap();
        }
        forge(&folder, change);
        let before = outside();
        let (code, operation) = timely_json(&instance, &["verify", &id]);
        assert_eq!(code, Some(1), "{case}: {operation}");
        // A possible size is found to be wrong when the file is read.
        let named = if case.len() == 16 {
            "were expected"
        } else {
            "inventory.jsonl"
        };
        refused(&instance, &id, named, case);
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

/// Guards against looking in the wrong folder for a file that another backup holds.
#[test]
fn a_file_that_another_backup_holds_is_found_verified_and_restored_there() {
    let instance = Instance::new();
    let (base, id) = (instance.backup(), instance.backup());
    let (there, here) = (instance.backup_folder(&base), instance.backup_folder(&id));
    let data = data_file(&here);
    let named = [&*data, "metadata/arc.db", "config/arc.toml"];
    let move_there = |inventory: &str| {
        named.iter().fold(inventory.to_owned(), |text, path| {
            let line = format!("{{\"path\":\"{path}\"");
            assert!(text.contains(&line), "{text}");
            text.replacen(
                &line,
                &format!("{{\"stored_in\":\"{base}\",{}", &line[1..]),
                1,
            )
        })
    };
    forge(&here, move_there);
    for path in named {
        std::fs::remove_file(here.join(path)).unwrap();
    }
    for mode in [&["verify", &*id][..], &["verify", &id, "--quick"]] {
        let (code, operation) = instance.json(mode);
        assert_eq!(code, 0, "{operation}");
    }
    let whole = instance.live();
    let live = instance.path("data/arc").join(&data["data/".len()..]);
    std::fs::remove_file(&live).unwrap();
    std::fs::remove_file(instance.path("data/arc.db")).unwrap();
    instance.ok(&["restore", &id, "--yes", "--with-config"]);
    assert!(instance.live() == whole, "not the files of before");
    assert!(support::database_rows(&instance.path("data/arc.db")).len() > 1);
    // Damage there counts as damage of this backup, under its own path.
    let kept = std::fs::read(there.join(&data)).unwrap();
    let mut flipped = kept.clone();
    flipped[100] ^= 1;
    std::fs::write(there.join(&data), flipped).unwrap();
    let (code, operation) = instance.json(&["verify", &id]);
    assert_eq!(code, 1, "{operation}");
    assert!(has_problem(&operation, &data, "checksum"), "{operation}");
    std::fs::remove_file(there.join(&data)).unwrap();
    let (code, operation) = instance.json(&["verify", &id, "--quick"]);
    assert_eq!(code, 1, "{operation}");
    assert!(has_problem(&operation, &data, "missing"), "{operation}");
    let output = instance.run(&["restore", &id, "--yes"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains(&data) && instance.live() == whole);
    // A file of this backup at the same path does not replace it.
    std::fs::write(here.join(&data), &kept).unwrap();
    let (_, operation) = instance.json(&["verify", &id, "--quick"]);
    for kind in ["missing", "unexpected"] {
        assert!(has_problem(&operation, &data, kind), "{operation}");
    }
}

/// Guards against a manifest of 300 MiB that fills the machine's memory.
#[test]
fn a_huge_manifest_is_refused_without_being_loaded() {
    let instance = Instance::new();
    let (good, huge) = (instance.backup(), instance.backup());
    let manifest = instance.backup_folder(&huge).join("manifest.json");
    let file = std::fs::File::options().write(true).open(manifest).unwrap();
    file.set_len(300 << 20).unwrap();
    // Enough address space for the program but not for 300 MiB, and one malloc arena: each reserves
    // 64 MiB.
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

/// Guards against a huge manifest that fills the memory, or hides the good backups from the list.
#[test]
fn a_huge_manifest_and_impossible_counts_are_damage_and_the_rest_is_listed() {
    let instance = Instance::new();
    let good = instance.backup();
    let huge = instance.backup();
    let file = std::fs::File::options()
        .write(true)
        .open(instance.backup_folder(&huge).join("manifest.json"))
        .unwrap();
    file.set_len(300 << 20).unwrap();
    let counts = "backup-20260101-000000-00000003";
    std::fs::create_dir(instance.backup_folder(counts)).unwrap();
    let text = format!(
        r#"{{"backup_id":"{counts}","created_at":"","total_files":18446744073709551616,"total_size_bytes":1}}"#
    );
    std::fs::write(instance.backup_folder(counts).join("manifest.json"), text).unwrap();
    let (_, list) = instance.json(&["list"]);
    assert_eq!(
        (
            list["count"].as_u64(),
            list["damaged"].as_array().unwrap().len()
        ),
        (Some(3), 2),
        "{list}"
    );
    assert_eq!(list["backups"][0]["backup_id"], good.as_str());
}

/// Guards against a restore that reads or writes files outside, and a verification that never ends.
#[test]
fn a_link_or_fifo_in_place_of_a_backups_file_is_refused() {
    let places = ["data", "metadata/arc.db", "inventory.jsonl.zst", "data/iot"];
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

/// Guards against counting a problem twice when there are more than the list shows.
#[test]
fn more_missing_files_than_are_listed_are_counted_once() {
    const FILES: usize = 10_050;
    let instance = Instance::new();
    let hour = instance.path("data/arc/many/files/2026/11/20/00");
    std::fs::create_dir_all(&hour).unwrap();
    for number in 0..FILES {
        std::fs::write(hour.join(format!("{number:05}.parquet")), b"PAR1").unwrap();
    }
    let id = instance.backup();
    std::fs::remove_dir_all(instance.backup_folder(&id).join("data/many")).unwrap();
    let (code, operation) = instance.json(&["verify", &id]);
    assert_eq!(code, 1);
    assert_eq!(operation["problem_count"], FILES);
    assert_eq!(operation["problems"].as_array().unwrap().len(), 10_000);
    let error = operation["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("(and {} more)", FILES - 1)),
        "{error}"
    );
}

/// Guards against entries that a verification does not see, since no section has their name.
#[test]
fn entries_with_unsupported_names_beside_the_sections_are_reported() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id);
    std::fs::write(folder.join("odd\\name"), b"x").unwrap();
    std::fs::create_dir(folder.join("bad\\dir")).unwrap();
    std::fs::write(folder.join("bad\\dir/f"), b"x").unwrap();
    let (code, operation) = instance.json(&["verify", &id]);
    assert_eq!(
        (code, &operation["problem_count"]),
        (1, &2.into()),
        "{operation}"
    );
    assert_eq!(operation["backup_state"], "damaged");
    for name in ["odd\\name", "bad\\dir"] {
        let problems = operation["problems"].to_string();
        assert!(problems.contains(&name.replace('\\', "\\\\")), "{problems}");
    }
    refused(&instance, &id, "", "odd names");
}
