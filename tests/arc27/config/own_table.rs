//! `[arc_backup]`, the name `local`, and Arc's own backups switched off.

use crate::support::{Instance, text, timely};

/// Guards against: an operator who switches Arc's own backups off in favour of these, and gets
/// neither.
#[test]
fn arcs_own_backups_may_be_off_and_ours_on() {
    let instance = Instance::new();
    let path = instance.path("arc.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let off = config.replace("[backup]\nenabled = true\n", "[backup]\nenabled = false\n");
    assert_ne!(off, config, "the fixture is another one");
    std::fs::write(&path, &off).unwrap();
    let refused = timely(&instance, &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    let said = text(&refused);
    assert!(
        said.contains("`backup.enabled`") && said.contains("`arc_backup.enabled`"),
        "{said}"
    );
    instance.configure("[arc_backup]\nenabled = true\n");
    let service = instance.serve();
    assert_eq!(service.get("/api/v1/backup").status, 200);
    drop(service);
    std::fs::write(&path, config).unwrap();
    instance.configure("[arc_backup]\nenabled = false\n");
    let refused = timely(&instance, &["serve", "--listen", "127.0.0.1:0"]);
    assert!(text(&refused).contains("`arc_backup.enabled`"));
}

/// Guards against: two targets in one folder, backups that are no longer listed, and a state folder
/// that moves away from its history.
#[test]
fn a_table_of_the_name_local_is_that_target() {
    let instance = Instance::new();
    let before = instance.backup();
    instance.configure(
        "default_target = \"local\"\n[backup.targets.local]\ntype = \"local\"\nlocal_path = \"./data/backups\"\n",
    );
    let after = instance.backup();
    let (code, list) = instance.json(&["list", "--target", "local"]);
    assert_eq!(code, 0, "{list}");
    for id in [&before, &after] {
        let count = list["backups"].as_array().unwrap().iter();
        let count = count.filter(|row| row["backup_id"] == **id).count();
        assert_eq!(count, 1, "{list}");
        assert!(instance.backup_folder(id).is_dir());
    }
    let (_, history) = instance.json(&["history"]);
    assert_eq!(
        history["operations"].as_array().unwrap().len(),
        2,
        "{history}"
    );
    let output = instance.run(&["restore", &before, "--yes"]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(!text(&output).contains("27.01"), "{}", text(&output));
}

/// Guards against: a key of ours that is ignored where Arc does not see it.
#[test]
fn our_keys_may_stand_where_arc_does_not_read_them() {
    let instance = Instance::new();
    instance.configure(
        "history_operations = 5\n[arc_backup]\nhistory_operations = 1\ndefault_target = \"own\"\n\
         [arc_backup.targets.own]\ntype = \"local\"\nlocal_path = \"./data/own\"\n",
    );
    let output = instance.run(&["backup"]);
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    assert!(
        said.contains("`arc_backup.history_operations` and `backup.history_operations`"),
        "{said}"
    );
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(instance.path("data/own").join(id.trim()).is_dir());
    // A variable wins over the file, and has one name for both tables.
    let mut elsewhere = instance.command(&["backup"]);
    elsewhere.env("ARC_BACKUP_TARGETS_OWN_LOCAL_PATH", "./data/other");
    let output = elsewhere.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let id = String::from_utf8(output.stdout).unwrap();
    assert!(instance.path("data/other").join(id.trim()).is_dir());
}
