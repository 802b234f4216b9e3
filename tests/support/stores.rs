//! Places for data and backups on all three kinds of storage, each inspected through its own sink.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{GetOptions, Key, ListOptions, Listed, Sink, WriteOptions};
use arc_backup_local::{LocalConfig, LocalSink};
use arc_backup_s3::{S3Config, S3Settings, S3Sink};
use arc_backup_test_azurite::{Azurite, KEY};
use arc_backup_test_s3::{S3Server, ServerOptions};
use futures::StreamExt;
use tokio::runtime::Runtime;

use serde_json::Value;

use crate::support::{Instance, Service};

/// Secrets that no output may contain.
pub const SECRETS: [&str; 2] = ["s3cret/Key+of-the-tests", KEY];

/// The kinds of storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Local,
    S3,
    Azure,
}

pub const KINDS: [Kind; 3] = [Kind::Local, Kind::S3, Kind::Azure];

/// The runtime for requests that bypass the program.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Runtime::new().unwrap())
}

/// An S3 server with the buckets `data` and `backups`.
pub fn s3_server() -> S3Server {
    let options = ServerOptions {
        buckets: vec!["data".to_owned(), "backups".to_owned()],
        secret_key: SECRETS[0].to_owned(),
        ..ServerOptions::default()
    };
    S3Server::start(options).unwrap()
}

/// A place: its settings in a table of the configuration, and a sink to inspect it.
pub struct Place {
    pub kind: Kind,
    /// Lines of the table.
    pub config: String,
    pub sink: Arc<dyn Sink>,
    /// The same without the prefix, to inspect the objects beside it.
    pub all: Arc<dyn Sink>,
}

impl Place {
    pub fn local(instance: &Instance, path: &str) -> Self {
        let sink = |path: &str| Arc::new(LocalSink::new(LocalConfig::new(instance.path(path))));
        Self {
            kind: Kind::Local,
            config: format!("local_path = \"./{path}\"\n"),
            sink: sink(path),
            all: sink("data"),
        }
    }

    pub fn s3(server: &S3Server, bucket: &str, prefix: &str) -> Self {
        let sink = |prefix: &str| {
            let settings = S3Settings {
                bucket: bucket.to_owned(),
                endpoint: server.endpoint(),
                access_key: server.options().access_key.clone(),
                secret_key: server.options().secret_key.clone(),
                path_style: true,
                prefix: prefix.to_owned(),
                ..S3Settings::default()
            };
            Arc::new(S3Sink::new(S3Config::from_settings(settings).unwrap()).unwrap())
        };
        Self {
            kind: Kind::S3,
            config: format!(
                "s3_bucket = \"{bucket}\"\ns3_endpoint = \"{}\"\ns3_access_key = \"{}\"\ns3_secret_key = \"{}\"\n\
                 s3_path_style = true\ns3_prefix = \"{prefix}\"\n",
                server.endpoint(),
                server.options().access_key,
                server.options().secret_key
            ),
            sink: sink(prefix),
            all: sink(""),
        }
    }

    pub fn azure(server: &Azurite, prefix: &str) -> Self {
        let container = runtime().block_on(server.container());
        let sink = |prefix: &str| {
            let config = AzureConfig {
                connection_string: Some(server.connection_string()),
                container: container.clone(),
                prefix: Some(prefix.to_owned()),
                ..AzureConfig::default()
            };
            Arc::new(AzureSink::new(config).unwrap())
        };
        Self {
            kind: Kind::Azure,
            config: format!(
                "azure_connection_string = \"{}\"\nazure_container = \"{container}\"\nazure_prefix = \"{prefix}\"\n",
                server.connection_string()
            ),
            sink: sink(prefix),
            all: sink(""),
        }
    }

    /// The name of the kind in a configuration.
    pub fn name(&self) -> &'static str {
        match self.kind {
            Kind::Local => "local",
            Kind::S3 => "s3",
            Kind::Azure => "azure",
        }
    }
}

/// Makes `storage` Arc's data storage, and `target` the target `far`.
pub fn configure(instance: &Instance, storage: &Place, target: &Place) {
    let path = instance.path("arc.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let old = "backend = \"local\"\nlocal_path = \"./data/arc\"\n";
    assert!(text.contains(old), "the fixture has another storage");
    let new = format!("backend = \"{}\"\n{}", storage.name(), storage.config);
    let text = format!(
        "{}\n[backup.targets.far]\ntype = \"{}\"\n{}",
        text.replace(old, &new),
        target.name(),
        target.config
    );
    std::fs::write(path, text).unwrap();
}

/// The keys of all objects.
pub fn keys(sink: &Arc<dyn Sink>) -> Vec<String> {
    runtime().block_on(async {
        let mut found = Vec::new();
        let mut listing = sink.list(ListOptions::default());
        while let Some(row) = listing.next().await {
            if let Listed::Object(meta) = row.unwrap() {
                found.push(meta.key.to_string());
            }
        }
        found
    })
}

/// Every object below a prefix, by key.
pub fn contents(sink: &Arc<dyn Sink>) -> BTreeMap<String, Vec<u8>> {
    runtime().block_on(async {
        let mut found = BTreeMap::new();
        let mut listing = sink.list(ListOptions::default());
        while let Some(row) = listing.next().await {
            let Listed::Object(meta) = row.unwrap() else {
                continue;
            };
            let object = sink.get(&meta.key, GetOptions::default()).await.unwrap();
            let bytes = object.body.collect(1 << 30, &meta.key).await.unwrap();
            found.insert(meta.key.to_string(), bytes);
        }
        found
    })
}

pub fn put(sink: &Arc<dyn Sink>, key: &str, bytes: &[u8]) {
    runtime().block_on(async {
        let key = Key::parse(key).unwrap();
        let mut upload = sink.begin(&key, WriteOptions::default()).await.unwrap();
        upload.write(bytes.to_vec().into()).await.unwrap();
        upload.commit().await.unwrap();
    });
}

pub fn put_all(sink: &Arc<dyn Sink>, files: &BTreeMap<String, Vec<u8>>) {
    runtime().block_on(async {
        futures::stream::iter(files)
            .for_each_concurrent(16, async |(key, bytes)| {
                let key = Key::parse(key).unwrap();
                let mut upload = sink.begin(&key, WriteOptions::default()).await.unwrap();
                upload.write(bytes.clone().into()).await.unwrap();
                upload.commit().await.unwrap();
            })
            .await;
    });
}

pub fn delete(sink: &Arc<dyn Sink>, keys: &[&str]) {
    let keys: Vec<_> = keys.iter().map(|key| Key::parse(key).unwrap()).collect();
    runtime().block_on(sink.delete(&keys)).unwrap();
}

/// A storage with the sample's data in it. Every other one has no prefix, so that replaced files go
/// to the target.
pub fn storage(kind: Kind, instance: &Instance, server: &S3Server, with_prefix: bool) -> Place {
    let prefix = if with_prefix { "live/arc" } else { "" };
    let place = match kind {
        Kind::Local => return Place::local(instance, "data/arc"),
        Kind::S3 => Place::s3(server, "data", prefix),
        // Arc reads the whole container.
        Kind::Azure => Place::azure(Azurite::shared(), ""),
    };
    let files = contents(&Place::local(instance, "data/arc").sink);
    put_all(&place.sink, &files);
    std::fs::remove_dir_all(instance.path("data/arc")).unwrap();
    place
}

pub fn target(kind: Kind, instance: &Instance, server: &S3Server) -> Place {
    match kind {
        Kind::Local => Place::local(instance, "data/far"),
        Kind::S3 => Place::s3(server, "backups", "of/arc-1"),
        Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1"),
    }
}

/// Posts, waits, and returns the operation, which must complete.
pub fn done(service: &Service, path: &str, body: &str) -> Value {
    let accepted = service.post(path, body);
    assert_eq!(accepted.status, 202, "{path}: {}", accepted.text);
    let ended = service.wait();
    assert_eq!(ended["status"], "completed", "{path}: {ended}");
    ended
}
