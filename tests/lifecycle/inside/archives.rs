//! Archives: what is exported is imported, restored and extracted as it was.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use super::{fails, on_s3, small};
use crate::scene::{listed as ids, live, paths};
use crate::support::{Instance, UNKNOWN, files, text, tree};

/// Writes an archive of the backup, and returns its bytes.
fn exported(instance: &Instance, id: &str, name: &str) -> Vec<u8> {
    let path = instance.path(name);
    let (code, ended) = instance.json(&["export", id, "--to", path.to_str().unwrap()]);
    assert_eq!(
        (code, &ended["status"]),
        (0, &json!("completed")),
        "{ended}"
    );
    assert_eq!(ended["file"], path.to_str().unwrap(), "{ended}");
    std::fs::read(path).unwrap()
}

/// The same with another target beside the default one.
pub(super) fn with_far(instance: &Instance) {
    instance.configure("[backup.targets.second]\ntype = \"local\"\nlocal_path = \"./second\"");
}

/// What lies below the targets, but for the tool's own folder.
fn stored(instance: &Instance) -> Vec<String> {
    let all = paths(&instance.path("")).into_iter();
    all.filter(|path| path.starts_with("second/backup-"))
        .collect()
}

fn imported(instance: &Instance, file: &Path) -> Value {
    let (code, ended) = instance.json(&["import", file.to_str().unwrap(), "--target", "second"]);
    assert_eq!(
        (code, &ended["status"]),
        (0, &json!("completed")),
        "{ended}"
    );
    assert_eq!(
        (&ended["operation"], &ended["target"]),
        (&json!("import"), &json!("second"))
    );
    ended
}

/// Guards against: an archive that does not hold all, or another thing than the backup.
#[test]
fn what_is_exported_is_imported_and_restored_as_it_was() {
    let (instance, _server, _) = on_s3();
    with_far(&instance);
    super::set_back(&instance);
    instance.backup();
    let id = instance.ok(&["backup", "--incremental", "--label", "env=test"]);
    let (_, manifest) = instance.json(&["show", &id]);
    assert!(
        manifest["stored_in"].is_object(),
        "nothing was reused: {manifest}"
    );
    let before = live(&instance);
    let archive = exported(&instance, &id, "one.tar.zst");
    let output = instance.run(&["export", &id, "--to", "-"]);
    assert!(output.status.success(), "{}", text(&output));
    let unpacked = zstd::decode_all(&*output.stdout).unwrap();
    assert_eq!(unpacked.len(), zstd::decode_all(&*archive).unwrap().len());
    let left: Vec<_> = (files(&instance.path("")).into_iter())
        .filter(|file| file.contains("one.tar.zst") || file.ends_with(".tmp"))
        .collect();
    assert_eq!(left, ["one.tar.zst"]);

    let ended = imported(&instance, &instance.path("one.tar.zst"));
    assert_eq!(ended["processed_files"], ended["total_files"], "{ended}");
    let (_, there) = instance.json(&["show", &id, "--target", "second"]);
    assert!(there.get("stored_in").is_none(), "{there}");
    for field in [
        "created_at",
        "total_files",
        "total_size_bytes",
        "databases",
        "sections",
    ] {
        assert_eq!(there[field], manifest[field], "{field}");
    }
    let (_, shown) = instance.json(&["files", &id, "-r", "--target", "second"]);
    let (_, source) = instance.json(&["files", &id, "-r", "--target", "far"]);
    assert_eq!(shown, source);
    instance.ok(&["verify", &id, "--target", "second"]);
    crate::scene::change(&instance);
    instance.ok(&[
        "restore",
        &id,
        "--yes",
        "--target",
        "second",
        "--no-metadata",
    ]);
    assert_eq!(live(&instance).0, before.0);

    // Once more: it is there, and nothing changes.
    let before = tree(&instance.path("second").join(&id));
    let again = imported(&instance, &instance.path("one.tar.zst"));
    assert_eq!(again["unchanged"], true, "{again}");
    assert_eq!(tree(&instance.path("second").join(&id)), before);
}

/// Guards against: an archive that another program can't read, and secrets that others can.
#[test]
fn an_archive_is_a_tar_of_a_whole_backup() {
    use std::os::unix::fs::PermissionsExt;
    let instance = small();
    let id = instance.backup();
    exported(&instance, &id, "one.tar.zst");
    let path = instance.path("one.tar.zst");
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let plain = zstd::decode_all(&*std::fs::read(&path).unwrap()).unwrap();
    std::fs::write(instance.path("one.tar"), plain).unwrap();
    let folder = instance.path("unpacked");
    std::fs::create_dir(&folder).unwrap();
    let status = std::process::Command::new("tar")
        .arg("-xf")
        .arg(instance.path("one.tar"))
        .arg("-C")
        .arg(&folder)
        .status();
    assert!(status.unwrap().success());
    let bytes = |root: &Path| -> Vec<_> {
        let all = tree(root).into_iter();
        all.filter(|(path, _)| path.contains('/'))
            .map(|(path, (bytes, ..))| (path, bytes))
            .collect()
    };
    assert_eq!(
        bytes(&folder.join(&id)),
        bytes(&instance.backup_folder(&id))
    );
    // Unpacked into a target, it is a backup.
    std::fs::remove_dir_all(instance.backup_folder(&id)).unwrap();
    std::fs::rename(folder.join(&id), instance.backup_folder(&id)).unwrap();
    instance.ok(&["verify", &id]);
}

/// The archive with one change of its tar stream.
fn repacked(archive: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut plain = zstd::decode_all(archive).unwrap();
    change(&mut plain);
    zstd::encode_all(&*plain, 1).unwrap()
}

/// An archive of these files.
fn packed(files: &[(String, Vec<u8>)], more: Option<(&str, u8)>) -> Vec<u8> {
    let mut tar = Vec::new();
    let mut add = |name: &str, bytes: &[u8], kind: u8| {
        let mut header = vec![0_u8; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[100..107].copy_from_slice(b"0000600");
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[156] = kind;
        header[257..265].copy_from_slice(b"ustar  \0");
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar.extend(header);
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    };
    for (name, bytes) in files {
        if name.len() > 99 {
            add("././@LongLink", format!("{name}\0").as_bytes(), b'L');
        }
        add(&name[..name.len().min(99)], bytes, b'0');
    }
    if let Some((name, kind)) = more {
        add(name, b"", kind);
    }
    tar.resize(tar.len() + 1024, 0);
    zstd::encode_all(&*tar, 1).unwrap()
}

/// The files of a backup in the order of an archive.
fn parts(instance: &Instance, id: &str) -> Vec<(String, Vec<u8>)> {
    let folder = instance.backup_folder(id);
    let mut names = vec!["manifest.json".to_owned(), "inventory.jsonl.zst".to_owned()];
    let own = files(&folder).into_iter().filter(|name| name.contains('/'));
    names.extend(own);
    names
        .into_iter()
        .map(|name| {
            let bytes = std::fs::read(folder.join(&name)).unwrap();
            (format!("{id}/{name}"), bytes)
        })
        .collect()
}

/// Guards against: an import of half a backup, of other bytes, or of files that lie elsewhere.
#[test]
fn a_cut_or_changed_archive_is_refused_and_leaves_nothing() {
    let instance = small();
    with_far(&instance);
    let id = instance.backup();
    let archive = exported(&instance, &id, "one.tar.zst");
    let good = parts(&instance, &id);
    let file = instance.path("bad.tar.zst");
    let refused = |case: &str, bytes: &[u8], said: &str| {
        std::fs::write(&file, bytes).unwrap();
        let output = instance.run(&["import", file.to_str().unwrap(), "--target", "second"]);
        let text = text(&output);
        assert_eq!(output.status.code(), Some(1), "{case}: {text}");
        assert!(
            text.contains(said) && text.contains("bad.tar.zst"),
            "{case}: {text}"
        );
        assert_eq!(stored(&instance), Vec::<String>::new(), "{case}: {text}");
        assert_eq!(ids(&instance, case), [id.as_str()], "{case}");
        let swept = instance.ok(&["sweep"]);
        assert!(!swept.contains(&id), "{case}: {swept}");
    };
    for at in [0, 10, 700, archive.len() / 2, archive.len() - 1] {
        refused(
            &format!("cut at {at}"),
            &archive[..at],
            "nothing was imported",
        );
    }
    refused("cut", &archive[..archive.len() / 2], ": it is cut off;");
    let more = [&archive[..], b"more"].concat();
    refused("garbage behind it", &more, "behind its end");
    let twice = [&archive[..], &archive[..]].concat();
    refused("another behind it", &twice, "behind its end");
    let ended = repacked(&archive, |plain| plain.extend([1; 512]));
    refused("garbage in the stream", &ended, "behind its last file");
    refused("no archive", b"PAR1", "nothing was imported");
    // A fault of the disk says nothing of the archive.
    let folder = instance.path("a-folder");
    std::fs::create_dir(&folder).unwrap();
    let output = instance.run(&["import", folder.to_str().unwrap(), "--target", "second"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("a-folder")
            && said.contains("not a regular file")
            && !said.contains("whole archive"),
        "{said}"
    );
    let large = (good
        .iter()
        .position(|(name, _)| name.ends_with("large.parquet")))
    .unwrap();
    let last = good.len() - 1;
    for (case, at, said) in [
        ("a small file", 3, "does not have the SHA-256"),
        ("a large file", large, "does not have the SHA-256"),
        ("the last file", last, "does not have the SHA-256"),
        ("the manifest", 0, "manifest.json"),
        ("the inventory", 1, "inventory.jsonl.zst"),
    ] {
        let mut files = good.clone();
        let middle = files[at].1.len() / 2;
        files[at].1[middle] ^= 1;
        refused(case, &packed(&files, None), said);
    }
    let without = |at: usize| {
        let mut files = good.clone();
        files.remove(at);
        packed(&files, None)
    };
    refused("a file is missing", &without(3), "should be");
    refused("the last is missing", &without(last), "it lacks");
    refused("no inventory", &without(1), "does not follow the manifest");
    refused("no manifest", &without(0), "not with the manifest");
    let mut grown = good.clone();
    grown[3].1.push(b'x');
    refused(
        "a longer file",
        &packed(&grown, None),
        "bytes, and its inventory says",
    );
    for name in [
        "../outside",
        "/tmp/arc-backup-outside",
        &format!("{id}/../x"),
        "other/manifest.json",
    ] {
        let mut files = good.clone();
        files[3].0 = name.to_owned();
        refused(name, &packed(&files, None), "where `");
        files = good.clone();
        files.push((name.to_owned(), b"x".to_vec()));
        refused(name, &packed(&files, None), "is not in its inventory");
        files = good.clone();
        files[0].0 = name.to_owned();
        refused(name, &packed(&files, None), "not with the manifest");
    }
    for (name, kind) in [
        ("link", b'2'),
        ("hard", b'1'),
        ("folder", b'5'),
        ("pax", b'x'),
    ] {
        let bytes = packed(&good, Some((name, kind)));
        refused(name, &bytes, "is not a regular file");
    }
    let mut long = good.clone();
    long[3].0 = "x".repeat(5000);
    refused("a long name", &packed(&long, None), "too long");
    // As they were, they are taken.
    std::fs::write(&file, packed(&good, None)).unwrap();
    imported(&instance, &file);
    instance.ok(&["verify", &id, "--target", "second"]);
    assert!(!instance.path("outside").exists());
}

/// Guards against: another backup that is overwritten, or a wrong request that begins something.
#[test]
fn exports_and_imports_refuse_what_is_there_and_what_makes_no_sense() {
    let instance = small();
    with_far(&instance);
    let id = instance.backup();
    exported(&instance, &id, "one.tar.zst");
    let archive = instance.path("one.tar.zst");
    let archive = archive.to_str().unwrap();
    let export = |to: &str, code: i32, said: &str| {
        fails(&instance, &["export", &id, "--to", to], code, &[said]);
    };
    export(archive, 2, "is not overwritten");
    export("nowhere/x.tar.zst", 2, "is not a folder");
    fails(&instance, &["export", UNKNOWN, "--to", "x"], 1, &[UNKNOWN]);
    fails(
        &instance,
        &["--json", "export", &id, "--to", "-"],
        2,
        &["--json"],
    );
    fails(&instance, &["import", "nowhere"], 1, &["nowhere"]);
    fails(
        &instance,
        &["import", archive, "--target", "moon"],
        2,
        &["moon"],
    );
    // A backup of this id with other files.
    instance.ok(&["import", archive, "--target", "second"]);
    let other = instance.path("second").join(&id);
    let mut manifest: Value =
        serde_json::from_slice(&std::fs::read(other.join("manifest.json")).unwrap()).unwrap();
    manifest["created_at"] = json!("2026-01-01T00:00:00Z");
    std::fs::write(other.join("manifest.json"), manifest.to_string()).unwrap();
    fails(
        &instance,
        &["import", archive, "--target", "second"],
        1,
        &["of this id"],
    );
    // A damaged one is not exported, and leaves no file.
    let path = instance
        .backup_folder(&id)
        .join("data/metrics/large.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[350_000] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    fails(
        &instance,
        &["export", &id, "--to", "two.tar.zst", "--target", "local"],
        1,
        &["large.parquet"],
    );
    let left: Vec<_> = (files(&instance.path("")).into_iter())
        .filter(|file| file.contains("two.tar.zst") || file.ends_with(".tmp"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
    let (_, history) = instance.json(&["history", "--operation", "export"]);
    assert_eq!(history["count"], 2, "{history}");
}

/// Guards against: an import that was killed and can't be made again.
#[test]
fn an_import_that_was_killed_is_made_again() {
    let instance = small();
    with_far(&instance);
    let id = instance.backup();
    exported(&instance, &id, "one.tar.zst");
    // What a kill leaves: some files, and a journal.
    let folder = instance.path("second").join(&id).join("data/iot");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("left.parquet"), b"x").unwrap();
    let journal = instance.path("second/.arc-backup/journal");
    std::fs::create_dir_all(&journal).unwrap();
    let text = json!({
        "operation": "import", "backup_id": id, "operation_id": "20260101-000000-00000000",
        "pid": 1, "host": "other", "started_at": "2026-01-01T00:00:00Z",
    });
    let mut file = std::fs::File::create(journal.join(format!("{id}.json"))).unwrap();
    file.write_all(text.to_string().as_bytes()).unwrap();
    assert!(!instance.ok(&["list", "--target", "second"]).contains(&id));
    imported(&instance, &instance.path("one.tar.zst"));
    instance.ok(&["verify", &id, "--target", "second"]);
    assert!(!folder.join("left.parquet").exists());
    assert_eq!(files(&journal), Vec::<String>::new());
}

/// Guards against: files that are not those of the backup, or land outside of the folder.
#[test]
fn the_chosen_files_are_extracted_and_no_other() {
    let instance = small();
    let id = instance.backup();
    let of_backup = |part: &str| -> Vec<(String, Vec<u8>)> {
        let all = tree(&instance.backup_folder(&id)).into_iter();
        all.map(|(path, (bytes, ..))| (path, bytes))
            .filter(|(path, _)| path.contains('/') && path.contains(part))
            .collect()
    };
    let extract = |to: &str, more: &[&str]| -> Vec<(String, Vec<u8>)> {
        instance.ok(&[&["extract", &id, "--to", to], more].concat());
        let all = tree(&instance.path(to)).into_iter();
        all.map(|(path, (bytes, ..))| (path, bytes)).collect()
    };
    assert_eq!(extract("all", &[]), of_backup(""));
    assert_eq!(
        extract("iot", &["--include", "iot.temperature"]),
        of_backup("data/iot/temperature/")
    );
    let one = ["--include", "metrics/large.parquet"];
    assert_eq!(extract("deep/one", &one), of_backup("large.parquet"));
    let (_, live) = (instance.path("all/data"), instance.live());
    let times: Vec<_> = live.values().map(|(_, _, time)| *time).collect();
    let extracted: Vec<_> = tree(&instance.path("all/data"))
        .into_values()
        .map(|one| one.2)
        .collect();
    assert_eq!(extracted, times);
    for (arguments, code, said) in [
        (&["--to", "all"][..], 2, "is not empty"),
        (&["--to", "arc.toml"], 2, "is not a folder"),
        (
            &["--to", "data/arc/new"],
            2,
            "where the data or backups are",
        ),
        (
            &["--to", "data/backups/new"],
            2,
            "where the data or backups are",
        ),
        (&["--to", "none", "--include", "nothing"], 2, "no database"),
        (&["--to", "none", "--include", "iot.["], 2, "glob"),
        (
            &[
                "--to",
                "none",
                "--from",
                "2026-01-02",
                "--until",
                "2026-01-01",
            ],
            2,
            "from, until",
        ),
    ] {
        fails(
            &instance,
            &[&["extract", &id], arguments].concat(),
            code,
            &[said],
        );
    }
    assert!(!instance.path("none").exists() && !instance.path("data/arc/new").exists());
    // A damaged file is named, and the others are there.
    let path = instance
        .backup_folder(&id)
        .join("data/iot/temperature/a.parquet");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"b").unwrap();
    let damaged = ["extract", &id, "--to", "some"];
    fails(&instance, &damaged, 1, &["data/iot/temperature/a.parquet"]);
    let expected = files(&instance.path("all"));
    let written = files(&instance.path("some"));
    assert_eq!(written.len(), expected.len() - 1, "{written:?}");
    assert!(
        !written.iter().any(|file| file.contains("a.parquet")),
        "{written:?}"
    );
}
