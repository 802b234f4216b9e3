//! Restores of a part of the data: what is refused, what is read, and what completes one.

use std::collections::BTreeSet;
use std::time::Instant;

use super::*;
use crate::stores::{KINDS, delete, put_all, target};

/// Guards against: rows of other hours that go, or come twice, with the file of a day.
pub(super) fn the_file_of_a_day_is_not_restored_for_some_hours() {
    let (instance, place, id) = local();
    let daily = "iot/mem/2027/01/13/mem_b1_daily.parquet";
    let other = "iot/mem/2027/01/13/mem_2_b1_daily.parquet";
    let hour = "iot/mem/2027/01/13/22/a.parquet";
    let hours = [
        "--include",
        "iot.mem",
        "--from",
        "2027-01-13T22:00:00Z",
        "--until",
        "2027-01-13T23:00:00Z",
    ];
    let days = [
        "--include",
        "iot.mem",
        "--from",
        "2027-01-13",
        "--until",
        "2027-01-14",
    ];
    for (key, bytes) in [
        (daily, Some(&b"other"[..])),
        (daily, None),
        (other, Some(b"later")),
    ] {
        put(&place.sink, hour, b"other");
        match bytes {
            Some(bytes) => put(&place.sink, key, bytes),
            None => delete(&place.sink, &[key]),
        }
        let before = live(&instance);
        let (code, failed) = instance.json(&[&["restore", &id, "--yes"], &hours[..]].concat());
        assert_eq!(code, 1, "{failed}");
        let said = failed.to_string();
        for part in [
            key,
            "--from 2027-01-13 --until 2027-01-14",
            "nothing was changed",
        ] {
            assert!(said.contains(part), "no {part:?} in {said}");
        }
        assert!(live(&instance) == before, "{key}");
        restored(&instance, &id, &days);
        assert_eq!(live_files(&place), files(), "{key}");
    }
    put(&place.sink, hour, b"other");
    restored(&instance, &id, &hours);
    assert_eq!(
        live_files(&place),
        files(),
        "the file of the day is the same"
    );
}

/// Guards against: hours that can't be restored because of a file of their day that has none of
/// their rows, and against such a file being set aside. Arc's own files of days end at 18:36:30.
pub(super) fn the_file_of_a_day_does_not_hinder_hours_that_it_has_no_row_of() {
    for kind in KINDS {
        let instance = Instance::new();
        let hour = "metrics/cpu/2026/11/21/20/late.parquet";
        let is_of_day = |key: &String| key.starts_with("metrics/cpu/2026/11/21/");
        let all = support::files(&instance.path("data/arc"));
        let daily = all.into_iter().find(is_of_day).unwrap();
        std::fs::create_dir_all(instance.path("data/arc/metrics/cpu/2026/11/21/20")).unwrap();
        std::fs::write(instance.path("data/arc").join(hour), b"late rows").unwrap();
        let server = s3_server();
        let place = stores::storage(kind, &instance, &server, true);
        if kind != Kind::Local {
            let local = Place::local(&instance, "data/arc");
            put_all(&place.sink, &contents(&local.sink));
        }
        let far = Place::local(&instance, "data/far");
        configure(&instance, &place, &far);
        let id = instance.ok(&["backup", "--target", "far"]);
        let of_day = contents(&place.sink)[&daily].clone();
        put(&place.sink, &daily, b"compacted again");
        put(&place.sink, hour, b"other rows");
        let before = live_files(&place);
        let times = |from: &str, until: &str| {
            let part = ["restore", &id, "--include", "metrics.cpu", "--yes"];
            let times = ["--from", from, "--until", until];
            instance.json(&[&part[..], &times[..]].concat())
        };
        let (code, failed) = times("2026-11-21T18:00:00Z", "2026-11-21T21:00:00Z");
        assert_eq!(code, 1, "{kind:?}: {failed}");
        assert!(failed.to_string().contains("whole day"), "{failed}");
        assert!(live_files(&place) == before, "{kind:?}");
        let (code, done) = times("2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z");
        assert_eq!(code, 0, "{kind:?}: {done}");
        assert_eq!(done["plan"]["extra_files"], 0, "{kind:?}: {done}");
        let mut expected = before;
        expected.insert(hour.to_owned(), b"late rows".to_vec());
        assert!(live_files(&place) == expected, "{kind:?}: other files");
        // Where extra files stay, it is none of them.
        let part = ["restore", &id, "--include", "metrics.cpu", "--yes"];
        let hour_alone = [
            "--from",
            "2026-11-21T20:00:00Z",
            "--until",
            "2026-11-21T21:00:00Z",
        ];
        let keep = ["--extra-files", "keep"];
        let (code, kept) = instance.json(&[&part[..], &hour_alone[..], &keep[..]].concat());
        assert_eq!(code, 0, "{kind:?}: {kept}");
        assert_eq!(kept["plan"]["extra_files"], 0, "{kind:?}: {kept}");
        assert!(!kept["warnings"].to_string().contains("kept"), "{kept}");
        // A verification of the same part reads the same files.
        let verify = ["verify", &id, "--include", "metrics.cpu"];
        let (code, verified) = instance.json(&[&verify[..], &hour_alone[..]].concat());
        assert_eq!(code, 0, "{kind:?}: {verified}");
        assert_eq!(verified["total_files"], 1, "{kind:?}: {verified}");
        // Where nothing is live, the file of the day comes with its hours.
        let new = instance.path(&format!("copies/{kind:?}"));
        let to = ["--to", new.to_str().unwrap()];
        let hours = [
            "--from",
            "2026-11-21T05:00:00Z",
            "--until",
            "2026-11-21T07:00:00Z",
        ];
        let (code, copied) = instance.json(&[&part[..], &hours[..], &to[..]].concat());
        assert_eq!(code, 0, "{kind:?}: {copied}");
        assert_eq!(
            std::fs::read(new.join("data/arc").join(&daily)).unwrap(),
            of_day
        );
        assert_eq!(copied["restored_to"], to[1], "{copied}");
        // A part that has none of the rows asked for is no part.
        let (code, failed) = times("2026-11-21T22:00:00Z", "2026-11-21T23:00:00Z");
        assert_eq!(code, 2, "{kind:?}: {failed}");
        assert!(failed.to_string().contains("nothing matches"), "{failed}");
        // With the day, it is restored.
        let (code, done) = times("2026-11-21", "2026-11-22");
        assert_eq!(code, 0, "{kind:?}: {done}");
        assert!(contents(&place.sink)[&daily] == of_day, "{kind:?}");
        // Another file of the day is live: nobody knows its rows.
        put(&place.sink, &daily.replace("_b1_", "_b2_"), b"later");
        let (code, failed) = times("2026-11-21T20:00:00Z", "2026-11-21T21:00:00Z");
        assert_eq!(code, 1, "{kind:?}: {failed}");
        assert!(failed.to_string().contains("_b2_"), "{kind:?}: {failed}");
    }
}

/// Guards against: a misspelt name that restores nothing, or everything.
pub(super) fn a_part_that_is_not_there_is_refused_with_its_name() {
    let (instance, place, id) = local();
    change_all(&place, 1);
    for (options, parts) in [
        (
            &["--include", "iott"][..],
            &["no database \"iott\"", "did you mean \"iot\""][..],
        ),
        (
            &["--include", "iot.cpuu"],
            &["no measurement \"cpuu\"", "did you mean \"cpu\""],
        ),
        (
            &["--exclude", "x*"],
            &["x*", "it has iot, spoke1/telemetry, web"],
        ),
        (
            &["--include", "iot.x*"],
            &["no measurement", "it has cpu, mem"],
        ),
        (
            &["--include", "spoke1/telemetry.cpu"],
            &["spoke1/telemetry/cpu/**"],
        ),
        (&["--include", ""], &["include", "is empty"]),
        (&["--include", "iot.["], &["include", "no valid glob"]),
        (&["--from", "later"], &["from", "\"later\" is not a date"]),
        (
            &["--from", "2027-01-14", "--until", "2027-01-13"],
            &["ends at 2027-01-13T00:00:00Z"],
        ),
        (&["--include", "iot", "--no-data"], &["cannot be used with"]),
        (&["--with-metadata"], &["required"]),
    ] {
        refused(
            &instance,
            &[&["restore", &id, "--yes"], options].concat(),
            parts,
        );
        if !options.iter().any(|option| option.contains("data")) {
            refused(&instance, &[&["verify", &id], options].concat(), parts);
        }
    }
    refused(
        &instance,
        &["verify", &id, "--include", "iot", "--sample", "5%"],
        &["cannot be used with"],
    );
    for (options, part) in [
        (
            &["--include", "iot/nothing/**"][..],
            "iot/nothing/**: nothing in backup",
        ),
        (
            &["--exclude", "**/*.txt.gz", "--include", "iot"],
            "**/*.txt.gz: nothing in backup",
        ),
        (
            &[
                "--include",
                "iot.cpu",
                "--from",
                "2030-01-01",
                "--exclude",
                "iot",
            ],
            "nothing matches",
        ),
        // The anchors of its schemas are of all times.
        (
            &["--include", "iot", "--from", "2030-01-01"],
            "nothing matches",
        ),
    ] {
        for command in [
            &["restore", &id, "--yes"][..],
            &["restore", &id],
            &["restore", &id, "--dry-run"],
            &["restore", &id, "--to", "copy"],
            &["verify", &id],
        ] {
            refused(&instance, &[command, options].concat(), &[part]);
        }
    }
    let service = instance.serve();
    let before = live(&instance);
    for (fields, part) in [
        (json!({"scope": {"include": ["iott"]}}), "no database"),
        (json!({"scope": {"include": []}}), "include is empty"),
        (
            json!({"scope": {"include": "iot"}}),
            "scope.include must be a list, each a string",
        ),
        (json!({"scope": ["iot"]}), "scope must be an object"),
        (
            json!({"scope": {"inclde": ["iot"]}}),
            "in scope: did you mean",
        ),
        (json!({"scope": {"until": "x"}}), "scope: until: "),
        (
            json!({"scope": {"include": ["iot"]}, "restore_data": false}),
            "restore_data",
        ),
        (
            json!({"scope": {"include": ["iot/nothing/**"]}}),
            "iot/nothing/**: nothing in backup",
        ),
        (
            json!({"scope": {"exclude": ["**/*.txt.gz"]}}),
            "**/*.txt.gz: nothing in backup",
        ),
        (
            json!({"scope": {"include": ["iot.cpu"], "from": "2030-01-01"}}),
            "nothing matches",
        ),
    ] {
        let answer = service.post("/api/v1/backup/restore", &restore_body(&id, &fields));
        assert_eq!(answer.status, 400, "{fields}: {}", answer.text);
        assert!(answer.text.contains(part), "no {part:?} in {}", answer.text);
        if fields.get("restore_data").is_none() {
            let path = format!("/api/v1/backup/{id}/verify");
            let answer = service.post(&path, &fields.to_string());
            assert_eq!(answer.status, 400, "{fields}: {}", answer.text);
        }
    }
    assert!(live(&instance) == before, "live data changed");
    let (_, history) = instance.json(&["history"]);
    let begun = history["operations"].as_array().unwrap().len();
    assert_eq!(begun, 1, "more than the backup: {history}");
}

/// Guards against: one hour for which a whole backup, or the whole live data, is read.
pub(super) fn one_hour_on_s3_reads_that_hour() {
    one_hour(200);
}

/// Prints how long it takes beside a restore of everything.
pub(super) fn many_files_on_s3_and_one_hour_of_them() {
    one_hour(100_000);
}

/// Restores one hour of one measurement out of `count` files in ten measurements.
fn one_hour(count: usize) {
    let (instance, server) = (small(), s3_server());
    let storage = stores::storage(Kind::S3, &instance, &server, true);
    let mut many = files();
    let mut wanted = BTreeSet::new();
    for number in 0..count {
        let (measurement, hour, file) = (number % 10, number / 10 % 672, number / 6720);
        let (day, hour) = (1 + hour / 24, hour % 24);
        let key = format!("iot/m{measurement}/2027/02/{day:02}/{hour:02}/{file}.parquet");
        if measurement == 3 && (day, hour) == (1, 5) {
            wanted.insert(key.clone());
        }
        many.insert(key, vec![7; 2_000]);
    }
    assert!(wanted.len() == 1 + (count - 1) / 6720, "{}", wanted.len());
    put_all(&storage.sink, &many);
    configure(&instance, &storage, &target(Kind::S3, &instance, &server));
    let id = instance.ok(&["backup", "--target", "far", "--no-metadata", "--no-config"]);
    let gone: Vec<&str> = wanted.iter().map(String::as_str).collect();
    delete(&storage.sink, &gone);
    let before = live_files(&storage);
    server.reset_reads();
    let part = ["--include", "iot.m3", "--from", "2027-02-01T05:00"];
    let options = [&part[..], &["--until", "2027-02-01T06:00"]].concat();
    let begun = Instant::now();
    let done = restored(&instance, &id, &options);
    let of_hour = begun.elapsed();
    let read = server.reads();
    let of_backup: BTreeSet<&str> = (read.keys())
        .filter_map(|key| key.split_once(&format!("{id}/"))?.1.into())
        .collect();
    let data: Vec<String> = wanted.iter().map(|key| format!("data/{key}")).collect();
    let mut expected: BTreeSet<&str> = data.iter().map(String::as_str).collect();
    expected.extend(["inventory.jsonl.zst", "manifest.json"]);
    assert_eq!(of_backup, expected, "{done}");
    let bytes = |prefix: &str| -> u64 {
        let of_prefix = (read.iter()).filter(|(key, _)| key.contains(prefix));
        of_prefix.map(|(_, bytes)| *bytes).sum()
    };
    let of_wanted = bytes(&format!("{id}/data/"));
    assert_eq!(of_wanted, 2_000 * wanted.len() as u64, "{read:?}");
    let of_data = |(key, bytes): (&String, &u64)| (!key.contains(".arc-backup")).then_some(*bytes);
    let live_bytes: u64 = (read.iter().filter(|(key, _)| key.starts_with("data/")))
        .filter_map(of_data)
        .sum();
    assert_eq!(live_bytes, 0, "live data was read: {read:?}");
    let mut expected = before;
    for key in &wanted {
        expected.insert(key.clone(), many[key].clone());
    }
    assert!(live_files(&storage) == expected);
    if count < 1_000 {
        return;
    }
    let all: Vec<&str> = expected.keys().map(String::as_str).collect();
    delete(&storage.sink, &all);
    let begun = Instant::now();
    let whole = restored(&instance, &id, &["--no-metadata"]);
    println!(
        "{} files of {count}: {of_wanted} bytes of files and {} of list and manifest read, {:.2} s; all: {} bytes, {:.2} s",
        wanted.len(),
        bytes(&format!("{id}/inventory")) + bytes(&format!("{id}/manifest")),
        of_hour.as_secs_f64(),
        whole["plan"]["bytes_to_read"],
        begun.elapsed().as_secs_f64()
    );
    assert!(live_files(&storage) == expected);
}

/// Guards against: a backup that counts as verified, of which only a part was read; and damage that
/// was seen and is not recorded.
pub(super) fn a_part_is_verified_and_the_backup_does_not_count_as_such() {
    let (instance, _, id) = local();
    let state = || instance.json(&["show", &id]).1["state"].clone();
    flip(
        &instance
            .backup_folder(&id)
            .join("data/web/cpu/2027/01/14/00/a.parquet"),
    );
    let (code, verified) = instance.json(&["verify", &id, "--include", "iot.cpu"]);
    assert_eq!(code, 0, "{verified}");
    assert_eq!(verified["selection"]["include"], json!(["iot.cpu"]));
    assert_eq!(verified["total_files"], 10, "{verified}");
    assert_eq!(state(), "unverified");
    let hour = [
        "verify",
        &id,
        "--include",
        "web",
        "--from",
        "2027-01-14T01:00Z",
    ];
    assert_eq!(instance.json(&hour).0, 0);
    let (code, failed) = instance.json(&["verify", &id, "--include", "web"]);
    assert_eq!(code, 1, "{failed}");
    assert!(
        has_problem(&failed, "data/web/cpu/2027/01/14/00/a.parquet", "checksum"),
        "{failed}"
    );
    assert_eq!(state(), "damaged");
}

/// Guards against: a part that stays half restored, as a restore of another one has taken the
/// marker away.
pub(super) fn an_interrupted_part_is_completed_by_a_restore_that_covers_it() {
    let (instance, place, id) = local();
    let same = ["--include", "*.cpu", "--exclude", "web"];
    for (round, completing) in [&same[..], &["--include", "*.cpu"], &["--include", "*"]]
        .into_iter()
        .enumerate()
    {
        change_all(&place, round);
        let options = [
            "restore",
            &id,
            "--yes",
            "--include",
            "*.cpu",
            "--exclude",
            "web",
        ];
        let (killed, _) = faulty(&instance, "die:after:2", "storage.promote", &options);
        assert_eq!(killed.status.code(), None, "{}", text(&killed));
        let (_, status) = instance.json(&["status"]);
        let marker = &status["restore_in_progress"];
        assert_eq!(marker["selection"]["include"], json!(["*.cpu"]), "{status}");
        let command = format!("restore {id} --target local --include '*.cpu' --exclude web`");
        for other in [&["--include", "web"][..], &["--include", "iot.mem"]] {
            let arguments = [&["restore", &id, "--yes"], other].concat();
            refused(&instance, &arguments, &["other data", &command]);
        }
        restored(&instance, &id, completing);
        let (_, status) = instance.json(&["status"]);
        assert_eq!(status["restore_in_progress"], Value::Null, "{status}");
        let left = leftovers(&instance, false, "completed");
        assert_eq!(left, Vec::<String>::new(), "{completing:?}");
    }
    restored(&instance, &id, &[]);
    assert_eq!(live_files(&place), files());
}
