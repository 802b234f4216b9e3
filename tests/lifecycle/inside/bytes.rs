//! The bytes of single files.

use std::collections::BTreeMap;

use super::{Raw, address, fails, listed, on_s3, raw, small};
use crate::support::{Instance, Service, files, text};

/// What the live data must be read as.
fn data_of(instance: &Instance) -> BTreeMap<String, Vec<u8>> {
    let root = instance.path("data/arc");
    let all = files(&root).into_iter();
    all.map(|file| {
        let bytes = std::fs::read(root.join(&file)).unwrap();
        (format!("data/{file}"), bytes)
    })
    .collect()
}

/// Reads each file of the backup by the command and over REST.
fn check(instance: &Instance, service: &Service, id: &str) {
    let source = data_of(instance);
    let all = listed(instance, id);
    for (path, (size, sha256)) in &all {
        let output = instance.run(&["cat", id, path]);
        assert!(output.status.success(), "{path}: {}", text(&output));
        let got = raw(service, "GET", &address(id, path), &[]);
        assert!(
            got.status == 200 && got.is_whole(),
            "{path}: {}",
            got.status
        );
        assert_eq!(got.header("etag"), format!("\"{sha256}\""), "{path}");
        assert_eq!(got.header("accept-ranges"), "bytes");
        assert_eq!(got.body.len() as u64, *size, "{path}");
        assert!(got.body == output.stdout, "{path} differs by the way");
        let digest = arc_backup::core::Digest::of(&got.body).to_string();
        assert_eq!(digest, *sha256, "{path}");
        if let Some(expected) = source.get(path) {
            assert!(got.body == *expected, "{path} is not that of the source");
        }
        let head = raw(service, "HEAD", &address(id, path), &[]);
        assert!(head.status == 200 && head.body.is_empty(), "{path}");
        assert_eq!(head.header("content-length"), size.to_string(), "{path}");
    }
    let held = all.keys().filter(|path| path.starts_with("data/")).count();
    assert_eq!(held, source.len());
}

/// Guards against: bytes of another file, or none where the bytes lie in another backup.
#[test]
fn each_file_is_the_sources_also_where_another_backup_holds_it() {
    let local = small();
    local.backup();
    let linked = local.ok(&["backup", "--incremental"]);
    check(&local, &local.serve(), &linked);

    let (remote, server, _) = on_s3();
    super::set_back(&remote);
    remote.backup();
    let id = remote.ok(&["backup", "--incremental"]);
    let (_, manifest) = remote.json(&["show", &id]);
    assert!(
        manifest["stored_in"].is_object(),
        "nothing was reused: {manifest}"
    );
    check(&remote, &remote.serve(), &id);
    let leases: Vec<_> = (server.keys("backups").into_iter())
        .filter(|key| key.contains("/readers/"))
        .collect();
    assert_eq!(leases, Vec::<String>::new());
}

/// Guards against: a damaged file that is taken for whole.
#[test]
fn a_flipped_byte_breaks_the_transfer_and_the_command() {
    let instance = small();
    let id = instance.backup();
    let path = "data/metrics/large.parquet";
    let file = instance.backup_folder(&id).join(path);
    let whole = std::fs::read(&file).unwrap();
    let service = instance.serve();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        std::fs::remove_file(&file).unwrap();
        std::fs::write(&file, flipped).unwrap();
        let output = instance.run(&["cat", &id, path]);
        assert_eq!(output.status.code(), Some(1), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(path) && said.contains("SHA-256"), "{said}");
        assert!(said.contains("written already"), "{said}");
        assert!(output.stdout.len() < whole.len());
        let got = raw(&service, "GET", &address(&id, path), &[]);
        let is_cut = [0, 200].contains(&got.status) && !got.is_whole();
        assert!(is_cut, "byte {at}: {} {:?}", got.status, got.headers);
    }
    // One that is sent at once is answered as what it is.
    let small = instance
        .backup_folder(&id)
        .join("data/iot/temperature/a.parquet");
    std::fs::remove_file(&small).unwrap();
    std::fs::write(&small, b"b").unwrap();
    let answer = service.get(&address(&id, "data/iot/temperature/a.parquet"));
    assert!(
        answer.status == 422 && answer.text.contains("SHA-256"),
        "{}",
        answer.text
    );
    std::fs::remove_file(&file).unwrap();
    fails(&instance, &["cat", &id, path], 1, &[path]);
    let gone = raw(&service, "GET", &address(&id, path), &[]);
    assert!(gone.status >= 400, "{}", gone.status);
    std::fs::write(&file, &whole[1..]).unwrap();
    fails(&instance, &["cat", &id, path], 1, &["fewer than"]);
}

/// Guards against: wrong bytes of a range, and a client's copy that is sent again.
#[test]
fn ranges_and_tags_are_those_of_the_file() {
    let (remote, _server, _) = on_s3();
    check_ranges(&remote);
    check_ranges(&small());
}

fn check_ranges(instance: &Instance) {
    let id = instance.backup();
    let service = instance.serve();
    let path = "data/metrics/large.parquet";
    let whole = std::fs::read(instance.path("data/arc/metrics/large.parquet")).unwrap();
    let size = whole.len();
    let get = |headers: &[(&str, &str)]| raw(&service, "GET", &address(&id, path), headers);
    let tag = get(&[]).header("etag").to_owned();
    let is_part = |got: &Raw, start: usize, end: usize| {
        assert_eq!((got.status, got.is_whole()), (206, true));
        let named = format!("bytes {start}-{}/{size}", end - 1);
        assert_eq!(got.header("content-range"), named);
        assert!(got.body == whole[start..end], "other bytes of {named}");
        assert_eq!(got.header("etag"), tag);
    };
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, size),
        ("bytes=1000-1999", 1000, 2000),
        ("bytes=-1", size - 1, size),
        ("bytes=-4", size - 4, size),
        ("bytes=699000-9999999", 699_000, size),
        (&format!("bytes=-{}", size + 5), 0, size),
    ] {
        is_part(&get(&[("Range", range)]), start, end);
        is_part(&get(&[("Range", range), ("If-Range", &tag)]), start, end);
        let other = get(&[("Range", range), ("If-Range", "\"other\"")]);
        assert!(other.status == 200 && other.body == whole, "{range}");
    }
    for range in ["bytes=0-1,5-6", "lines=1-2", "bytes=x"] {
        let got = get(&[("Range", range)]);
        assert!(got.status == 200 && got.body == whole, "{range}");
    }
    for range in [format!("bytes={size}-"), "bytes=-0".to_owned()] {
        let got = get(&[("Range", &range)]);
        assert_eq!(got.status, 416, "{range}");
        assert_eq!(got.header("content-range"), format!("bytes */{size}"));
    }
    for known in [&*tag, "*", &format!("\"a\", {tag}")] {
        let got = get(&[("If-None-Match", known)]);
        assert_eq!((got.status, got.body.len()), (304, 0), "{known}");
        assert_eq!(got.header("etag"), tag);
    }
    assert_eq!(get(&[("If-None-Match", "\"a\"")]).status, 200);
}

/// Guards against: a path that leads to another file of the target, or of the machine.
#[test]
fn no_path_leads_out_of_the_backup() {
    let instance = small();
    let (first, second) = (instance.backup(), instance.backup());
    let service = instance.serve();
    for path in [
        "..",
        "../manifest.json",
        "%2e%2e/manifest.json",
        "data/../../manifest.json",
        "data/%2e%2e/%2e%2e/manifest.json",
        "/etc/passwd",
        "%2Fetc%2Fpasswd",
        "data//iot/temperature/a.parquet",
        "data/iot/temperature/a.parquet/",
        "data%5Ciot%5Ctemperature%5Ca.parquet",
        "data/iot/temperature/a.parquet%00",
        "%ff",
    ] {
        let got = raw(&service, "GET", &address(&first, path), &[]);
        let said = String::from_utf8_lossy(&got.body).into_owned();
        assert_eq!(got.status, 400, "{path}: {said}");
    }
    for path in [
        "manifest.json",
        "inventory.jsonl.zst",
        "data/iot",
        "data",
        "nothing",
    ] {
        let got = service.get(&address(&first, path));
        assert!(
            got.status == 404 && got.text.contains(path),
            "{path}: {}",
            got.text
        );
    }
    let good = "data/iot/temperature/a.parquet";
    assert_eq!(
        raw(&service, "GET", &address(&first, good), &[]).status,
        200
    );
    // With its slashes encoded, it is the same path.
    let encoded = address(&first, &good.replace('/', "%2F"));
    assert_eq!(raw(&service, "GET", &encoded, &[]).status, 200);
    let anonymous = service.request("GET", &address(&first, good), &[], None);
    assert_eq!(anonymous.status, 401, "{}", anonymous.text);
    let above = format!("../{second}/manifest.json");
    for path in ["../manifest.json", "/etc/passwd", "data/", "", &above] {
        fails(
            &instance,
            &["cat", &first, path],
            2,
            &["is no path in a backup"],
        );
    }
    fails(
        &instance,
        &["cat", &first, "manifest.json"],
        1,
        &["manifest.json", "files"],
    );
    fails(&instance, &["--json", "cat", &first, good], 2, &["--json"]);
}

/// Guards against: a backup without checksums that can't be looked into.
#[test]
fn a_backup_by_arc_is_read_without_a_tag() {
    let instance = Instance::new();
    let (_, list) = instance.json(&["list"]);
    let rows = list["backups"].as_array().unwrap();
    let old = rows
        .iter()
        .find(|row| row["has_checksums"] == false)
        .unwrap();
    let id = old["backup_id"].as_str().unwrap();
    let service = instance.serve();
    let all = listed(&instance, id);
    let (path, (size, sha256)) = all.iter().next().unwrap();
    assert!(all.len() > 10 && sha256.is_empty(), "{sha256}");
    let got = raw(&service, "GET", &address(id, path), &[]);
    assert!(got.status == 200 && got.is_whole() && got.body.len() as u64 == *size);
    assert_eq!(got.header("etag"), "");
    let output = instance.run(&["cat", id, path]);
    assert!(output.status.success() && output.stdout == got.body);
}
