//! Restores of databases under other names.

use std::collections::BTreeMap;

use super::*;

const RESTORE: &str = "/api/v1/backup/restore";

/// The data files below a prefix, by the rest of their keys.
fn under(place: &Place, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    (contents(&place.sink).into_iter())
        .filter_map(|(key, bytes)| Some((key.strip_prefix(prefix)?.to_owned(), bytes)))
        .collect()
}

/// Guards against: a database that comes back with other bytes, or beside which another changes.
pub(super) fn a_database_is_restored_under_another_name() {
    let server = s3_server();
    for kind in stores::KINDS {
        let case = format!("{kind:?}");
        let instance = small();
        let data = stores::storage(kind, &instance, &server, true);
        let far = Place::local(&instance, "data/far");
        configure(&instance, &data, &far);
        let anchor = "_schema/iot/temperature.parquet";
        put(&data.sink, anchor, b"anchor");
        let first = instance.ok(&["backup", "--target", "far"]);
        let original = under(&data, "iot/");
        assert!(original.len() > 2, "{case}");
        // References to another backup are followed.
        let id = instance.ok(&["backup", "--target", "far", "--incremental"]);
        assert_ne!(id, first);
        put(&data.sink, "iot/temperature/a.parquet", b"changed since");
        let before = contents(&data.sink);

        let arguments = [
            "restore",
            &*id,
            "--rename",
            "iot:iot_old",
            "--target",
            "far",
        ];
        let planned = instance.json(&[&arguments[..], &["--dry-run"]].concat());
        assert_eq!(planned.0, 0, "{case}: {}", planned.1);
        assert_eq!(planned.1["rename"]["iot"], "iot_old", "{case}");
        assert_eq!(contents(&data.sink), before, "{case}");
        // No question: nothing is overwritten.
        let (code, ended) = instance.json(&arguments);
        assert_eq!(code, 0, "{case}: {ended}");
        assert_eq!(ended["plan"], planned.1["plan"], "{case}");
        assert_eq!(under(&data, "iot_old/"), original, "{case}");
        let schemas = under(&data, "_schema/iot_old/");
        assert_eq!(schemas["temperature.parquet"], b"anchor", "{case}");
        let after = contents(&data.sink)
            .into_iter()
            .filter(|(key, _)| !key.contains("iot_old"));
        let after: BTreeMap<_, _> = after.collect();
        assert_eq!(after, before, "{case}: another file was touched");

        // Again: only where that is said, and then nothing changes.
        let said = instance.run(&arguments);
        let said = text(&said);
        assert!(
            said.contains("there is a database \"iot_old\""),
            "{case}: {said}"
        );
        let over = [&arguments[..], &["--over-existing", "--yes"]].concat();
        let (code, again) = instance.json(&over);
        assert_eq!(code, 0, "{case}: {again}");
        assert_eq!(again["plan"]["written_files"], 0, "{case}: {again}");

        // A part of it.
        let part = [
            "restore",
            &*id,
            "--rename",
            "iot:part",
            "--include",
            "iot.temperature",
            "--target",
            "far",
        ];
        let (code, ended) = instance.json(&part);
        assert_eq!(code, 0, "{case}: {ended}");
        let expected: BTreeMap<_, _> = (original.clone().into_iter())
            .filter(|(key, _)| key.starts_with("temperature/"))
            .collect();
        assert_eq!(under(&data, "part/"), expected, "{case}");
    }
}

/// Guards against: a request that makes no sense and does something.
pub(super) fn names_that_cannot_be_are_refused() {
    let instance = small();
    let id = instance.backup();
    for (arguments, part) in [
        (&["--rename", "iott:x"][..], "did you mean \"iot\"?"),
        (
            &["--rename", "iot:metrics"],
            "there is a database \"metrics\"",
        ),
        (&["--rename", "iot:../x"], "can't be the name"),
        (&["--rename", "iot"], "OLD:NEW"),
        (
            &["--rename", "iot:x", "--rename", "metrics:x"],
            "two databases",
        ),
        (
            &["--rename", "iot:x", "--skip-damaged"],
            "can't be combined",
        ),
        (&["--rename", "iot:x", "--include", "metrics"], "nothing"),
    ] {
        let arguments = [&["restore", &*id], arguments].concat();
        let before = live(&instance);
        let output = instance.run(&arguments);
        let said = text(&output);
        assert!(
            !output.status.success() && said.contains(part),
            "{arguments:?}: {said}"
        );
        assert!(live(&instance) == before, "{arguments:?}");
    }
    let service = instance.serve();
    let post = |fields: Value| {
        let mut body = json!({"backup_id": id});
        for (name, value) in fields.as_object().unwrap() {
            body[name] = value.clone();
        }
        service.post(RESTORE, &body.to_string())
    };
    for (fields, part) in [
        (json!({"rename": {"nope": "x"}}), "no database"),
        (json!({"rename": {"iot": "metrics"}}), "there is a database"),
        (
            json!({"rename": {"iot": "metrics"}, "over_existing": true}),
            "confirm",
        ),
        (json!({"rename": ["iot"]}), "rename"),
        (json!({"rename": {}}), "names no database"),
        (json!({"rename": {"iot": 5}}), "a name is a text"),
        (json!({"rename": {"a/b": "x"}}), "as a whole only"),
        (
            json!({"rename": {"iot": "x"}, "restore_data": false}),
            "without data",
        ),
        (
            json!({"rename": {"iot": "x"}, "restore_config": true}),
            "restore_config",
        ),
        (json!({"over_existing": true, "confirm": true}), "goes with"),
    ] {
        let answer = post(fields.clone());
        assert_eq!(answer.status, 400, "{fields}: {answer:?}");
        assert!(answer.text.contains(part), "{fields}: {answer:?}");
    }
    let answer = post(json!({"rename": {"iot": "iot_rest"}}));
    assert_eq!(answer.status, 202, "{answer:?}");
    assert_eq!(service.wait()["status"], "completed");
    assert!(
        instance
            .path("data/arc/iot_rest/temperature/a.parquet")
            .exists()
    );
}

/// Guards against: a renamed restore that is killed, and completed under another name.
pub(super) fn a_killed_renamed_restore_is_completed() {
    let instance = small();
    let id = instance.backup();
    let before = live(&instance);
    for number in [1, 3] {
        let name = format!("copy{number}");
        let rename = format!("iot:{name}");
        let arguments = ["restore", &*id, "--rename", &*rename];
        let fault = format!("die:after:{number}");
        let (killed, _) = faulty(&instance, &fault, "storage.promote", &arguments);
        assert_eq!(killed.status.code(), None, "{}", text(&killed));
        for other in [
            &["restore", &*id, "--yes"][..],
            &["restore", &*id, "--rename", "iot:other"],
        ] {
            let output = instance.run(other);
            let said = text(&output);
            assert_eq!(output.status.code(), Some(2), "{said}");
            assert!(said.contains(&format!("--rename {rename}")), "{said}");
        }
        instance.ok(&arguments);
        let root = instance.path("data/arc");
        let tree = |name: &str| support::tree(&root.join(name));
        assert!(tree(&name) == tree("iot"));
        std::fs::remove_dir_all(root.join(&name)).unwrap();
        assert!(live(&instance) == before);
    }
}

/// Guards against: a database of the cold tier that is taken for a name that is free.
pub(super) fn a_name_of_the_cold_tier_is_taken() {
    let instance = small();
    let cold = instance.path("cold/old/m/2026/11/20/00");
    std::fs::create_dir_all(&cold).unwrap();
    std::fs::write(cold.join("x.parquet"), b"cold").unwrap();
    instance.configure(&format!(
        "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\nbackend = \"local\"\n\
         local_path = \"{}\"",
        instance.path("cold").display()
    ));
    let id = instance.backup();
    let arguments = ["restore", &*id, "--rename", "iot:old"];
    refused(&instance, &arguments, &["there is a database \"old\""]);
    assert_eq!(std::fs::read(cold.join("x.parquet")).unwrap(), b"cold");
}
