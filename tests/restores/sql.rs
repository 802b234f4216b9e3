//! Restored data under SQL: DuckDB, the engine that Arc itself queries with, reads it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

/// The version of DuckDB, from PyPI.
const VERSION: &str = "2.0.1";

/// The folder that DuckDB is installed in: below `target/`, once.
fn duckdb() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    let target = (program.ancestors()).find(|folder| folder.join("CACHEDIR.TAG").exists());
    let folder = target.unwrap().join("duckdb").join(VERSION);
    let done = folder.join("installed");
    fs::create_dir_all(&folder).unwrap();
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if !done.exists() {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--upgrade"]);
        pip.arg("--disable-pip-version-check")
            .arg("--target")
            .arg(&folder);
        let output = pip.arg(format!("duckdb=={VERSION}")).output();
        let output = output.unwrap_or_else(|error| {
            panic!("this test needs Python 3 with pip on the PATH, for DuckDB: {error}")
        });
        assert!(output.status.success(), "pip: {}", text(&output));
        fs::write(&done, VERSION).unwrap();
    }
    folder
}

/// The rows of a query over the Parquet files of a measurement, as JSON. `FILES` in it is the
/// table.
fn query(root: &Path, measurement: &str, sql: &str) -> Value {
    let script = "import sys, json, duckdb\n\
                  duckdb.sql(\"SET TimeZone = 'UTC'\")\n\
                  rows = duckdb.sql(sys.argv[1]).fetchall()\n\
                  print(json.dumps([[str(x) if x is not None else None for x in row] for row in rows]))";
    let files = root.join("data/arc").join(measurement).join("**/*.parquet");
    let table = format!(
        "read_parquet('{}', union_by_name = true)",
        files.display().to_string().replace('\'', "''")
    );
    let output = (Command::new("python3").args(["-c", script]))
        .arg(sql.replace("FILES", &table))
        .env("PYTHONPATH", duckdb())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{measurement}: {sql}: {}",
        text(&output)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn count(root: &Path, measurement: &str) -> u64 {
    let rows = query(root, measurement, "SELECT count(*) FROM FILES");
    rows[0][0].as_str().unwrap().parse().unwrap()
}

/// Every row, in an order.
fn sorted(root: &Path, measurement: &str, filter: &str) -> Value {
    let sql = format!("SELECT * FROM FILES {filter} ORDER BY ALL");
    query(root, measurement, &sql)
}

/// Guards against: a restored instance whose files are right and whose rows are not, by an index, a
/// schema or a footer that another program reads otherwise.
pub(super) fn restored_rows_are_those_of_the_source_by_sql() {
    let instance = Instance::new();
    let source = instance.path("");
    let id = instance.backup();
    let whole = instance.path("copies/whole");
    instance.ok(&["restore", &id, "--to", &whole.display().to_string()]);
    let (_, shown) = instance.json(&["show", &id]);
    let mut seen = 0;
    for database in shown["databases"].as_array().unwrap() {
        for measurement in database["measurements"].as_array().unwrap() {
            let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
            let path = format!("{}/{}", name(database), name(measurement));
            let rows = count(&source, &path);
            assert!(rows > 1000, "{path}: {rows}");
            assert_eq!(measurement["rows"], rows, "{path}: the manifest: {shown}");
            assert_eq!(count(&whole, &path), rows, "{path}: restored");
            assert_eq!(
                sorted(&whole, &path, ""),
                sorted(&source, &path, ""),
                "{path}"
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 5, "{shown}");

    // One day of one measurement.
    let day = instance.path("copies/day");
    let to = day.display().to_string();
    let times = ["--from", "2026-11-21", "--until", "2026-11-22"];
    let arguments = ["restore", &id, "--include", "iot.temperature", "--to", &to];
    instance.ok(&[&arguments[..], &times[..]].concat());
    let of_day = "SELECT sensor, date_trunc('hour', time) AS hour, count(*), min(celsius), max(celsius), \
                  sum(celsius::DECIMAL(18, 6)) FROM FILES WHERE time >= '2026-11-21' AND time < '2026-11-22' \
                  GROUP BY ALL ORDER BY ALL";
    let (expected, found) = (
        query(&source, "iot/temperature", of_day),
        query(&day, "iot/temperature", of_day),
    );
    assert!(expected.as_array().unwrap().len() > 4, "{expected}");
    assert_eq!(found, expected);
    let outside = "SELECT count(*) FROM FILES WHERE time < '2026-11-21' OR time >= '2026-11-22'";
    assert_eq!(query(&day, "iot/temperature", outside)[0][0], "0");
    assert!(!day.join("data/arc/iot/vibration").exists());

    // Under another name, beside the live one.
    instance.ok(&["restore", &id, "--rename", "metrics:metrics_old"]);
    for measurement in ["cpu", "mem", "disk"] {
        let rows = |database: &str| sorted(&source, &format!("{database}/{measurement}"), "");
        assert_eq!(rows("metrics_old"), rows("metrics"), "{measurement}");
    }

    // A measurement that was lost, in place.
    let all = sorted(&source, "iot/vibration", "");
    fs::remove_dir_all(instance.path("data/arc/iot/vibration")).unwrap();
    instance.ok(&["restore", &id, "--include", "iot.vibration", "--yes"]);
    assert_eq!(sorted(&source, "iot/vibration", ""), all);
}
