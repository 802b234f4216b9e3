//! What lists keep for the next ones.

use std::time::Instant;

use arc_backup_test_s3::{S3Server, ServerOptions, Verb};
use serde_json::json;

use super::stores::{self, Place, put, put_all, s3_server};
use super::{Model, caches, eleven_minutes_later, ids, listed, row, with_many};
use crate::support::{Instance, text, xorshift};

/// Guards against: a list that asks for each of many manifests again and again.
#[test]
fn a_second_list_asks_for_no_manifest() {
    const COUNT: u64 = 200;
    let server = s3_server();
    let (instance, far) = with_many(&server, COUNT);
    let counted = |expected: (u64, u64), lists: u64, case: &str| {
        server.reset_counts();
        let list = listed(&instance, &["--target", "far"]);
        let requests = (
            server.count(Verb::GetObject),
            server.count(Verb::HeadObject),
        );
        assert_eq!(requests, expected, "{case}: {:?}", server.counts());
        assert!(
            server.count(Verb::ListObjects) <= lists,
            "{case}: {:?}",
            server.counts()
        );
        list
    };
    let cold = counted((COUNT, 0), 4, "cold");
    assert_eq!(cold["count"], COUNT);
    assert_eq!(counted((0, 0), 4, "warm"), cold);
    // Notes change: each that has changed is read once.
    let noted: Vec<_> = ids(&cold).into_iter().take(3).collect();
    for id in &noted {
        let note = json!({"labels": ["kept"]}).to_string();
        put(
            &far.sink,
            &format!(".arc-backup/notes/{id}.json"),
            note.as_bytes(),
        );
    }
    let labelled = counted((3, 0), 4, "three notes");
    assert_eq!(counted((0, 0), 4, "the same notes"), labelled);
    assert_eq!(row(&labelled, &noted[0])["labels"], json!(["kept"]));
    let note = json!({"labels": ["kept", "more"]}).to_string();
    put(
        &far.sink,
        &format!(".arc-backup/notes/{}.json", noted[1]),
        note.as_bytes(),
    );
    let changed = counted((1, 0), 4, "a changed note");
    assert_eq!(row(&changed, &noted[1])["labels"], json!(["kept", "more"]));
    eleven_minutes_later(&instance);
    assert_eq!(counted((0, COUNT), 4, "eleven minutes later"), changed);
    assert_eq!(counted((0, 0), 4, "warm again"), changed);
    // A new backup is read, and nothing else.
    let model = Model::of(&instance);
    let (id, manifest) = model.make(9_000_000, 1, &json!({}));
    put(&far.sink, &format!("{id}/manifest.json"), &manifest);
    assert_eq!(counted((1, 0), 4, "a new one")["count"], COUNT + 1);
    // The service is another process with the same file.
    let service = instance.serve();
    server.reset_counts();
    let list = service.get("/api/v1/backup?target=far&limit=5").json();
    assert_eq!(
        (ids(&list).len(), server.count(Verb::GetObject)),
        (5, 0),
        "{list}"
    );
    assert_eq!(ids(&list)[0], id);
    let check = instance.run(&["check", "--target", "far", "--max-age", "300000d"]);
    // The newest good one, whatever is remembered of it.
    assert_eq!(server.count(Verb::GetObject), 1, "{}", text(&check));
}

/// Guards against: a damaged, missing or shared file of the cache that changes or fails a list.
#[test]
fn a_damaged_cache_is_as_good_as_none() {
    let server = s3_server();
    let (instance, _) = with_many(&server, 60);
    let list = || listed(&instance, &["--target", "far"]);
    let right = list();
    assert_eq!(right["count"], 60);
    let [path] = &caches(&instance)[..] else {
        panic!("{:?}", caches(&instance));
    };
    let whole = std::fs::read(path).unwrap();
    let mut random = xorshift(3);
    for case in 0..12 {
        let mut bytes = whole.clone();
        match case {
            0 => bytes = b"not a database at all".repeat(100),
            1 => bytes.clear(),
            2 => bytes.truncate(whole.len() / 2),
            3 => bytes[..4096].fill(0),
            _ => {
                for _ in 0..20 {
                    let at = random(bytes.len() as u64) as usize;
                    bytes[at] ^= 1 + random(255) as u8;
                }
            }
        }
        std::fs::write(path, &bytes).unwrap();
        assert_eq!(list(), right, "case {case}");
        assert_eq!(list(), right, "case {case}, once more");
    }
    std::fs::remove_file(path).unwrap();
    std::fs::create_dir(path).unwrap();
    assert_eq!(list(), right, "a folder in its place");
    std::fs::remove_dir(path).unwrap();
    // Several processes at once, from nothing.
    std::thread::scope(|scope| {
        let lists: Vec<_> = (0..6).map(|_| scope.spawn(list)).collect();
        for list in lists {
            assert_eq!(list.join().unwrap(), right);
        }
    });
    server.reset_counts();
    assert_eq!(list(), right);
    assert_eq!(
        server.count(Verb::GetObject),
        0,
        "six lists have kept nothing"
    );
}

/// Guards against: a list that shows for longer than ten minutes what somebody else has changed
/// behind its back, and an operation that goes by the cache.
#[test]
fn what_others_change_shows_at_the_latest_after_ten_minutes() {
    let server = s3_server();
    let (instance, far) = with_many(&server, 60);
    let list = || listed(&instance, &["--target", "far"]);
    let all = ids(&list());
    // A whole backup that is gone is gone at once.
    stores::delete(&far.sink, &[&format!("{}/manifest.json", all[0])]);
    assert_eq!(ids(&list()), all[1..]);
    // A damaged manifest shows later, and whoever acts finds it at once.
    put(&far.sink, &format!("{}/manifest.json", all[1]), b"{}");
    assert_eq!(ids(&list()), all[1..], "within the ten minutes");
    let verified = instance.run(&["verify", &all[1], "--target", "far"]);
    assert_eq!(verified.status.code(), Some(1), "{}", text(&verified));
    assert_eq!(
        instance
            .run(&["show", &all[1], "--target", "far"])
            .status
            .code(),
        Some(1)
    );
    eleven_minutes_later(&instance);
    let later = list();
    assert_eq!(ids(&later), all[2..]);
    assert_eq!(later["damaged"][0]["backup_id"], all[1].as_str(), "{later}");
    // What this instance deletes is gone, also where its folder stays.
    let kept = format!("{}/data/shared.parquet", all[2]);
    instance.ok(&["delete", &all[2], "--target", "far", "--yes"]);
    put(&far.sink, &kept, b"shared");
    assert!(!ids(&list()).contains(&all[2]));
    // So is what another host deletes, also where files stay that other backups need.
    let another = &all[4];
    put(&far.sink, &format!(".arc-backup/retained/{another}"), b"{}");
    put(
        &far.sink,
        &format!("{another}/data/shared.parquet"),
        b"shared",
    );
    stores::delete(&far.sink, &[&format!("{another}/manifest.json")]);
    assert!(!ids(&list()).contains(another));

    // Under another name, or at another place, it is another target.
    let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
    let renamed = config.replace("backup.targets.far", "backup.targets.off");
    std::fs::write(instance.path("arc.toml"), renamed).unwrap();
    let list = listed(&instance, &["--target", "off"]);
    assert_eq!(row(&list, &all[3])["target"], "off");
    let moved = config.replace("of/arc-1", "of/arc-2");
    std::fs::write(instance.path("arc.toml"), moved).unwrap();
    assert_eq!(ids(&listed(&instance, &["--target", "far"])), [""; 0]);
}

/// Guards against: a local list that is behind its disk, even for a moment.
#[test]
fn on_local_disk_a_list_is_never_behind() {
    let instance = Instance::new();
    let model = Model::of(&instance);
    for (path, bytes) in model.many(60) {
        let path = instance.path("data/backups").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        // What was written this moment proves nothing by its time.
        let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.set_modified(hour_ago).unwrap();
    }
    let all = ids(&listed(&instance, &[]));
    assert_eq!(caches(&instance).len(), 1, "nothing is kept");
    assert_eq!(ids(&listed(&instance, &[])), all);
    let victim = all.iter().find(|id| id.contains("-0000000")).unwrap();
    let path = instance.backup_folder(victim).join("manifest.json");
    let mut bytes = std::fs::read(&path).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let damaged = listed(&instance, &[]);
    assert_eq!(
        damaged["damaged"][0]["backup_id"],
        victim.as_str(),
        "{damaged}"
    );
}

/// Prints how long lists of many backups take on a store that is 50 ms away.
#[test]
#[ignore = "half a minute; prints figures"]
fn figures_of_3000_backups_50_ms_away() {
    let latency = std::time::Duration::from_millis(50);
    for (count, latency) in [(3000, latency), (10_000, std::time::Duration::ZERO)] {
        let fast = s3_server();
        let (instance, far) = with_many(&fast, 0);
        let slow = S3Server::start(ServerOptions {
            latency,
            ..fast.options().clone()
        })
        .unwrap();
        let config = std::fs::read_to_string(instance.path("arc.toml")).unwrap();
        let config = config.replace(&fast.endpoint(), &slow.endpoint());
        std::fs::write(instance.path("arc.toml"), config).unwrap();
        drop(far);
        let files = Model::of(&instance).many(count);
        put_all(&Place::s3(&slow, "backups", "of/arc-1").sink, &files);
        let timed = |case: &str, arguments: &[&str]| {
            slow.reset_counts();
            let begun = Instant::now();
            let printed = instance.ok(arguments);
            println!(
                "{count} backups, {latency:?} away: {case} {:.2?}, {} lines, {:?}",
                begun.elapsed(),
                printed.lines().count(),
                slow.counts()
            );
        };
        timed("cold", &["list", "--target", "far"]);
        timed("warm", &["list", "--target", "far"]);
        timed("a page", &["list", "--target", "far", "--limit", "100"]);
        timed(
            "check",
            &["check", "--target", "far", "--max-age", "300000d"],
        );
        eleven_minutes_later(&instance);
        timed("eleven minutes later", &["list", "--target", "far"]);
        let service = instance.serve();
        let memory = || {
            let path = format!("/proc/{}/status", service.child.id());
            let status = std::fs::read_to_string(path).unwrap();
            let line = status
                .lines()
                .find(|line| line.starts_with("VmHWM"))
                .unwrap();
            line.to_owned()
        };
        let before = memory();
        let begun = Instant::now();
        for _ in 0..10 {
            service.get("/api/v1/backup?target=far&limit=100");
        }
        println!(
            "{count}: GET limit=100 {:.2?} each, {before} then {}",
            begun.elapsed() / 10,
            memory()
        );
    }
}
