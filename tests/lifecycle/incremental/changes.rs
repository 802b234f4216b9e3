//! What changed since the base, and how.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::{
    assert_holds_the_data, copied, id_of, incremental, long_ago, modified, rewrite, set_modified,
};
use crate::support::{Instance, copy_tree, enlarge, files, xorshift};

/// Guards against: a changed file that is not copied, or an unchanged one that is.
#[test]
fn exactly_the_changed_files_are_copied() {
    let instance = Instance::new();
    enlarge(&instance);
    let root = instance.path("data/arc");
    let is_data = |path: &String| path.ends_with(".parquet") && !path.starts_with('_');
    let all: Vec<_> = files(&root).into_iter().filter(is_data).collect();
    for path in &all {
        set_modified(&root.join(path), long_ago());
    }
    instance.backup();
    let mut random = xorshift(20_261_129);
    let mut changed = BTreeSet::new();
    for number in 0..all.len() / 100 {
        let at = usize::try_from(random(all.len() as u64)).unwrap();
        let path = root.join(&all[at]);
        match number % 3 {
            0 => rewrite(&path),
            1 => renamed_over(&path),
            _ => std::fs::write(&path, b"longer or shorter").unwrap(),
        }
        changed.insert(all[at].clone());
    }
    std::fs::write(root.join("iot/added.parquet"), b"added").unwrap();
    changed.insert("iot/added.parquet".to_owned());
    let gone = all.iter().find(|path| !changed.contains(*path)).unwrap();
    std::fs::remove_file(root.join(gone)).unwrap();
    let made = incremental(&instance, &[]);
    let id = id_of(&made);
    assert_eq!(copied(&instance, id), changed);
    assert_eq!(made["reused_files"], files(&root).len() - changed.len());
    assert_holds_the_data(&instance, id, "one in a hundred changed");
}

/// Puts another file in the place of this one, with other bytes of the same length and the same
/// time of modification.
fn renamed_over(path: &Path) {
    let (other, was) = (path.with_extension("other"), modified(path));
    std::fs::copy(path, &other).unwrap();
    rewrite(&other);
    set_modified(&other, was);
    std::fs::rename(&other, path).unwrap();
}

/// Guards against: bytes of the base in the place of those of the data. Each case changes a file so
/// that its size stays, and differs from the old one by one fact alone.
#[test]
fn a_file_of_the_same_size_is_copied_where_anything_speaks_against_it() {
    // How the file is before the base, and what becomes of it then.
    type Change = fn(&Path);
    let cases: [(&str, Change, Change); 7] = [
        (
            "renamed over, with its time",
            |path| set_modified(path, long_ago()),
            renamed_over,
        ),
        (
            "rewritten in place",
            |path| set_modified(path, long_ago()),
            |path| {
                rewrite(path);
                set_modified(path, long_ago() + Duration::from_nanos(1));
            },
        ),
        (
            "rewritten in place, and its time set back",
            |path| set_modified(path, long_ago()),
            |path| {
                rewrite(path);
                set_modified(path, long_ago() - Duration::from_secs(3600));
            },
        ),
        (
            "rewritten within the tick of the clock in which the base was made",
            |path| set_modified(path, SystemTime::now()),
            |path| {
                let was = modified(path);
                rewrite(path);
                set_modified(path, was);
            },
        ),
        (
            "rewritten since the base was listed, and while it was made",
            |path| set_modified(path, SystemTime::now() + Duration::from_millis(10)),
            |path| {
                let was = modified(path);
                rewrite(path);
                set_modified(path, was);
            },
        ),
        (
            "of the future",
            |path| set_modified(path, SystemTime::now() + Duration::from_secs(3600)),
            |path| {
                let was = modified(path);
                rewrite(path);
                set_modified(path, was);
            },
        ),
        (
            "removed, and written again with its time",
            |path| set_modified(path, long_ago()),
            |path| {
                let bytes: Vec<u8> = (std::fs::read(path).unwrap().iter())
                    .map(|byte| byte ^ 1)
                    .collect();
                // Its number must not be given out again.
                let held = std::fs::File::open(path).unwrap();
                std::fs::remove_file(path).unwrap();
                std::fs::write(path, bytes).unwrap();
                set_modified(path, long_ago());
                drop(held);
            },
        ),
    ];
    for (case, before, change) in cases {
        let instance = Instance::new();
        let path = a_file(&instance);
        before(&path);
        let size = path.metadata().unwrap().len();
        instance.backup();
        change(&path);
        assert_eq!(path.metadata().unwrap().len(), size, "{case}");
        let made = incremental(&instance, &[]);
        let name = path.strip_prefix(instance.path("data/arc")).unwrap();
        let name = name.to_string_lossy().into_owned();
        assert_eq!(
            copied(&instance, id_of(&made)),
            BTreeSet::from([name]),
            "{case}"
        );
        assert_holds_the_data(&instance, id_of(&made), case);
    }
}

fn a_file(instance: &Instance) -> PathBuf {
    let root = instance.path("data/arc");
    let all = files(&root);
    let data = all.iter().filter(|path| path.starts_with("iot/"));
    root.join(data.max().unwrap())
}

/// Guards against: a file system that was restored, with all its times, and passes for the old one.
#[test]
fn after_a_restore_of_the_file_system_every_file_is_copied() {
    let instance = Instance::new();
    instance.backup();
    let root = instance.path("data/arc");
    let restored = instance.path("data/restored");
    copy_tree(&root, &restored);
    let all = files(&root);
    std::fs::rename(&root, instance.path("data/old")).unwrap();
    std::fs::rename(&restored, &root).unwrap();
    let made = incremental(&instance, &[]);
    let all: BTreeSet<_> = all.into_iter().collect();
    assert_eq!(copied(&instance, id_of(&made)), all);
    assert_eq!(made["reused_files"].as_u64().unwrap_or(0), 0, "{made}");
    assert_holds_the_data(&instance, id_of(&made), "restored");
}

/// Guards against: a backup that fails, or has no bytes, where a file can't have another name.
#[test]
fn a_file_with_too_many_names_is_copied() {
    let instance = Instance::new();
    let id = instance.backup();
    let folder = instance.backup_folder(&id).join("data");
    let name = files(&folder).pop().unwrap();
    let names = instance.path("names");
    std::fs::create_dir(&names).unwrap();
    let is_full = (0..66_000).any(|number| {
        let linked = std::fs::hard_link(folder.join(&name), names.join(number.to_string()));
        linked.is_err()
    });
    if !is_full {
        println!("skipped: this file system has no limit of names below 66,000");
        return;
    }
    let made = incremental(&instance, &[]);
    assert_eq!(made["reused_files"], 104, "{made}");
    assert_eq!(copied(&instance, id_of(&made)), BTreeSet::from([name]));
    assert_holds_the_data(&instance, id_of(&made), "too many names");
    let (_, list) = instance.json(&["list"]);
    assert_ne!(list["backups"][1]["state"], "damaged", "{list}");
}

/// Guards against: links of the snapshot for files that are not copied, and a change of the mode
/// alone that copies a file.
#[test]
fn a_change_of_the_mode_is_recorded_and_copies_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let instance = Instance::new();
    instance.backup();
    let path = a_file(&instance);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let made = incremental(&instance, &[]);
    assert_eq!(copied(&instance, id_of(&made)), BTreeSet::new());
    std::fs::remove_file(&path).unwrap();
    instance.ok(&["restore", id_of(&made), "--yes"]);
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o640);
}
