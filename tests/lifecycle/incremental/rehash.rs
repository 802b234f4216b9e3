//! Reading unchanged files again.

use std::collections::BTreeSet;

use super::{
    assert_holds_the_data, copied, id_of, incremental, long_ago, modified, rewrite, set_modified,
    warnings,
};
use crate::support::{Instance, files, text};

/// Guards against: bytes that changed without a trace, and are never noticed.
#[test]
fn a_silent_change_is_found_and_named_and_the_new_bytes_are_copied() {
    let instance = Instance::new();
    let root = instance.path("data/arc");
    let name = "iot/silent.parquet";
    std::fs::write(root.join(name), b"the first bytes").unwrap();
    set_modified(&root.join(name), long_ago());
    let full = instance.backup();
    rewrite(&root.join(name));
    set_modified(&root.join(name), long_ago());
    // Nothing but reading it shows that.
    let blind = incremental(&instance, &[]);
    assert_eq!(copied(&instance, id_of(&blind)), BTreeSet::new());
    let made = incremental(&instance, &["--rehash"]);
    let said = warnings(&made);
    assert!(
        said.contains(name) && said.contains("other bytes than in backup"),
        "{said}"
    );
    assert!(!said.contains("is damaged"), "{said}");
    assert_eq!(made["reused_files"], 105, "{made}");
    let expected = BTreeSet::from([name.to_owned()]);
    assert_eq!(copied(&instance, id_of(&made)), expected);
    assert_holds_the_data(&instance, id_of(&made), "a silent change");
    let (_, shown) = instance.json(&["show", id_of(&made)]);
    assert_eq!(shown["rehashed"]["files"], 106, "{shown}");
    // The others hold what was there: they are whole.
    for id in [&*full, id_of(&blind)] {
        instance.ok(&["verify", id]);
    }
}

/// Guards against: a damaged base whose files go from backup to backup.
#[test]
fn a_damaged_base_is_found_and_noted_and_its_file_is_copied_anew() {
    let instance = Instance::new();
    let full = instance.backup();
    let folder = instance.backup_folder(&full).join("data");
    let name = files(&folder).pop().unwrap();
    let was = modified(&folder.join(&name));
    rewrite(&folder.join(&name));
    set_modified(&folder.join(&name), was);
    let made = incremental(&instance, &["--rehash"]);
    let said = warnings(&made);
    assert!(
        said.contains(&format!("backup `{full}` is damaged")) && said.contains(&name),
        "{said}"
    );
    assert_eq!(copied(&instance, id_of(&made)), BTreeSet::from([name]));
    assert_holds_the_data(&instance, id_of(&made), "a damaged base");
    let (_, list) = instance.json(&["list"]);
    assert_eq!(list["backups"][1]["backup_id"], full.as_str(), "{list}");
    assert_eq!(list["backups"][1]["state"], "damaged", "{list}");
    let next = incremental(&instance, &[]);
    assert_eq!(next["base_backup_id"], id_of(&made), "{next}");
}

/// Guards against: a backup that lacks a file which its base has lost.
#[test]
fn a_file_that_the_base_has_lost_is_copied_and_the_base_is_noted_as_damaged() {
    for case in ["missing", "cut off", "a folder"] {
        let instance = Instance::new();
        let full = instance.backup();
        let folder = instance.backup_folder(&full).join("data");
        let name = files(&folder).pop().unwrap();
        std::fs::remove_file(folder.join(&name)).unwrap();
        match case {
            "cut off" => std::fs::write(folder.join(&name), b"cut off").unwrap(),
            "a folder" => std::fs::create_dir(folder.join(&name)).unwrap(),
            _ => {}
        }
        let made = incremental(&instance, &[]);
        let said = warnings(&made);
        if case != "a folder" {
            assert!(
                said.contains("is damaged") && said.contains(&name),
                "{said}"
            );
            let (_, list) = instance.json(&["list"]);
            assert_eq!(list["backups"][1]["state"], "damaged", "{case}: {list}");
        }
        let expected = BTreeSet::from([name]);
        assert_eq!(copied(&instance, id_of(&made)), expected, "{case}");
        assert_holds_the_data(&instance, id_of(&made), case);
    }
}

/// Guards against: files that no backup ever reads again, while a share is read each time.
#[test]
fn a_share_of_the_files_is_read_each_time_until_all_are() {
    let instance = Instance::new();
    instance.configure("[arc_backup]\nrehash_share = \"34%\"\n");
    instance.backup();
    let mut read = Vec::new();
    for _ in 0..3 {
        let made = incremental(&instance, &[]);
        assert_eq!(made["reused_files"], 105, "{made}");
        let (_, shown) = instance.json(&["show", id_of(&made)]);
        read.push(shown["rehashed"]["files"].as_u64().unwrap());
    }
    assert!(read.iter().all(|files| *files > 0), "{read:?}");
    // The third begins the next round, with what three of 34 % have more than 100.
    let all: u64 = read.iter().sum();
    assert!((105..115).contains(&all), "{read:?}");
    // Whatever is damaged in the base is found within a round.
    let (_, list) = instance.json(&["list"]);
    let newest = list["backups"][0]["backup_id"].as_str().unwrap().to_owned();
    let folder = instance.backup_folder(&newest).join("data");
    let name = files(&folder).pop().unwrap();
    let was = modified(&folder.join(&name));
    rewrite(&folder.join(&name));
    set_modified(&folder.join(&name), was);
    let said: String = (0..4)
        .map(|_| warnings(&incremental(&instance, &[])))
        .collect();
    assert!(
        said.contains("is damaged") && said.contains(&name),
        "{said}"
    );
}

/// Guards against: a write into a stored file that its time of modification shows, and that goes
/// into every later backup; and files that are copied for a time that means nothing.
#[test]
fn a_stored_file_that_was_written_since_is_read() {
    let instance = Instance::new();
    let full = instance.backup();
    let folder = instance.backup_folder(&full).join("data");
    let names = files(&folder);
    rewrite(&folder.join(&names[0]));
    set_modified(&folder.join(&names[1]), long_ago());
    let made = incremental(&instance, &[]);
    let said = warnings(&made);
    assert!(
        said.contains(&format!("backup `{full}` is damaged")) && said.contains(&names[0]),
        "{said}"
    );
    assert!(!said.contains(&names[1]), "{said}");
    let expected = BTreeSet::from([names[0].clone()]);
    assert_eq!(copied(&instance, id_of(&made)), expected);
    assert_holds_the_data(&instance, id_of(&made), "written since");
    let list = text(&instance.run(&["list"]));
    assert!(
        list.contains("found damaged files when it reused them"),
        "{list}"
    );
}

/// Guards against: a warning for each file of a folder that the base lacks, and other warnings that
/// are lost among them.
#[test]
fn a_base_without_its_files_is_one_warning() {
    let instance = Instance::new();
    let full = instance.backup();
    std::fs::remove_dir_all(instance.backup_folder(&full).join("data")).unwrap();
    let made = incremental(&instance, &[]);
    assert_eq!(warnings(&made).matches("is damaged").count(), 1, "{made}");
    assert!(warnings(&made).contains("105 of its files"), "{made}");
    assert_holds_the_data(&instance, id_of(&made), "no files");
}

/// Guards against: `--rehash` that does nothing, and does not say so.
#[test]
fn where_nothing_is_reused_a_rehash_says_that_nothing_was_compared() {
    let instance = Instance::new();
    for arguments in [
        &["backup", "--rehash"][..],
        &["backup", "--full", "--rehash"],
    ] {
        let (code, made) = instance.json(arguments);
        assert_eq!(code, 0, "{made}");
        assert!(warnings(&made).contains("nothing was compared"), "{made}");
    }
    assert!(!warnings(&incremental(&instance, &["--rehash"])).contains("nothing was compared"));
}

/// Guards against: a closing line that calls links written bytes.
#[test]
fn the_closing_line_says_what_was_reused() {
    let instance = Instance::new();
    let full = instance.backup();
    let said = text(&instance.run(&["backup", "--incremental"]));
    assert!(said.contains("incremental backup backup-"), "{said}");
    assert!(
        said.contains(&format!("(105 reused from {full}, ")) && !said.contains("/s)"),
        "{said}"
    );
}
