//! An instance whose data is in memory and whose target is a sink of the test's choice, with the
//! program as a library.

use std::path::Path;
use std::sync::Arc;

use arc_backup::{
    ArcBackup, BackupId, BackupOptions, Error, Freed, Operation, Overrides, Registry, Request,
    RestoreOptions, Status, Sweep, VerifyMode, Who,
};
use arc_backup_core::{MemorySink, Scope, Section, Sink};
use arc_backup_local::{LocalConfig, LocalSink};
use arc_backup_s3::{S3Config, S3Settings, S3Sink};
use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::{S3Server, ServerOptions};
use tokio::runtime::Runtime;

use super::fuse::{Fuse, FusedSink};
use super::referring;
use crate::stores::Place;

/// Where backups go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Memory,
    Local,
    S3,
    /// Azurite.
    Azure,
}

/// Those that cost little. Azurite answers a request in milliseconds: it has tests of its own.
pub const KINDS: [Kind; 3] = [Kind::Memory, Kind::Local, Kind::S3];

pub struct World {
    pub runtime: Runtime,
    pub engine: Arc<ArcBackup>,
    /// Arc's data.
    pub data: Arc<dyn Sink>,
    /// The target, past the fuse.
    pub target: Arc<dyn Sink>,
    /// The target `far`, past the fuse, where there is one.
    pub far: Option<Arc<dyn Sink>>,
    pub fuse: Arc<Fuse>,
    _server: Option<S3Server>,
    _folder: tempfile::TempDir,
}

impl World {
    pub fn new(kind: Kind) -> Self {
        Self::build(kind, None)
    }

    /// One with a second target, `far`, in memory.
    pub fn with_far(kind: Kind) -> Self {
        Self::build(kind, Some(Arc::new(MemorySink::new())))
    }

    fn build(kind: Kind, far: Option<Arc<dyn Sink>>) -> Self {
        let runtime = Runtime::new().unwrap();
        // In memory if possible: the history is written at each operation.
        let folder = match Path::new("/dev/shm").is_dir() {
            true => tempfile::tempdir_in("/dev/shm"),
            false => tempfile::tempdir(),
        };
        let folder = folder.unwrap();
        let mut server = None;
        let target: Arc<dyn Sink> = match kind {
            Kind::Memory => Arc::new(MemorySink::new()),
            Kind::Local => {
                let config = LocalConfig::new(folder.path().join("target"));
                Arc::new(LocalSink::new(config))
            }
            Kind::Azure => Place::azure(Azurite::shared(), "of/arc-1").sink,
            Kind::S3 => {
                let started = S3Server::start(ServerOptions {
                    buckets: vec!["backups".to_owned()],
                    ..ServerOptions::default()
                });
                let started = started.unwrap();
                let settings = S3Settings {
                    bucket: "backups".to_owned(),
                    endpoint: started.endpoint(),
                    access_key: started.options().access_key.clone(),
                    secret_key: started.options().secret_key.clone(),
                    path_style: true,
                    prefix: "of/arc-1".to_owned(),
                    ..S3Settings::default()
                };
                server = Some(started);
                let config = S3Config::from_settings(settings).unwrap();
                runtime.block_on(async { Arc::new(S3Sink::new(config).unwrap()) })
            }
        };
        let data: Arc<dyn Sink> = Arc::new(MemorySink::new());
        let fuse = Arc::new(Fuse::default());
        let engine = runtime.block_on(async {
            let fused = |inner: &Arc<dyn Sink>| -> Arc<dyn Sink> {
                Arc::new(FusedSink {
                    inner: inner.clone(),
                    fuse: fuse.clone(),
                })
            };
            let far = far.as_ref().map(fused);
            engine(folder.path(), data.clone(), fused(&target), far)
        });
        Self {
            runtime,
            engine,
            data,
            target,
            far,
            fuse,
            _server: server,
            _folder: folder,
        }
    }

    pub fn write(&self, name: &str, text: &str) {
        self.write_in("iot", name, text);
    }

    pub fn write_in(&self, database: &str, name: &str, text: &str) {
        let name = format!("{database}/m/2026/11/29/00/{name}.parquet");
        let put = referring::put(&*self.data, &name, text.as_bytes().to_vec());
        self.runtime.block_on(put);
    }

    pub fn remove(&self, name: &str) {
        let name = referring::key(&format!("iot/m/2026/11/29/00/{name}.parquet"));
        self.runtime.block_on(self.data.delete(&[name])).unwrap();
    }

    pub fn run(&self, request: Request) -> Result<Operation, Error> {
        let who = Who {
            actor: "test".to_owned(),
            origin: arc_backup::Origin::Cli,
            fingerprint: None,
            token: None,
        };
        self.runtime.block_on(async {
            let running = self.engine.start(request, who).await?;
            Ok(running.wait().await)
        })
    }

    pub fn completed(&self, request: Request, case: &str) -> Operation {
        let ended = self
            .run(request)
            .unwrap_or_else(|error| panic!("{case}: {error}"));
        assert_eq!(ended.status, Status::Completed, "{case}: {:?}", ended.error);
        ended
    }

    /// A full backup; returns its id.
    pub fn full(&self) -> String {
        let options = BackupOptions::of(Scope::of_sections([Section::Data]));
        self.completed(Request::Backup(options), "full").backup_id
    }

    /// A backup that refers to the files of `base` that did not change.
    pub fn incremental(&self, base: &str) -> String {
        let id = self.full();
        let refer = referring::refer(&*self.target, &id, base);
        self.runtime.block_on(refer);
        id
    }

    pub fn delete(&self, id: &str, case: &str) -> Operation {
        self.completed(
            Request::Delete(parsed(id), None, arc_backup::LastGood::Delete),
            case,
        )
    }

    pub fn estimate(&self, ids: &[&str]) -> Result<Freed, Error> {
        let named: Vec<_> = ids.iter().map(|id| (parsed(id), None)).collect();
        self.runtime
            .block_on(self.engine.estimate_deletions(&named))
    }

    pub fn sweep(&self, apply: bool) -> Sweep {
        self.runtime.block_on(self.engine.sweep(apply)).unwrap()
    }

    pub fn verify(&self, id: &str, case: &str) {
        self.completed(
            Request::Verify(parsed(id), VerifyMode::Full.into(), None),
            case,
        );
    }

    pub fn restore(&self, id: &str, case: &str) {
        let options = RestoreOptions {
            scope: Scope::of_sections([Section::Data]),
            ..RestoreOptions::default()
        };
        self.completed(Request::Restore(parsed(id), options, None), case);
    }

    /// The listed backups, oldest first; none may be damaged. They are those with a manifest, and
    /// every file of each is where its inventory says.
    pub fn listed(&self, case: &str) -> Vec<String> {
        let answer = self
            .runtime
            .block_on(self.engine.list(None, false))
            .unwrap();
        assert!(answer.errors.is_empty(), "{case}: {:?}", answer.errors);
        assert!(answer.damaged.is_empty(), "{case}: {:?}", answer.damaged);
        let mut ids: Vec<_> = (answer.backups.into_iter())
            .map(|one| one.backup_id)
            .collect();
        ids.sort();
        let whole = self.runtime.block_on(referring::check_all(&*self.target));
        assert_eq!(whole.as_ref(), Ok(&ids), "{case}");
        ids
    }

    pub fn leftovers(&self) -> Vec<String> {
        self.runtime.block_on(referring::leftovers(&*self.target))
    }

    pub fn objects(&self) -> std::collections::BTreeMap<String, u64> {
        self.runtime.block_on(referring::objects(&*self.target))
    }

    pub fn text(&self, name: &str) -> Option<Vec<u8>> {
        self.runtime.block_on(referring::get(&*self.target, name))
    }

    pub fn put(&self, name: &str, bytes: &[u8]) {
        let put = referring::put(&*self.target, name, bytes.to_vec());
        self.runtime.block_on(put);
    }

    pub fn drop_objects(&self, names: &[&str]) {
        let keys: Vec<_> = names.iter().map(|name| referring::key(name)).collect();
        self.runtime.block_on(self.target.delete(&keys)).unwrap();
    }

    /// Nothing is in the target but the locks.
    pub fn is_empty(&self, case: &str) {
        let left: Vec<_> = (self.objects().into_keys())
            .filter(|name| !referring::is_lock(name))
            .collect();
        assert_eq!(left, Vec::<String>::new(), "{case}: not empty");
    }
}

pub fn parsed(id: &str) -> BackupId {
    BackupId::parse(id).unwrap()
}

fn engine(
    folder: &Path,
    storage: Arc<dyn Sink>,
    target: Arc<dyn Sink>,
    far: Option<Arc<dyn Sink>>,
) -> Arc<ArcBackup> {
    let path = folder.join("arc.toml");
    let mut text = format!(
        "[storage]\nlocal_path = \"{0}/data\"\n[auth]\ndb_path = \"{0}/arc.db\"\n[backup]\n\
         local_path = \"{0}/backups\"\nstate_path = \"{0}/state/history.db\"\nconcurrency = 1\n",
        folder.display()
    );
    if far.is_some() {
        text.push_str(&format!(
            "[arc_backup.targets.far]\ntype = \"local\"\nlocal_path = \"{}/far\"\n",
            folder.display()
        ));
    }
    std::fs::write(&path, text).unwrap();
    let settings = Registry::new().settings(&Overrides {
        config: Some(path),
        ignore_environment: true,
    });
    let mut registry = Registry::new();
    registry.wrap_sinks(move |name, _| match name {
        None => storage.clone(),
        Some("far") => far.clone().unwrap(),
        Some(_) => target.clone(),
    });
    ArcBackup::new(settings.unwrap(), &registry).unwrap()
}
