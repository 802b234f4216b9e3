//! What takes a sink of its own to show: slow deletions, panics.

#[path = "../../tests/support/contract.rs"]
mod contract;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_backup_core::{
    AsideStore, Child, DeferredDurability, Error, ErrorKind, ExpiringLocks, Folders, GetOptions,
    HardLinks, Key, ListOptions, ListStream, LockOutcome, MemorySink, Meta, Object, Result,
    ServerCopy, Sink, SinkProperties, SnapshotStore, StagingArea, UnfinishedUploads, Upload,
    WriteOptions,
};
use async_trait::async_trait;
use poem::endpoint::BoxEndpoint;
use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use serde_json::{Map, Value};

use super::app::app_with;
use crate::Registry;
use crate::auth::Authenticator;
use crate::config::Overrides;
use crate::manifest::{
    ClusterInfo, Consistency, DamagedFile, DatabaseIncluded, DatabaseTotals, InventoryRef,
    Manifest, MeasurementTotals, MissingFile, Rehashed, SectionTotals, SourceInfo, StoredTotals,
};
use crate::operations::ArcBackup;
use crate::schedule::Scheduler;

/// An HTTP answer, to be checked against the document.
#[derive(Debug)]
struct Answer {
    status: u16,
    text: String,
    headers: BTreeMap<String, String>,
}

/// A sink in memory whose deletions wait for leave, and whose listing panics on request.
#[derive(Debug, Default)]
struct OddSink {
    inner: MemorySink,
    held: AtomicBool,
    panics: AtomicBool,
    /// What its lock and its deletions fail with.
    fault: Mutex<Option<ErrorKind>>,
}

impl OddSink {
    fn fail(&self, operation: &'static str, key: &str) -> Result<()> {
        match *self.fault.lock().expect("no panic") {
            Some(kind) => Err(Error::new(kind, operation, key, "as requested")),
            None => Ok(()),
        }
    }
}

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl Sink for OddSink {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn properties(&self) -> SinkProperties {
        self.inner.properties()
    }
    async fn begin(&self, key: &Key, options: WriteOptions) -> Result<Box<dyn Upload>> {
        self.inner.begin(key, options).await
    }
    async fn get(&self, key: &Key, options: GetOptions) -> Result<Object> {
        self.inner.get(key, options).await
    }
    async fn head(&self, key: &Key) -> Result<Option<Meta>> {
        self.inner.head(key).await
    }
    fn list(&self, options: ListOptions) -> ListStream {
        self.inner.list(options)
    }
    async fn list_children(&self, folder: Option<&Key>) -> Result<Vec<Child>> {
        assert!(!self.panics.load(Ordering::Relaxed), "as requested");
        self.inner.list_children(folder).await
    }
    async fn delete(&self, keys: &[Key]) -> Result<()> {
        while self.held.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        if let Some(key) = keys.first() {
            self.fail("delete", key)?;
        }
        self.inner.delete(keys).await
    }
    async fn settle(&self) {
        self.inner.settle().await;
    }
    async fn lock(&self, key: &Key, holder: &str) -> Result<LockOutcome> {
        self.fail("lock", key)?;
        self.inner.lock(key, holder).await
    }
    async fn lock_holder(&self, key: &Key) -> Result<Option<String>> {
        self.inner.lock_holder(key).await
    }
    fn staging(&self) -> Option<&dyn StagingArea> {
        self.inner.staging()
    }
    fn aside(&self) -> Option<&dyn AsideStore> {
        self.inner.aside()
    }
    fn snapshots(&self) -> Option<&dyn SnapshotStore> {
        self.inner.snapshots()
    }
    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy()
    }
    fn hard_links(&self) -> Option<&dyn HardLinks> {
        self.inner.hard_links()
    }
    fn folders(&self) -> Option<&dyn Folders> {
        self.inner.folders()
    }
    fn unfinished_uploads(&self) -> Option<&dyn UnfinishedUploads> {
        self.inner.unfinished_uploads()
    }
    fn deferred_durability(&self) -> Option<&dyn DeferredDurability> {
        self.inner.deferred_durability()
    }
    fn expiring_locks(&self) -> Option<&dyn ExpiringLocks> {
        self.inner.expiring_locks()
    }
}

struct Service {
    sink: Arc<OddSink>,
    app: BoxEndpoint<'static, Response>,
    _folder: tempfile::TempDir,
}

impl Service {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().display();
        std::fs::create_dir(folder.path().join("data")).expect("room");
        std::fs::write(folder.path().join("data/a.parquet"), b"rows").expect("room");
        let config = folder.path().join("arc.toml");
        let text = format!(
            "[storage]\nlocal_path = \"{root}/data\"\n[auth]\nenabled = false\ndb_path = \"{root}/arc.db\"\n\
             [backup]\nlocal_path = \"{root}/backups\"\ndefault_target = \"odd\"\n[backup.targets.odd]\ntype = \"odd\"\n"
        );
        std::fs::write(&config, text).expect("room");
        let settings = Registry::new()
            .settings(&Overrides {
                config: Some(config),
                ignore_environment: true,
            })
            .expect("a valid configuration");
        let sink = Arc::new(OddSink::default());
        let mut registry = Registry::new();
        let made = sink.clone();
        registry.add_sink("odd", move |_, _| Ok(made.clone() as Arc<dyn Sink>));
        let authenticator = Arc::new(Authenticator::new(settings.auth.clone()));
        let engine = ArcBackup::new(settings, &registry).expect("a valid configuration");
        let scheduler = Scheduler::of(engine).expect("no schedules");
        Self {
            sink,
            app: app_with(scheduler, authenticator, Duration::from_millis(200)),
            _folder: folder,
        }
    }

    async fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = (Request::builder().method(method.clone())).uri_str(path);
        let response = self.app.get_response(request.finish()).await;
        let status = response.status();
        let headers = (response.headers().iter())
            .map(|(name, value)| {
                let value = value.to_str().expect("a text");
                (name.to_string(), value.to_owned())
            })
            .collect();
        let answer = Answer {
            status: status.as_u16(),
            headers,
            text: response.into_body().into_string().await.expect("a text"),
        };
        contract::check(method.as_str(), path, &answer);
        (status, serde_json::from_str(&answer.text).expect("JSON"))
    }

    async fn wait(&self) -> Value {
        loop {
            let (_, status) = self.ask(Method::GET, "/api/v1/backup/status").await;
            if status["status"] != "running" {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// A client that gives up after 30 s would never learn what became of a large deletion.
#[tokio::test]
async fn a_long_deletion_answers_202_and_goes_on() {
    let service = Service::new();
    let (status, begun) = service.ask(Method::POST, "/api/v1/backup").await;
    assert_eq!(status, StatusCode::ACCEPTED, "{begun}");
    let made = service.wait().await;
    assert_eq!(made["status"], "completed", "{made}");
    let path = format!(
        "/api/v1/backup/{}",
        made["backup_id"].as_str().expect("an id")
    );
    service.sink.held.store(true, Ordering::Relaxed);
    let (status, answer) = service.ask(Method::DELETE, &path).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{answer}");
    assert_eq!(answer["status"], "running");
    let (status, busy) = service.ask(Method::DELETE, &path).await;
    assert_eq!(status, StatusCode::CONFLICT, "{busy}");
    assert_eq!(busy["operation"], "delete");
    service.sink.held.store(false, Ordering::Relaxed);
    assert_eq!(service.wait().await["status"], "completed");
    let (status, _) = service.ask(Method::GET, &path).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let left = service.sink.inner.list_children(None).await;
    assert_eq!(left.expect("a listing"), Vec::new());
}

/// A panic must be an answer, not a connection that closes; and an operation that panics must not
/// run for ever.
#[tokio::test]
async fn a_panic_is_a_500_with_a_body_and_the_service_goes_on() {
    let service = Service::new();
    service.sink.panics.store(true, Ordering::Relaxed);
    let (status, answer) = service.ask(Method::GET, "/api/v1/backup").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(answer["error"], "Internal server error");
    service.ask(Method::POST, "/api/v1/backup").await;
    let ended = service.wait().await;
    assert_eq!(ended["status"], "failed", "{ended}");
    service.sink.panics.store(false, Ordering::Relaxed);
    let (status, list) = service.ask(Method::GET, "/api/v1/backup").await;
    assert_eq!((status, &list["count"]), (StatusCode::OK, &0.into()));
}

/// Whose fault it is decides whether a client, and who is called at night, tries again or looks at
/// the configuration.
#[tokio::test]
async fn a_targets_fault_is_not_the_services_own() {
    let service = Service::new();
    let cases = [
        (ErrorKind::PermissionDenied, 502),
        (ErrorKind::NotFound, 502),
        (ErrorKind::Corrupt, 502),
        (ErrorKind::Other, 502),
        (ErrorKind::Unavailable, 503),
        (ErrorKind::Throttled, 503),
        (ErrorKind::NoSpace, 507),
    ];
    for (kind, status) in cases {
        *service.sink.fault.lock().expect("no panic") = Some(kind);
        let (got, answer) = service.ask(Method::POST, "/api/v1/backup").await;
        assert_eq!(got.as_u16(), status, "{kind:?}: {answer}");
        let error = answer["error"].as_str().expect("a text");
        let parts = ["target `odd`", "as requested", "cannot lock"];
        assert!(parts.iter().all(|part| error.contains(part)), "{error}");
    }
    *service.sink.fault.lock().expect("no panic") = None;
    let (status, _) = service.ask(Method::POST, "/api/v1/backup").await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let made = service.wait().await;
    assert_eq!(made["status"], "completed", "{made}");
    // What fails while it is waited for, too.
    service.sink.held.store(true, Ordering::Relaxed);
    let path = format!(
        "/api/v1/backup/{}",
        made["backup_id"].as_str().expect("an id")
    );
    let failing = async {
        while service.ask(Method::GET, "/api/v1/backup/status").await.1["operation"] != "delete" {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        *service.sink.fault.lock().expect("no panic") = Some(ErrorKind::Throttled);
        service.sink.held.store(false, Ordering::Relaxed);
    };
    let both = futures::future::join(service.ask(Method::DELETE, &path), failing);
    let ended = tokio::time::timeout(Duration::from_secs(20), both).await;
    let ((status, answer), ()) = ended.expect("it was waited for");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
    let error = answer["error"].as_str().expect("a text");
    assert!(error.contains("target `odd`"), "{error}");
}

/// A client that was generated drops a field that the document does not have, or stumbles over it.
#[test]
fn every_field_of_a_manifest_is_in_the_document() {
    let text = || "a text".to_owned();
    let reference = || InventoryRef {
        entries: 1,
        bytes: 1,
        sha256: "0".repeat(64),
        compression: Some(text()),
    };
    // Whole, without a rest by default: a field that is new has to come here.
    let manifest = Manifest {
        config_redacted: vec![text()],
        version: text(),
        backup_id: "backup-20260211-143022-a1b2c3d4".to_owned(),
        created_at: "2026-02-11T14:30:22.104Z".to_owned(),
        backup_type: "full".to_owned(),
        base_backup_id: Some("backup-20260210-143022-a1b2c3d4".to_owned()),
        stored_in: [(text(), StoredTotals { files: 1, bytes: 1 })].into(),
        schedule: Some(text()),
        copied_from: Some(crate::manifest::CopiedFrom {
            target: text(),
            at: "2026-02-11T14:30:22.104Z".to_owned(),
        }),
        databases: vec![DatabaseTotals {
            name: text(),
            measurements: vec![MeasurementTotals {
                name: text(),
                file_count: 1,
                size_bytes: 1,
                rows: Some(1),
            }],
            file_count: 1,
            size_bytes: 1,
            rows: Some(1),
        }],
        total_files: 1,
        total_size_bytes: 1,
        auxiliary_files: 1,
        compaction_state_files: 1,
        unaddressable_files: 1,
        unaddressable_sample: vec![text()],
        total_rows: Some(1),
        files_without_rows: 1,
        damaged_files: 1,
        damaged_sample: vec![DamagedFile {
            path: text(),
            damage: "torn".to_owned(),
            detail: text(),
        }],
        special_files: 1,
        special_sample: vec![text()],
        has_metadata: true,
        has_iceberg_catalog: true,
        has_config: true,
        cold_size_bytes: 1,
        cold_files: Some(1),
        cold_files_excluded: 1,
        cluster: Some(ClusterInfo {
            name: Some(text()),
            node_storage: true,
        }),
        scope: vec![text()],
        owner_instance_id: Some(text()),
        iceberg_warehouse: Some(serde_json::json!({
            "path": text(), "configured_path": text(), "file_count": 1, "size_bytes": 1
        })),
        target: Some(text()),
        run_targets: vec![text()],
        run_inventories: BTreeMap::from([(text(), text())]),
        is_default_target: Some(true),
        format: Some(1),
        tool: Some(text()),
        completed_at: Some("2026-02-11T14:30:32.870Z".to_owned()),
        duration_seconds: Some(1.5),
        source: Some(SourceInfo {
            backend: text(),
            location: text(),
            instance: Some(text()),
        }),
        consistency: Some(Consistency {
            method: text(),
            moment: "2026-02-11T14:30:22.104Z".to_owned(),
            flushed: Some(true),
        }),
        sections: vec![SectionTotals {
            name: text(),
            files: 1,
            bytes: 1,
        }],
        databases_included: vec![DatabaseIncluded {
            file: text(),
            setting: text(),
        }],
        not_included: vec![text()],
        reused_files: 1,
        reused_bytes: 1,
        rehashed: Some(Rehashed {
            files: 1,
            bytes: 1,
            next: 1,
            covered: 1,
        }),
        missing_files: 1,
        missing: vec![MissingFile {
            path: text(),
            detail: text(),
        }],
        file_list: Some(reference()),
        inventory: Some(reference()),
        sha256: Some("0".repeat(64)),
        unknown: Map::new(),
    };
    let mut body = serde_json::to_value(manifest).expect("plain data");
    body["has_checksums"] = true.into();
    body["state"] = "ok".into();
    body["targets"] = vec![text()].into();
    body["new_bytes"] = 1.into();
    body["labels"] = vec![text()].into();
    body["locked"] = false.into();
    let answer = |body: &Value| Answer {
        status: 200,
        text: body.to_string(),
        headers: BTreeMap::from([(
            "content-type".to_owned(),
            "application/json; charset=utf-8".to_owned(),
        )]),
    };
    let path = "/api/v1/backup/backup-20260211-143022-a1b2c3d4";
    contract::check("GET", path, &answer(&body));
    body["source"]["unheard_of"] = 1.into();
    let found = contract::find_fault("GET", path, &answer(&body));
    assert!(found.is_err_and(|fault| fault.contains("unheard_of")));
}

/// A client is written by the examples: each must be what the document says of it, and so must each
/// default.
#[test]
fn examples_and_defaults_are_what_the_document_promises() {
    fn find_null(value: &Value) -> bool {
        match value {
            Value::Array(items) => items.iter().any(find_null),
            Value::Object(fields) => {
                let is_null = fields.get("default") == Some(&Value::Null);
                is_null || fields.values().any(find_null)
            }
            _ => false,
        }
    }
    let document: Value = serde_json::from_str(&super::document()).expect("JSON");
    assert!(!find_null(&document["components"]), "a default of null");
    let mut checked = 0;
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("methods") {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                for (kind, media) in response["content"].as_object().into_iter().flatten() {
                    let answer = Answer {
                        status: status.parse().expect("a status"),
                        text: media["example"].to_string(),
                        headers: BTreeMap::from([
                            ("content-type".to_owned(), kind.clone()),
                            ("www-authenticate".to_owned(), "Bearer".to_owned()),
                            ("location".to_owned(), "/".to_owned()),
                            ("retry-after".to_owned(), "1".to_owned()),
                            ("content-length".to_owned(), "1".to_owned()),
                            ("content-range".to_owned(), "bytes 0-0/1".to_owned()),
                            ("accept-ranges".to_owned(), "bytes".to_owned()),
                        ]),
                    };
                    contract::check(&method.to_uppercase(), path, &answer);
                    checked += 1;
                }
            }
        }
    }
    assert!(checked > 80, "{checked} examples");
}
