//! Tests that take minutes: large files and many, on both clouds. Run with
//! `cargo test --release --test large -- --ignored --nocapture --test-threads 1`. They need some 15
//! GiB of disk space and memory.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::io::Write;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use arc_backup_core::{Digest, Hasher};
use arc_backup_test_azurite::{Azurite, Lasts};
use arc_backup_test_s3::{S3Server, ServerOptions};
use stores::{Kind, Place, SECRETS, configure, runtime};
use support::Instance;

const MIB: u64 = 1 << 20;

fn server(spill: Option<&Path>, latency: Duration) -> S3Server {
    let options = ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        secret_key: SECRETS[0].to_owned(),
        spill_to: spill.map(Path::to_owned),
        latency,
        ..ServerOptions::default()
    };
    S3Server::start(options).unwrap()
}

/// Runs the program, which must succeed. Returns its peak memory in bytes, its duration, and its
/// output.
fn measured(instance: &Instance, arguments: &[&str]) -> (u64, Duration, String) {
    let begun = Instant::now();
    let mut command = instance.command(arguments);
    let mut child = (command.stdout(Stdio::piped()).stderr(Stdio::inherit()))
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let ended = loop {
        // The high-water mark only grows, so little is missed after the last sample.
        if let Ok(text) = std::fs::read_to_string(&status)
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            most = most.max(kib << 10);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(ended.success(), "{arguments:?} failed");
    let mut printed = String::new();
    std::io::Read::read_to_string(&mut child.stdout.take().unwrap(), &mut printed).unwrap();
    (most, begun.elapsed(), printed.trim().to_owned())
}

fn noise(state: &mut u64, bytes: &mut [u8]) {
    for chunk in bytes.chunks_mut(8) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
}

fn digest_of(path: &Path) -> Digest {
    let mut file = std::fs::File::open(path).unwrap();
    let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 1 << 20]);
    loop {
        match std::io::Read::read(&mut file, &mut buffer).unwrap() {
            0 => return hasher.finish(),
            count => hasher.update(&buffer[..count]),
        }
    }
}

/// Guards against one large file that fills the machine's memory.
#[test]
#[ignore = "5 GiB to each cloud and back"]
fn a_file_of_5_gib_goes_through_in_less_than_200_mib() {
    let spill = tempfile::tempdir().unwrap();
    for kind in [Kind::S3, Kind::Azure] {
        let instance = Instance::new();
        let server = server(Some(spill.path()), Duration::ZERO);
        let far = match kind {
            Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1"),
            _ => Place::s3(&server, "backups", "of/arc-1"),
        };
        configure(&instance, &Place::local(&instance, "data/arc"), &far);
        let path = instance.path("data/arc/iot/large/2026/11/20/00/large.parquet");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut file = std::fs::File::create(&path).unwrap();
        let (mut state, mut block) = (0x9e37_79b9_7f4a_7c15, vec![0; MIB as usize]);
        for _ in 0..5 << 10 {
            noise(&mut state, &mut block);
            file.write_all(&block).unwrap();
        }
        drop(file);
        let digest = digest_of(&path);
        let (up, up_took, id) = measured(&instance, &["backup", "--target", "far"]);
        std::fs::remove_file(&path).unwrap();
        let (down, down_took, _) = measured(&instance, &["restore", &id, "--yes", "--no-metadata"]);
        assert_eq!(digest_of(&path), digest, "{kind:?}: other bytes came back");
        println!(
            "{kind:?}: backup of 5 GiB {up_took:.1?}, {} MiB; restore {down_took:.1?}, {} MiB",
            up / MIB,
            down / MIB
        );
        assert!(
            up < 200 * MIB && down < 200 * MIB,
            "{kind:?}: {up} and {down} bytes of memory"
        );
        instance.ok(&["delete", &id, "--yes", "--even-last"]);
    }
}

/// Puts that many small files, and nothing else, under `root`.
fn small_objects(root: &Path, count: usize) {
    std::fs::remove_dir_all(root).unwrap();
    let (mut state, mut bytes) = (1, vec![0; 1200]);
    for number in 0..count {
        let folder = root.join(format!("iot/m{}/2026/11/20/{:02}", number % 7, number % 24));
        std::fs::create_dir_all(&folder).unwrap();
        noise(&mut state, &mut bytes);
        std::fs::write(folder.join(format!("{number}.parquet")), &bytes).unwrap();
    }
}

/// Guards against a backup that takes hours because its store is 20 ms away.
#[test]
#[ignore = "20,000 objects to each cloud and back at 20 ms"]
fn small_objects_go_many_at_once() {
    for kind in [Kind::S3, Kind::Azure] {
        let server = server(None, Duration::from_millis(20));
        let proxy = runtime().block_on(Azurite::shared().proxy());
        proxy.set_latency(Duration::from_millis(20));
        let run = |count: usize, concurrency: Option<usize>| {
            let instance = Instance::new();
            let mut far = match kind {
                Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1"),
                _ => Place::s3(&server, "backups", &format!("of/arc-{count}")),
            };
            let direct = Azurite::shared().connection_string();
            far.config = far.config.replace(&direct, &proxy.connection_string());
            configure(&instance, &Place::local(&instance, "data/arc"), &far);
            if let Some(concurrency) = concurrency {
                let path = instance.path("arc.toml");
                let text = std::fs::read_to_string(&path).unwrap();
                let text = text.replacen(
                    "[backup]",
                    &format!("[backup]\nconcurrency = {concurrency}"),
                    1,
                );
                std::fs::write(&path, text).unwrap();
            }
            let root = instance.path("data/arc");
            small_objects(&root, count);
            let options = ["--no-metadata", "--no-config"];
            let (_, up, id) = measured(
                &instance,
                &[&["backup", "--target", "far"], &options[..]].concat(),
            );
            std::fs::remove_dir_all(&root).unwrap();
            let (_, down, _) = measured(&instance, &["restore", &id, "--yes", "--no-metadata"]);
            [up, down].map(|took| count as f64 / took.as_secs_f64())
        };
        let one = run(2_000, Some(1));
        let many = run(20_000, None);
        println!(
            "{kind:?}: objects a second one at a time {one:.0?}, many at once {many:.0?}: {:.1} and {:.1} times (up, down)",
            many[0] / one[0],
            many[1] / one[1]
        );
    }
}

/// How many objects go to Azurite and back beside rclone. Azurite has one thread: 20,000 in each
/// direction by both would take many minutes more for the same result.
const BESIDE_RCLONE: usize = 2_000;

/// Guards against blaming this program for a slow store. Azurite is a single thread on the same
/// cores, so it may not answer 15 times as fast as one request at a time needs.
/// `rclone copy --transfers 32` of the same objects through the same proxy shows the limit of the
/// machine.
///
/// rclone gets a SAS URL: 1.60, which Debian has, accepts no other endpoint with the account in its
/// path. Our times are of the whole program, with the lock, inventory, hashes and manifest that
/// rclone does not have. A restore stages, syncs to disk and renames, where rclone writes at once.
/// A verification shows the time of reading alone, without the disk of this machine.
#[test]
#[ignore = "2,000 objects to Azure and back at 20 ms, three times, and the same by rclone from the PATH"]
fn small_objects_beside_rclone() {
    let version = std::process::Command::new("rclone").arg("version").output();
    let Ok(version) = version else {
        println!("no rclone on the PATH: nothing to compare with");
        return;
    };
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let server = Azurite::shared();
    let proxy = runtime().block_on(server.proxy());
    proxy.set_latency(Duration::from_millis(20));
    let sas = server.account_sas("rwdlac", Lasts::For(Duration::from_secs(7200)));
    let sas_url = format!("{}?{sas}", proxy.endpoint());
    let rclone = |from: &str, to: &str| {
        let begun = Instant::now();
        let ran = std::process::Command::new("rclone")
            .args(["copy", "--transfers", "32", from, to])
            .env("RCLONE_CONFIG", "/dev/null")
            .env("RCLONE_CONFIG_FAR_TYPE", "azureblob")
            .env("RCLONE_CONFIG_FAR_SAS_URL", &sas_url)
            .output()
            .unwrap();
        assert!(ran.status.success(), "rclone: {}", support::text(&ran));
        begun.elapsed()
    };
    let rate = |took: Duration| BESIDE_RCLONE as f64 / took.as_secs_f64();
    let requests = || {
        let total = proxy.total() as f64 / BESIDE_RCLONE as f64;
        let (counts, most) = (proxy.counts(), proxy.most_under_way());
        proxy.reset_counts();
        format!("{total:.2} requests an object, at most {most} at once: {counts:?}")
    };
    println!("{}", version.lines().next().unwrap_or_default());
    for round in 1..=3 {
        let instance = Instance::new();
        let mut far = Place::azure(server, "of/arc-1");
        far.config = far
            .config
            .replace(&server.connection_string(), &proxy.connection_string());
        configure(&instance, &Place::local(&instance, "data/arc"), &far);
        let root = instance.path("data/arc");
        small_objects(&root, BESIDE_RCLONE);
        let container = runtime().block_on(server.container());
        let theirs = format!("far:{container}/of");
        let back = instance.path("back");
        proxy.reset_counts();

        let (_, our_up, id) = measured(
            &instance,
            &["backup", "--target", "far", "--no-metadata", "--no-config"],
        );
        println!("round {round}, up, ours: {}", requests());
        let their_up = rclone(root.to_str().unwrap(), &theirs);
        println!("round {round}, up, rclone: {}", requests());
        std::fs::remove_dir_all(&root).unwrap();
        let (_, our_down, _) = measured(&instance, &["restore", &id, "--yes", "--no-metadata"]);
        println!("round {round}, down, ours: {}", requests());
        let (_, our_read, _) = measured(&instance, &["verify", &id]);
        println!("round {round}, reading alone, ours: {}", requests());
        let their_down = rclone(&theirs, back.to_str().unwrap());
        println!("round {round}, down, rclone: {}", requests());
        for (way, ours, theirs) in [
            ("up", our_up, their_up),
            ("down", our_down, their_down),
            (
                "reading alone, beside rclone's copy down",
                our_read,
                their_down,
            ),
        ] {
            println!(
                "round {round}, {way}: objects a second: ours {:.0}, rclone {:.0}: {:.2} times rclone",
                rate(ours),
                rate(theirs),
                theirs.as_secs_f64() / ours.as_secs_f64()
            );
        }
    }
}

/// Guards against a dead process whose lock blocks every backup, and whose uploads use space.
#[test]
#[ignore = "waits a minute for a dead holder's lock"]
fn after_a_kill_the_next_command_gets_in_and_no_upload_is_left() {
    let (instance, server) = (Instance::new(), stores::s3_server());
    let far = Place::s3(&server, "backups", "of/arc-1");
    configure(&instance, &Place::local(&instance, "data/arc"), &far);
    let file = std::fs::File::create(instance.path("data/arc/iot/large.parquet")).unwrap();
    file.set_len(4 << 30).unwrap();
    let mut killed = instance
        .command(&["backup", "--target", "far"])
        .spawn()
        .unwrap();
    while server.uploads("backups").is_empty() {
        assert!(
            killed.try_wait().unwrap().is_none(),
            "it ended before it uploaded"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert!(!server.uploads("backups").is_empty());
    file.set_len(1 << 20).unwrap();
    let busy = instance.run(&["backup", "--target", "far"]);
    assert_eq!(busy.status.code(), Some(3), "{}", support::text(&busy));
    std::thread::sleep(Duration::from_secs(75));
    let id = instance.ok(&["backup", "--target", "far"]);
    instance.ok(&["verify", &id]);
    assert_eq!(server.uploads("backups"), []);
    let (_, list) = instance.json(&["list", "--target", "far"]);
    assert_eq!(
        (&list["count"], &list["damaged"]),
        (&1.into(), &serde_json::json!([])),
        "{list}"
    );
}

/// Guards against memory that grows with the number of files.
#[test]
#[ignore = "a million files on local disk: 6 GiB and 2.1 million inodes"]
fn a_million_files_go_through_in_less_than_256_mib() {
    let entries: usize =
        std::env::var("ARC_TEST_ENTRIES").map_or(1_000_000, |text| text.parse().unwrap());
    for most in memory_of(entries) {
        assert!(most < 256 * MIB, "{} MiB of memory", most / MIB);
    }
}

/// Guards against the same in a short run: the difference between few and many files shows the cost
/// of each.
#[test]
fn no_operation_keeps_all_entries_in_memory() {
    let (few, many) = (memory_of(2_000), memory_of(40_000));
    for (few, many) in few.into_iter().zip(many) {
        // The program alone needs more than this. A lower figure was read before a command of
        // milliseconds had begun.
        let few = few.max(15 * MIB);
        // 256 MiB for a million would be 268 bytes each; a path alone has 30.
        let each = many.saturating_sub(few) / 38_000;
        assert!(each < 250, "{each} bytes an entry: {few} → {many}");
    }
}

/// The peak memory of a backup, `verify --quick`, a restore of unchanged data, and the list, with
/// that many files.
fn memory_of(entries: usize) -> [u64; 4] {
    let instance = Instance::new();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    let room = rustix::fs::statvfs(instance.path("")).unwrap();
    let (bytes, inodes) = (room.f_bavail * room.f_frsize, room.f_favail);
    let needed = ((entries as u64 * 6) << 10, entries as u64 * 21 / 10);
    assert!(
        bytes > needed.0 && inodes > needed.1,
        "{} has {bytes} bytes and {inodes} inodes free; {needed:?} are needed (TMPDIR names another place)",
        instance.path("").display()
    );
    // Few inodes with many names: only the number of entries matters here.
    let root = instance.path("data/arc/many");
    std::fs::create_dir_all(&root).unwrap();
    let begun = Instant::now();
    for number in 0..entries {
        let name = |number: usize| root.join(format!("m{}/{number}.parquet", number / 1000));
        if number % 1000 == 0 {
            std::fs::create_dir(root.join(format!("m{}", number / 1000))).unwrap();
        }
        if number % 5000 == 0 {
            std::fs::write(name(number), number.to_string()).unwrap();
        } else {
            std::fs::hard_link(name(number - number % 5000), name(number)).unwrap();
        }
    }
    println!("{entries} files made in {:.0?}", begun.elapsed());
    let (most_up, up, id) = measured(&instance, &["backup"]);
    println!("backup: {up:.0?}, {} MiB", most_up / MIB);
    let lines = crate::support::inventory_of(&instance.backup_folder(&id))
        .lines()
        .count();
    assert!(lines > entries, "only {lines} entries");
    let (most_quick, quick, _) = measured(&instance, &["verify", "--quick", &id]);
    println!("verify --quick: {quick:.0?}, {} MiB", most_quick / MIB);
    let (most_down, down, _) = measured(&instance, &["restore", &id, "--yes"]);
    println!(
        "restore with all of it live: {down:.0?}, {} MiB",
        most_down / MIB
    );
    let (most_list, list, _) = measured(&instance, &["list"]);
    println!("list: {list:.1?}, {} MiB", most_list / MIB);
    [most_up, most_quick, most_down, most_list]
}
