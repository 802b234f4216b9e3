//! Restores that must be refused, of another instance or to another place, and the preview of a
//! restore.

use super::*;

/// Guards against replacing a machine's data with the backup of another one that has the same
/// target.
pub(super) fn a_backup_of_another_instance_is_not_restored_over_files_unasked() {
    let (production, other) = (small(), small());
    let target = production.path("shared").display().to_string();
    for instance in [&production, &other] {
        instance.configure(&format!(
            "default_target = \"shared\"\n[backup.targets.shared]\ntype = \"local\"\nlocal_path = \"{target}\""
        ));
    }
    for name in [LARGE, "iot/temperature/a.parquet"] {
        std::fs::write(other.path("data/arc").join(name), b"of the other").unwrap();
    }
    let id = production.backup();
    let own = other.backup();
    change(&other);
    let source = production.path("data/arc").display().to_string();
    let here = other.path("data/arc").display().to_string();
    let parts = [
        "is of another instance",
        &source,
        &here,
        "ago",
        "auth.db_path",
        "--into-other-instance",
    ];
    refused(&other, &["restore", &id, "--yes"], &parts);
    refused(&other, &["--json", "restore", &id, "--yes"], &parts);
    // A partial restore is refused, too; a restore of its own backup is not.
    refused(&other, &["restore", &id, "--yes", "--no-data"], &parts[..1]);
    refused(
        &other,
        &["restore", &id, "--yes", "--no-metadata"],
        &parts[..1],
    );
    let service = other.serve();
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &json!({})));
    assert!(
        answer.status == 400 && parts.iter().all(|part| answer.text.contains(part)),
        "{answer:?}"
    );
    let (_, list) = other.json(&["list"]);
    let rows = list["backups"].as_array().unwrap();
    let row = |id: &str| rows.iter().find(|row| row["backup_id"] == id).unwrap();
    assert_ne!(row(&id)["instance"], row(&own)["instance"], "{list}");
    assert_eq!(row(&id)["source_location"], format!("local {source}"));
    // On request, over REST. An interrupted one is completed without the option.
    let fields = json!({"into_other_instance": true});
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &fields));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(
        answer.json()["restore"]["other_instance"],
        true,
        "{answer:?}"
    );
    assert_eq!(service.wait()["status"], "completed");
    drop(service);
    assert!(live(&other) == live(&production));
    other.ok(&["restore", &own, "--yes"]);
    let arguments = ["restore", &id, "--yes", "--into-other-instance"];
    let (killed, _) = faulty(&other, "die:after:2", "storage.promote", &arguments);
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    other.ok(&["restore", &id, "--yes"]);
    assert!(live(&other) == live(&production));
    // No files exist that could be lost.
    std::fs::remove_dir_all(other.path("data")).unwrap();
    other.ok(&["restore", &id, "--yes"]);
    assert!(live(&other) == live(&production));
}

/// Guards against a test machine with production's `arc.toml` that replaces production's data on
/// the same storage.
pub(super) fn a_copied_arc_toml_does_not_make_two_instances_the_same() {
    let instance = small();
    let id = instance.backup();
    let name = instance.path("data/backups/.arc-backup/instance-id");
    let own = std::fs::read_to_string(&name).unwrap();
    // One instance that has made backups, and one that has made none.
    std::fs::write(&name, "0123456789abcdef0123456789abcdef").unwrap();
    let arguments = ["restore", &id, "--yes"];
    refused(
        &instance,
        &arguments,
        &["is of another instance", &own, "0123456789abcdef"],
    );
    std::fs::remove_file(&name).unwrap();
    refused(
        &instance,
        &arguments,
        &["is of another instance", "no instance name yet"],
    );
    // Configuration does not count as data.
    let output = instance.run(&[
        "restore",
        &id,
        "--yes",
        "--with-config",
        "--no-data",
        "--no-metadata",
    ]);
    assert!(output.status.success(), "{}", text(&output));
    std::fs::write(&name, own).unwrap();
    instance.ok(&arguments);
}

/// Guards against a restore that nobody would have confirmed after seeing its plan.
pub(super) fn a_restore_shows_its_plan_first() {
    let instance = small();
    let id = instance.backup();
    let before = live(&instance);
    change(&instance);
    let output = instance.run(&["restore", &id, "--yes"]);
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.status.success(), "{said}");
    let state = instance.path("data/arc").display().to_string();
    for part in [
        " ago (",
        &state,
        "iot, metrics",
        "SQLite        arc.db",
        "3 written (2 in place of live files, set aside)",
        "restart Arc",
    ] {
        assert!(said.contains(part), "no {part:?} in {said}");
    }
    let shown = said.lines().take_while(|line| !line.contains("completed"));
    for line in shown.filter(|line| !line.contains(&state)) {
        assert!(line.chars().count() <= 100, "{line}");
    }
    assert!(live(&instance) == before);
    // The same figures in one document, and over REST before and after.
    change(&instance);
    let (code, done) = instance.json(&["restore", &id, "--yes"]);
    assert_eq!(code, 0, "{done}");
    let plan = json!({
        "unchanged_files": done["unchanged_files"],
        "written_files": 3,
        "replaced_files": 2,
        "extra_files": 1,
        "extra_files_policy": "set_aside",
        "set_aside_files": 3,
        "removed_files": 0,
        "bytes_to_write": done["plan"]["bytes_to_write"],
        "bytes_to_read": done["plan"]["bytes_to_write"],
        "databases": done["plan"]["databases"],
        "room": done["plan"]["room"],
    });
    assert_eq!(done["plan"], plan, "{done}");
    change(&instance);
    let service = instance.serve();
    let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &json!({})));
    let preview = &answer.json()["restore"];
    assert_eq!(preview["plan"], plan, "{answer:?}");
    assert_eq!(preview["other_instance"], false, "{answer:?}");
    let databases = preview["destination"]["databases"].as_array().unwrap();
    assert_eq!(
        databases[0],
        instance.path("data/arc.db").display().to_string()
    );
    let ended = service.wait();
    assert_eq!(ended["plan"], plan, "{ended}");
    assert_eq!(
        preview["source"]["instance"],
        preview["destination"]["storage"]["instance"]
    );
}

/// Guards against a new host where data goes to the defaults of a small `arc.toml` and the restored
/// Arc looks elsewhere.
pub(super) fn an_arc_toml_that_names_other_places_is_restored_by_itself() {
    let production = small();
    let config = production.path("arc.toml");
    let text_of = |path: &std::path::Path| std::fs::read_to_string(path).unwrap();
    let elsewhere = (text_of(&config).replace("./data/arc\"", "./store/arc\""))
        .replace("./data/arc.db\"", "./store/arc.db\"");
    std::fs::write(&config, elsewhere).unwrap();
    std::fs::create_dir(production.path("store")).unwrap();
    for name in ["arc", "arc.db"] {
        let from = production.path(&format!("data/{name}"));
        std::fs::rename(from, production.path(&format!("store/{name}"))).unwrap();
    }
    let id = production.backup();
    let target = production.path("data/backups").display().to_string();
    let small_one = format!(
        "[auth]\nenabled = false\n[backup]\ndefault_target = \"old\"\n\
         [backup.targets.old]\ntype = \"local\"\nlocal_path = \"{target}\"\n"
    );
    let host = Instance::with_config(&small_one);
    let (data, database) = (host.path("data/arc"), host.path("data/arc.db"));
    let untouched = |case: &str| {
        assert!(!data.exists() && !database.exists(), "{case}");
        assert_eq!(text_of(&host.path("arc.toml")), small_one, "{case}");
    };
    let place = |rest: &str| host.path(rest).display().to_string();
    let parts = [
        "`storage.local_path` is",
        &place("store/arc"),
        &place("data/arc"),
        "`auth.db_path` is",
        &place("store/arc.db"),
        "(Arc's default)",
        "--with-config --no-data --no-metadata",
    ];
    let refused = |arguments: &[&str], parts: &[&str], missing: &[&str]| {
        let output = host.run(arguments);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        assert!(!missing.iter().any(|part| said.contains(part)), "{said}");
        untouched(&said);
    };
    let all = ["restore", &id, "--with-config", "--yes"];
    refused(&all, &parts, &[]);
    let some = [&all[..], &["--no-data"]].concat();
    refused(&some, &["`auth.db_path` is"], &["storage.local_path"]);
    let some = [&all[..], &["--no-metadata"]].concat();
    refused(&some, &["`storage.local_path` is"], &["auth.db_path"]);
    let service = host.serve();
    let body = restore_body(&id, &json!({"restore_config": true}));
    let answer = service.post("/api/v1/backup/restore", &body);
    assert!(
        answer.status == 400 && parts.iter().all(|part| answer.text.contains(part)),
        "{answer:?}"
    );
    drop(service);
    untouched("REST");
    // Variables override both files, so both name the same places.
    let mut named = host.command(&all);
    named.env("ARC_STORAGE_LOCAL_PATH", place("mine/arc"));
    named.env("ARC_AUTH_DB_PATH", place("mine/arc.db"));
    let output = named.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(host.path("mine/arc.db").exists() && !data.exists());
    // In two steps, with the small one again.
    std::fs::write(host.path("arc.toml"), &small_one).unwrap();
    host.ok(&[&all[..], &["--no-data", "--no-metadata"]].concat());
    assert_eq!(text_of(&host.path("arc.toml")), text_of(&config));
    host.configure(&small_one[small_one.find("[backup.targets").unwrap()..]);
    // An interrupted restore is completed without options, but only the sections that it had begun.
    let part = ["restore", &id, "--yes", "--target", "old", "--no-data"];
    let (killed, _) = faulty(&host, "die:before:1", "source-metadata.apply", &part);
    assert_eq!(killed.status.code(), None, "{}", text(&killed));
    std::fs::create_dir_all(host.path("store/arc/iot")).unwrap();
    std::fs::write(host.path("store/arc/iot/of_another.parquet"), "x").unwrap();
    let more = ["restore", &id, "--yes", "--target", "old"];
    let output = host.run(&more);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("--into-other-instance"), "{said}");
    std::fs::remove_dir_all(host.path("store/arc")).unwrap();
    host.ok(&["restore", &id, "--yes", "--target", "old"]);
    let tree = |instance: &Instance| support::tree(&instance.path("store/arc"));
    assert!(tree(&host) == tree(&production));
    assert!(!data.exists() && host.path("store/arc.db").exists());
    // A configuration with the same places needs one step.
    let again = ["--target", "old", "--into-other-instance"];
    host.ok(&[&all[..], &again].concat());
}
