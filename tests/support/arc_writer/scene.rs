//! Instances, storages and targets for a writer.

use std::time::SystemTime;

use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::S3Server;

use super::{Settings, Writer, now};
use crate::stores::{Kind, Place, configure, runtime};
use crate::support::Instance;

/// The seed of a run, which is printed; the variable of that name sets it.
pub fn seed() -> u64 {
    let seed = match std::env::var("ARC_BACKUP_TEST_SEED") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => {
            let since = now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            since.as_nanos() as u64 >> 10
        }
    };
    println!("ARC_BACKUP_TEST_SEED={seed}");
    seed
}

/// An instance whose storage is empty.
pub fn empty_instance() -> Instance {
    let instance = Instance::new();
    for folder in ["data/arc", "data/backups"] {
        std::fs::remove_dir_all(instance.path(folder)).unwrap();
    }
    std::fs::create_dir(instance.path("data/arc")).unwrap();
    instance
}

/// An instance with an empty local storage, and with the targets of `of`.
pub fn copy_of(of: &Instance, far: &Place) -> Instance {
    let copy = empty_instance();
    let backups = of.path("data/backups").display().to_string();
    let config = std::fs::read_to_string(copy.path("arc.toml")).unwrap();
    let config = config.replace("./data/backups", &backups);
    std::fs::write(copy.path("arc.toml"), config).unwrap();
    let (kind, settings) = (far.name(), &far.config);
    let settings = settings.replace("./", &format!("{}/", of.path("").display()));
    copy.configure(&format!(
        "[backup.targets.far]\ntype = \"{kind}\"\n{settings}"
    ));
    copy
}

/// The data and the target of a test, and an instance with both.
pub fn places(kind: Kind, server: &S3Server, prefix: &str) -> (Instance, Place, Place) {
    let instance = empty_instance();
    let (live, far) = match kind {
        Kind::Local => (
            Place::local(&instance, "data/arc"),
            Place::local(&instance, "data/far"),
        ),
        Kind::S3 => (
            Place::s3(server, "data", prefix),
            Place::s3(server, "backups", "of/arc-1"),
        ),
        // Arc reads the whole container.
        Kind::Azure => (
            Place::azure(Azurite::shared(), ""),
            Place::azure(Azurite::shared(), "of/arc-1"),
        ),
    };
    configure(&instance, &live, &far);
    (instance, live, far)
}

pub fn writer_of(live: &Place, seed: u64) -> Writer {
    let settings = Settings {
        seed,
        changes_per_second: match live.kind {
            // A local snapshot takes some ten milliseconds, so many jobs are needed for an overlap.
            Kind::Local => 200,
            Kind::S3 => 80,
            // It has one core for all.
            Kind::Azure => 55,
        },
        tasks: 8,
    };
    Writer::new(live.sink.clone(), runtime(), settings)
}
