//! Data between one huge file and many tiny ones, over slow and unreliable stores, in both
//! directions.
//!
//! Long, with tables:
//! `cargo test --release --test shapes -- --ignored --nocapture --test-threads 1`; needs some GiB
//! of space.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/stores.rs"]
mod stores;
mod support;

use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use arc_backup_test_azurite::{Azurite, Fault as AzureFault, Proxy};
use arc_backup_test_s3::{Fault, Rule, S3Server, ServerOptions, When};
use stores::{Kind, Place, SECRETS, configure, runtime};
use support::{Instance, files, text, tree};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Files of one size, and how they are copied.
#[derive(Debug, Clone, Copy)]
struct Shape {
    count: usize,
    bytes: usize,
    latency: Duration,
    concurrency: Option<usize>,
    /// Of a hundred requests, how many fail in each way.
    fault_percent: u32,
}

impl Shape {
    fn new(count: usize, bytes: usize, millis: u64) -> Self {
        Self {
            count,
            bytes,
            latency: Duration::from_millis(millis),
            concurrency: None,
            fault_percent: 0,
        }
    }
}

/// A store, and the proxy between it and the program.
enum Store {
    S3(S3Server),
    Azure(Proxy, Place),
}

fn store(kind: Kind, shape: Shape, spill: &std::path::Path) -> Store {
    let share = f64::from(shape.fault_percent) / 100.0;
    if kind == Kind::S3 {
        let server = S3Server::start(ServerOptions {
            buckets: vec!["backups".to_owned()],
            secret_key: SECRETS[0].to_owned(),
            latency: shape.latency,
            spill_to: Some(spill.to_owned()),
            ..ServerOptions::default()
        })
        .unwrap();
        if shape.fault_percent > 0 {
            for fault in [
                Fault::SlowDown,
                Fault::InternalError,
                Fault::CutResponse(700),
                Fault::CutRequest(700),
                Fault::ErrorAfterSuccess,
                Fault::CloseAfterSuccess,
            ] {
                server.fault(Rule::new(fault).when(When::Chance(share)));
            }
        }
        return Store::S3(server);
    }
    let azurite = Azurite::shared();
    let proxy = runtime().block_on(Proxy::start(azurite.address()));
    proxy.set_latency(shape.latency);
    if shape.fault_percent > 0 {
        let mut random = fastrand::Rng::with_seed(1);
        let each = shape.fault_percent;
        proxy.rule(move |_| match random.u32(0..100) / each.max(1) {
            0 => Some(AzureFault::Answer(503, "ServerBusy")),
            1 => Some(AzureFault::Answer(500, "InternalError")),
            2 => Some(AzureFault::CloseAfter),
            3 => Some(AzureFault::CutResponse(700)),
            _ => None,
        });
    }
    let mut place = Place::azure(azurite, "of/arc-1");
    let direct = azurite.connection_string();
    place.config = place.config.replace(&direct, &proxy.connection_string());
    Store::Azure(proxy, place)
}

/// Backs files of this shape up, verifies them, and restores them into an empty storage. Returns
/// how long each took.
fn up_and_down(kind: Kind, shape: Shape) -> [Duration; 3] {
    let case = format!("{kind:?}, {shape:?}");
    let instance = Instance::new();
    let spill = tempfile::tempdir().unwrap();
    std::fs::remove_dir_all(instance.path("data/backups")).unwrap();
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    let mut random = fastrand::Rng::with_seed(7);
    let mut bytes = vec![0; shape.bytes];
    random.fill(&mut bytes);
    for n in 0..shape.count {
        let folder = instance.path(&format!("data/arc/iot/m{}/2026/11/24/{:02}", n % 5, n % 24));
        std::fs::create_dir_all(&folder).unwrap();
        let len = bytes.len().min(8);
        bytes[..len].copy_from_slice(&(n as u64).to_le_bytes()[..len]);
        std::fs::write(folder.join(format!("m_{n:05}.parquet")), &bytes).unwrap();
    }
    let before = (shape.bytes < MIB).then(|| tree(&instance.path("data/arc")));
    let settings = match shape.concurrency {
        Some(concurrency) => format!("concurrency = {concurrency}\n"),
        None => String::new(),
    };
    instance.configure(&format!("default_target = \"far\"\n{settings}"));
    let store = store(kind, shape, spill.path());
    let place = match &store {
        Store::S3(server) => &Place::s3(server, "backups", "of/arc-1"),
        Store::Azure(_, place) => place,
    };
    configure(&instance, &Place::local(&instance, "data/arc"), place);
    let ok = |arguments: &[&str]| {
        let begun = Instant::now();
        let output = within(&instance, arguments, Duration::from_secs(900));
        assert!(
            output.status.success(),
            "{case}: {arguments:?}: {}",
            text(&output)
        );
        let printed = String::from_utf8(output.stdout).unwrap();
        (printed.trim().to_owned(), begun.elapsed())
    };
    let (id, up) = ok(&["backup", "--no-metadata"]);
    let (_, verified) = ok(&["verify", &id]);
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    let (_, down) = ok(&["restore", &id, "--no-metadata", "--yes"]);
    assert_eq!(
        files(&instance.path("data/arc")).len(),
        shape.count,
        "{case}"
    );
    if let Some(before) = before {
        assert!(
            tree(&instance.path("data/arc")) == before,
            "{case}: other files came back"
        );
    }
    ok(&["delete", &id, "--yes", "--even-last"]);
    if let Store::Azure(proxy, _) = &store {
        proxy.heal();
    }
    [up, verified, down]
}

/// Runs the program; the test fails if it does not end within `limit`.
fn within(instance: &Instance, arguments: &[&str], limit: Duration) -> Output {
    let mut child = (instance.command(arguments))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > limit {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{arguments:?} goes on for {limit:?}: {}", text(&output));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.wait_with_output().unwrap()
}

/// Guards against a deadlock with all defaults: each file of 8 MiB reserved half of the buffers,
/// and the journal waited for them.
#[test]
fn files_as_large_as_a_share_of_the_buffers_go_up_and_down() {
    up_and_down(Kind::S3, Shape::new(24, 8 * MIB, 100));
    up_and_down(Kind::S3, Shape::new(6, 50 * MIB, 20));
}

/// Guards against a deadlock with more concurrent files than the store takes requests.
#[test]
fn more_copies_than_turns_go_up_and_down() {
    for kind in [Kind::S3, Kind::Azure] {
        let shape = Shape {
            concurrency: Some(48),
            fault_percent: 2,
            ..Shape::new(700, 4 * KIB, 10)
        };
        up_and_down(kind, shape);
    }
}

fn row(kind: Kind, shape: Shape) {
    let took = up_and_down(kind, shape).map(|took| format!("{:.1}", took.as_secs_f64()));
    println!(
        "| {kind:?} | {} × {} KiB | {} ms | {} | {} % | {} |",
        shape.count,
        shape.bytes / KIB,
        shape.latency.as_millis(),
        shape
            .concurrency
            .map_or("default".to_owned(), |n| n.to_string()),
        shape.fault_percent,
        took.join(" | ")
    );
}

#[test]
#[ignore = "takes some minutes"]
fn every_shape_goes_up_and_down() {
    println!(
        "| store | files | latency | concurrency | faults, each kind | up, s | verify, s | down, s |\n|---|---|---|---|---|---|---|---|"
    );
    for kind in [Kind::S3, Kind::Azure] {
        for (count, bytes) in [(200, 8 * MIB), (32, 64 * MIB), (600, 4 * MIB)] {
            row(kind, Shape::new(count, bytes, 500));
        }
        for latency in [0, 50] {
            for concurrency in [1, 8, 32, 48, 64, 128, 256] {
                let shape = Shape {
                    concurrency: Some(concurrency),
                    ..Shape::new(3000, 4 * KIB, latency)
                };
                row(kind, shape);
            }
        }
        for concurrency in [None, Some(48)] {
            let shape = Shape {
                concurrency,
                fault_percent: 5,
                ..Shape::new(1000, 4 * KIB, 10)
            };
            row(kind, shape);
            row(
                kind,
                Shape {
                    fault_percent: 5,
                    concurrency,
                    ..Shape::new(60, 9 * MIB, 10)
                },
            );
        }
    }
}

/// Guards against runs that hang under 5 % of `503`, as two of some forty did.
#[test]
#[ignore = "takes some minutes"]
fn three_hundred_runs_under_503s_end() {
    let instance = Instance::new();
    instance.configure("default_target = \"far\"");
    let server = S3Server::start(ServerOptions {
        buckets: vec!["backups".to_owned()],
        secret_key: SECRETS[0].to_owned(),
        latency: Duration::from_millis(5),
        ..ServerOptions::default()
    })
    .unwrap();
    server.fault(Rule::new(Fault::SlowDown).when(When::Chance(0.05)));
    let place = Place::s3(&server, "backups", "of/arc-1");
    configure(&instance, &Place::local(&instance, "data/arc"), &place);
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    for run in 0..300 {
        let begun = Instant::now();
        let output = within(&instance, &["backup"], Duration::from_secs(120));
        assert!(output.status.success(), "run {run}: {}", text(&output));
        longest = longest.max(begun.elapsed());
        if run % 3 == 2 {
            let id = String::from_utf8(output.stdout).unwrap().trim().to_owned();
            let output = within(
                &instance,
                &["delete", &id, "--yes", "--even-last"],
                Duration::from_secs(120),
            );
            assert!(output.status.success(), "run {run}: {}", text(&output));
        }
    }
    println!(
        "300 backups in {:?}, the longest {longest:?}",
        begun.elapsed()
    );
}
