//! An instance whose old files are in the cold tier, moved there and read as Arc does it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arc_backup_core::Sink;
use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::S3Server;
use rusqlite::Connection;

use crate::stores::{Kind, Place, contents, delete, keys, put, storage};
use crate::support::Instance;

/// Arc's table.
pub const TABLE: &str = "CREATE TABLE tier_files (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT UNIQUE NOT NULL, database TEXT NOT NULL, measurement TEXT NOT NULL,
    partition_time TIMESTAMP NOT NULL, tier TEXT NOT NULL DEFAULT 'hot', size_bytes INTEGER NOT NULL,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, migrated_at TIMESTAMP, quarantined_at TIMESTAMP, quarantine_reason TEXT)";

/// The sample's data, with a cold tier.
pub struct Tiered {
    pub instance: Instance,
    pub hot: Arc<dyn Sink>,
    pub cold: Place,
}

/// The cold tier of a kind.
pub fn cold_place(kind: Kind, instance: &Instance, server: &S3Server) -> Place {
    match kind {
        Kind::Local => Place::local(instance, "cold"),
        Kind::S3 => Place::s3(server, "data", "cold"),
        Kind::Azure => Place::azure(Azurite::shared(), "cold"),
    }
}

impl Tiered {
    /// The sample with a cold tier of this kind; all its files are hot, on local disk.
    pub fn new(kind: Kind, server: &S3Server) -> Self {
        Self::on(Kind::Local, kind, server)
    }

    /// The same with its hot files in a storage of another kind.
    pub fn on(hot: Kind, kind: Kind, server: &S3Server) -> Self {
        Self::placed(|instance| {
            let cold = cold_place(kind, instance, server);
            (storage(hot, instance, server, true), cold)
        })
    }

    /// The same with these places.
    pub fn placed(places: impl FnOnce(&Instance) -> (Place, Place)) -> Self {
        let instance = Instance::new();
        let (hot, cold) = places(&instance);
        if hot.kind != Kind::Local {
            let path = instance.path("arc.toml");
            let old = "backend = \"local\"\nlocal_path = \"./data/arc\"\n";
            let new = format!("backend = \"{}\"\n{}", hot.name(), hot.config);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(old));
            std::fs::write(path, text.replace(old, &new)).unwrap();
        }
        instance.configure(&format!(
            "[tiered_storage]\nenabled = true\n[tiered_storage.cold]\nenabled = true\nbackend = \"{}\"\n{}",
            cold.name(),
            cold.config
        ));
        let tiered = Self {
            instance,
            hot: hot.sink,
            cold,
        };
        tiered.make_rows();
        tiered
    }

    pub fn database(&self) -> Connection {
        let connection = Connection::open(self.instance.path("data/arc.db")).unwrap();
        connection
            .busy_timeout(std::time::Duration::from_secs(5))
            .unwrap();
        connection
    }

    /// Makes the table, with a row for each file of a measurement.
    fn make_rows(&self) {
        let connection = self.database();
        connection.execute_batch(TABLE).unwrap();
        for key in self.parquet() {
            let mut parts = key.split('/');
            let (database, measurement) = (parts.next(), parts.next());
            connection
                .execute(
                    "INSERT INTO tier_files (path, database, measurement, partition_time, size_bytes) VALUES (?1, ?2, ?3, '', 1)",
                    rusqlite::params![key, database, measurement],
                )
                .unwrap();
        }
    }

    /// The Parquet files of measurements in the hot storage.
    pub fn parquet(&self) -> Vec<String> {
        let all = keys(&self.hot).into_iter();
        all.filter(|key| key.ends_with(".parquet") && !key.starts_with('_'))
            .collect()
    }

    /// Moves files to the cold tier: the object, the row, then the hot file.
    pub fn migrate(&self, moved: &[String]) {
        let hot = contents(&self.hot);
        for key in moved {
            put(&self.cold.sink, key, &hot[key]);
            self.database()
                .execute(
                    "UPDATE tier_files SET tier = 'cold', migrated_at = CURRENT_TIMESTAMP WHERE path = ?1",
                    [key],
                )
                .unwrap();
            delete(&self.hot, &[key]);
        }
    }

    /// The tier in the row of a file; `None` without a row.
    pub fn row(&self, key: &str) -> Option<String> {
        let text = "SELECT tier FROM tier_files WHERE path = ?1";
        self.database()
            .query_row(text, [key], |row| row.get(0))
            .ok()
    }

    /// The keys whose rows say `cold`.
    pub fn cold_rows(&self) -> BTreeSet<String> {
        let connection = self.database();
        let text = "SELECT path FROM tier_files WHERE tier = 'cold'";
        let mut statement = connection.prepare(text).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    /// The rows of each measurement that Arc serves: it reads all files of each tier that a row of
    /// the measurement names, and the hot one where there is no row.
    pub fn served(&self) -> BTreeMap<String, u64> {
        let connection = self.database();
        let text = "SELECT DISTINCT database || '/' || measurement, tier FROM tier_files";
        let mut statement = connection.prepare(text).unwrap();
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        let tiers: BTreeSet<(String, String)> = rows.map(Result::unwrap).collect();
        let mut served = BTreeMap::new();
        for (sink, tier) in [(&self.hot, "hot"), (&self.cold.sink, "cold")] {
            for (key, bytes) in contents(sink) {
                if !key.ends_with(".parquet") || key.starts_with('_') {
                    continue;
                }
                let measurement = key.splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
                let is_named = |tier: &str| tiers.contains(&(measurement.clone(), tier.to_owned()));
                let is_read = is_named(tier) || tier == "hot" && !is_named("cold");
                if is_read {
                    let file = tempfile::NamedTempFile::new().unwrap();
                    std::fs::write(file.path(), bytes).unwrap();
                    *served.entry(measurement).or_default() +=
                        arc_backup::testing::count_rows(file.path()).unwrap();
                }
            }
        }
        served
    }
}
