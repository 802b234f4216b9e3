//! Data files that are damaged before they are backed up, and the rows of those that are not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use arc_backup::testing::{Column, Values, count_rows, write_parquet};
use jiff::Timestamp;
use serde_json::Value;

use crate::stores::{Kind, Place, configure, contents, s3_server, storage, target};
use crate::support::{Instance, files, text};

/// The folder of a measurement with damaged files.
const HURT: &str = "iot/hurt/2026/11/24/00";

/// A file of one row, with so many columns beside the time.
fn wide(path: &Path, columns: usize) {
    let mut all = vec![Column::new(
        "time",
        Values::Time(vec![1_795_478_400_500_000]),
    )];
    all.extend((0..columns).map(|number| {
        Column::new(
            format!("a_column_of_many_{number}"),
            Values::Float(vec![0.5]),
        )
    }));
    write_parquet(path, &all, &[]).unwrap();
}

/// Adds a file of each kind, and returns those that are damaged, each with its damage.
fn add_damaged(instance: &Instance) -> BTreeMap<String, &'static str> {
    let folder = instance.path("data/arc").join(HURT);
    std::fs::create_dir_all(&folder).unwrap();
    wide(&folder.join("whole.parquet"), 5);
    wide(&folder.join("wide.parquet"), 300);
    // Its footer is longer than the part of a file that is looked at.
    wide(&folder.join("wider.parquet"), 4_000);
    let whole = std::fs::read(folder.join("whole.parquet")).unwrap();
    let end = whole.len();
    let footer = u32::from_le_bytes(whole[end - 8..end - 4].try_into().unwrap()) as usize;
    let start = end - 8 - footer;
    let cut = [&whole[..start + footer / 3], &whole[start + footer / 2..]].concat();
    let encrypted = [b"PARE", &whole[4..end - 4], b"PARE"].concat();
    let files: [(&str, &[u8], &str); 5] = [
        ("torn", &whole[..end / 2], "torn"),
        ("cut", &cut, "bad-footer"),
        ("zero", b"", "empty"),
        ("text", b"time,host,value\n1,a,2\n", "not-parquet"),
        ("encrypted", &encrypted, "encrypted-footer"),
    ];
    let mut damaged = BTreeMap::new();
    for (name, bytes, damage) in files {
        std::fs::write(folder.join(format!("{name}.parquet")), bytes).unwrap();
        damaged.insert(format!("data/{HURT}/{name}.parquet"), damage);
    }
    damaged
}

/// The rows of the sound files of databases, by path and altogether, as the crate counts them.
fn rows_of(instance: &Instance, damaged: &BTreeMap<String, &str>) -> BTreeMap<String, u64> {
    let root = instance.path("data/arc");
    (files(&root).into_iter())
        .filter(|path| path.ends_with(".parquet"))
        .filter(|path| !damaged.contains_key(&format!("data/{path}")))
        .filter(|path| !path.ends_with("wider.parquet"))
        .map(|path| {
            let rows = count_rows(&root.join(&path)).unwrap();
            (format!("data/{path}"), rows)
        })
        .collect()
}

fn lines(far: &Place, id: &str) -> Vec<Value> {
    let stored = contents(&far.sink);
    let list = zstd::decode_all(&*stored[&format!("{id}/inventory.jsonl.zst")]).unwrap();
    (list.split(|byte| *byte == b'\n'))
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// The rows of a file lie in the hour, or the day, that its path names.
fn assert_in_partition(line: &Value) {
    let path = line["path"].as_str().unwrap();
    let date: Vec<&str> = path.split('/').skip(3).collect();
    let (hour, length) = match date[..] {
        [_, _, _, hour, _] => (hour, 3_600),
        _ => ("00", 86_400),
    };
    let start = format!("{}-{}-{}T{hour}:00:00Z", date[0], date[1], date[2]);
    let start = start.parse::<Timestamp>().unwrap().as_second();
    let min = line["min_time"]
        .as_i64()
        .unwrap_or_else(|| panic!("{line}"));
    let max = min + line["max_time"].as_i64().unwrap();
    assert!(
        start <= min && min <= max && max <= start + length,
        "{line}"
    );
}

fn assert_says_it_all(
    manifest: &Value,
    lines: &[Value],
    damaged: &BTreeMap<String, &str>,
    rows: &BTreeMap<String, u64>,
) {
    let named: BTreeMap<_, _> = (manifest["damaged_sample"].as_array().unwrap().iter())
        .map(|one| {
            (
                one["path"].as_str().unwrap().to_owned(),
                one["damage"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(&named, damaged, "{manifest}");
    assert_eq!(manifest["damaged_files"], 5, "{manifest}");
    // The damaged ones, and the one with the long footer.
    assert_eq!(manifest["files_without_rows"], 6, "{manifest}");
    let listed: BTreeMap<String, u64> = (lines.iter())
        .filter_map(|line| Some((line["path"].as_str()?.to_owned(), line["rows"].as_u64()?)))
        .collect();
    assert_eq!(&listed, rows);
    for line in lines.iter().filter(|line| !line["rows"].is_null()) {
        assert_in_partition(line);
    }
    assert_eq!(manifest["total_rows"], rows.values().sum::<u64>());
    let mut seen = BTreeSet::new();
    for database in manifest["databases"].as_array().unwrap() {
        for measurement in database["measurements"].as_array().unwrap() {
            let [database, name] = [database, measurement].map(|one| one["name"].as_str().unwrap());
            let folder = format!("data/{database}/{name}/");
            let of_it = (rows.iter()).filter(|(path, _)| path.starts_with(&folder));
            let sum: u64 = of_it.map(|(_, rows)| rows).sum();
            assert_eq!(measurement["rows"], sum, "{folder}");
            seen.insert(folder);
        }
        let folder = format!("data/{}/", database["name"].as_str().unwrap());
        let of_it = (rows.iter()).filter(|(path, _)| path.starts_with(&folder));
        assert_eq!(database["rows"], of_it.map(|(_, rows)| rows).sum::<u64>());
    }
    assert!(seen.len() > 3, "{seen:?}");
}

/// Guards against: a damaged file that nobody hears of, or that stops the backup; wrong rows; and
/// an incremental backup or a copy that has lost what was known.
fn of_target(kind: Kind) {
    let (instance, server) = (Instance::new(), s3_server());
    let damaged = add_damaged(&instance);
    let rows = rows_of(&instance, &damaged);
    let live = storage(kind, &instance, &server, true);
    let far = target(kind, &instance, &server);
    configure(&instance, &live, &far);
    let output = instance.run(&["backup", "--target", "far"]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("damaged source files: 5"), "{said}");
    let (code, made) = instance.json(&["backup", "--target", "far", "--incremental"]);
    assert_eq!(code, 0, "{made}");
    assert_eq!(made["damaged_files"], 5, "{made}");
    assert_eq!(
        made["damaged_sample"].as_array().map(Vec::len),
        Some(5),
        "{made}"
    );
    assert!(made["reused_files"].as_u64() > Some(100), "{made}");
    let (_, list) = instance.json(&["list", "--target", "far"]);
    let backups = list["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2, "{list}");
    for backup in backups {
        let id = backup["backup_id"].as_str().unwrap();
        assert_eq!(backup["total_rows"], rows.values().sum::<u64>(), "{backup}");
        assert_eq!(
            (&backup["damaged_files"], &backup["state"]),
            (&5.into(), &"unverified".into())
        );
        let (_, manifest) = instance.json(&["show", id, "--target", "far"]);
        assert_says_it_all(&manifest, &lines(&far, id), &damaged, &rows);
        instance.ok(&["verify", id, "--target", "far"]);
    }
    let shown = instance.ok(&["list", "--target", "far"]);
    assert!(
        shown.contains("5 data files were damaged in the source already"),
        "{shown}"
    );
    let id = made["backup_id"].as_str().unwrap();
    let shown = instance.ok(&["show", id, "--target", "far"]);
    for path in damaged.keys() {
        assert!(shown.contains(path.as_str()), "{path}: {shown}");
    }
    instance.ok(&["copy", id, "--from", "far", "--to", "local"]);
    let (_, manifest) = instance.json(&["show", id, "--target", "local"]);
    let local = Place::local(&instance, "data/backups");
    assert_says_it_all(&manifest, &lines(&local, id), &damaged, &rows);
}

#[test]
fn damaged_source_files_are_named_on_local_disk() {
    of_target(Kind::Local);
}

#[test]
fn damaged_source_files_are_named_on_s3() {
    of_target(Kind::S3);
}

/// Guards against: a file whose rows are those of the one that lay in its place before.
#[test]
fn a_rewritten_file_has_its_own_rows() {
    let instance = Instance::new();
    let path = instance.path("data/arc/iot/hurt/2026/11/24/00/a.parquet");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    wide(&path, 1);
    instance.backup();
    std::fs::write(&path, b"PAR1").unwrap();
    let (_, made) = instance.json(&["backup", "--incremental"]);
    assert_eq!(made["damaged_files"], 1, "{made}");
    std::fs::remove_file(&path).unwrap();
    let (_, made) = instance.json(&["backup", "--incremental"]);
    assert_eq!(made.get("damaged_files"), None, "{made}");
    assert!(made["damaged_sample"].is_null(), "{made}");
}

/// Guards against: one small file that stops every backup, as its footer takes for ever to read.
#[test]
fn a_file_with_absurd_counts_does_not_stop_a_backup() {
    let instance = Instance::new();
    let folder = instance.path("data/arc").join(HURT);
    std::fs::create_dir_all(&folder).unwrap();
    let mut footer = vec![0x15, 2, 0x19, 0x2c, 0x48, 1, b's', 0x15, 2, 0];
    footer.extend([0x15, 4, 0x25, 0, 0x18, 1, b'v', 0, 0x16, 6]);
    // Lists of 2^31 - 1 booleans in fields that Parquet does not know, without a byte of them.
    for field in [0xc9].into_iter().chain([0x19; 200]) {
        footer.extend([field, 0xf1, 0xff, 0xff, 0xff, 0xff, 7]);
    }
    footer.push(0);
    let length = (footer.len() as u32).to_le_bytes();
    let bytes = [b"PAR1", &footer[..], &length, b"PAR1"].concat();
    std::fs::write(folder.join("counts.parquet"), bytes).unwrap();
    let began = std::time::Instant::now();
    let (code, made) = instance.json(&["backup"]);
    assert_eq!((code, &made["damaged_files"]), (0, &1.into()), "{made}");
    assert_eq!(made["damaged_sample"][0]["damage"], "bad-footer", "{made}");
    let (code, done) = instance.json(&["rehearse"]);
    assert_eq!((code, &done["damaged_files"]), (0, &1.into()), "{done}");
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
