//! Verifications beside backups, and the leases that keep deletions from what is read.
//!
//! The cases with several processes on local disk are in `tests/readers.rs`.

use crate::{scene, stores};

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_backup::core::{LockGuard, Sink};
use arc_backup::{ArcBackup, Error, Holder, Overrides, Registry};
use arc_backup_s3::{S3Config, S3Settings, S3Sink};
use arc_backup_test_azurite::Azurite;
use arc_backup_test_s3::{Fault, Rule, S3Server, Verb};
use serde_json::{Value, json};
use stores::{Place, s3_server};

use crate::support::{Instance, Service, text};

/// An instance whose backups go to S3, where each file takes a while when that is asked for.
struct Scene {
    instance: Instance,
    server: S3Server,
}

impl Scene {
    fn new() -> Self {
        let (instance, server) = (scene::small(), s3_server());
        let target = Place::s3(&server, "backups", "");
        instance.configure(&format!(
            "state_path = \"./state/history.db\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"s3\"\n{}",
            target.config
        ));
        Self { instance, server }
    }

    /// From now on, each file of the data of a backup is read, or written, a second later.
    fn slow_down(&self) {
        for verb in [Verb::GetObject, Verb::PutObject] {
            let rule = Rule::new(Fault::Delay(Duration::from_secs(1))).verb(verb);
            self.server.fault(rule.key("/data/"));
        }
    }

    /// The keys of leases.
    fn leases(&self) -> Vec<String> {
        let mut keys = self.server.keys("backups");
        keys.retain(|key| key.contains(".arc-backup/readers"));
        keys
    }

    /// Runs a command in the background.
    fn spawn(&self, arguments: &[&str]) -> Child {
        let mut command = self.instance.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

const BACKUPS: &str = "/api/v1/backup";

/// Starts an operation over REST, and returns its id.
fn start(service: &Service, path: &str, body: &str) -> String {
    let accepted = service.post(path, body);
    assert_eq!(accepted.status, 202, "{path}: {}", accepted.text);
    accepted.json()["operation_id"].as_str().unwrap().to_owned()
}

fn verify(service: &Service, id: &str) -> String {
    start(service, &format!("{BACKUPS}/{id}/verify"), "")
}

fn operation(service: &Service, operation_id: &str, wait: &str) -> Value {
    let path = format!("{BACKUPS}/operations/{operation_id}{wait}");
    service.get(&path).json()
}

/// Waits for the end of an operation, which must complete.
fn completed(service: &Service, operation_id: &str) {
    let ended = operation(service, operation_id, "?wait=60s");
    assert_eq!(ended["status"], "completed", "{ended}");
}

/// Waits for something that happens soon.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let ends = Instant::now() + Duration::from_secs(30);
    while !is_so() {
        assert!(Instant::now() < ends, "it never came that {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Guards against a night in which verification and backup take turns, and against an answer of
/// Arc's that no longer holds: backup, restore and deletion still run one at a time.
#[test]
fn a_service_verifies_and_backs_up_at_the_same_time() {
    let scene = Scene::new();
    let (first, second) = (scene.instance.backup(), scene.instance.backup());
    let service = scene.instance.serve();
    scene.slow_down();
    let backup = start(&service, BACKUPS, "{}");
    let verifications = [verify(&service, &first), verify(&service, &second)];
    let status = service.get(&format!("{BACKUPS}/status")).json();
    assert_eq!(status["operation_id"], backup.as_str(), "{status}");
    let mut also: Vec<_> = (status["also_running"].as_array().unwrap().iter())
        .map(|one| (one["operation"].clone(), one["operation_id"].clone()))
        .collect();
    also.sort_by_key(|one| one.1.to_string());
    let mut wanted = verifications.clone().map(|id| (json!("verify"), json!(id)));
    wanted.sort_by_key(|one| one.1.to_string());
    assert_eq!(also, wanted, "{status}");
    let running = service.get(&format!("{BACKUPS}/operations?status=running"));
    assert_eq!(running.json()["total"], 3, "{}", running.text);
    // One at a time.
    let refused = service.post(BACKUPS, "{}");
    assert_eq!(refused.status, 409, "{}", refused.text);
    assert!(refused.text.contains(&backup), "{}", refused.text);
    let restore = json!({"backup_id": first, "confirm": true}).to_string();
    let refused = service.post(&format!("{BACKUPS}/restore"), &restore);
    assert_eq!(refused.status, 409, "{}", refused.text);
    scene.server.heal();
    for id in verifications.iter().chain([&backup]) {
        completed(&service, id);
    }
    assert_eq!(scene.leases(), Vec::<String>::new());
    let (_, list) = scene.instance.json(&["list"]);
    for id in [&first, &second] {
        let rows = list["backups"].as_array().unwrap();
        let row = rows.iter().find(|row| row["backup_id"] == id.as_str());
        assert_eq!(row.unwrap()["last_verified"]["ok"], true, "{list}");
    }
    let ended = service.get(&format!("{BACKUPS}/status")).json();
    assert!(ended.get("also_running").is_none(), "{ended}");
}

/// Guards against a deletion that takes files from under a verification, and against a cancel over
/// REST that ends the wrong one.
#[test]
fn a_deletion_over_rest_names_the_reader_and_a_cancel_takes_an_id() {
    let scene = Scene::new();
    let (first, second) = (scene.instance.backup(), scene.instance.backup());
    let service = scene.instance.serve();
    scene.slow_down();
    let (one, two) = (verify(&service, &first), verify(&service, &first));
    let busy = service.delete(&format!("{BACKUPS}/{second}"));
    assert_eq!(busy.status, 409, "{}", busy.text);
    let body = busy.json();
    assert!(
        [&one, &two]
            .iter()
            .any(|id| body["operation_id"] == id.as_str()),
        "{body}"
    );
    assert_eq!(body["operation"], "verify", "{body}");
    let swept = scene.instance.run(&["sweep", "--apply"]);
    assert_eq!(swept.status.code(), Some(3), "{}", text(&swept));
    let unclear = service.post(&format!("{BACKUPS}/cancel"), "");
    assert_eq!(unclear.status, 400, "{}", unclear.text);
    assert!(
        unclear.text.contains(&one) && unclear.text.contains(&two),
        "{}",
        unclear.text
    );
    let named = service.post(&format!("{BACKUPS}/cancel?operation_id={one}"), "");
    assert_eq!(
        (named.status, &named.json()["operation_id"]),
        (202, &json!(one))
    );
    let ended = operation(&service, &one, "?wait=30s");
    assert_eq!(ended["status"], "cancelled", "{ended}");
    assert_eq!(operation(&service, &two, "")["status"], "running");
    let again = service.post(&format!("{BACKUPS}/cancel?operation_id={one}"), "");
    assert_eq!(again.status, 409, "{}", again.text);
    // It waits for the other one.
    let deletion = scene.spawn(&["delete", &second, "--yes", "--wait", "60s"]);
    std::thread::sleep(Duration::from_millis(300));
    scene.server.heal();
    completed(&service, &two);
    let deleted = deletion.wait_with_output().unwrap();
    assert!(deleted.status.success(), "{}", text(&deleted));
    assert_eq!(scene.leases(), Vec::<String>::new());
}

/// Guards against a history in which the crash of one of two operations is that of the other, and
/// against a lease in S3 that stays for its time though its process is known to be dead.
#[test]
fn a_killed_verification_frees_its_lease_and_leaves_the_backup_beside_it_alone() {
    let scene = Scene::new();
    let first = scene.instance.backup();
    let service = scene.instance.serve();
    scene.slow_down();
    let mut child = scene.spawn(&["verify", &first]);
    until("it has its lease", || !scene.leases().is_empty());
    let backup = start(&service, BACKUPS, "{}");
    child.kill().unwrap();
    child.wait().unwrap();
    let all = service
        .get(&format!("{BACKUPS}/operations?operation=verify"))
        .json();
    let verification = &all["operations"][0];
    assert_eq!(verification["status"], "failed", "{all}");
    assert_eq!(verification["error"], "interrupted", "{all}");
    assert_eq!(operation(&service, &backup, "")["status"], "running");
    scene.server.heal();
    completed(&service, &backup);
    assert_eq!(scene.leases().len(), 1, "nobody has removed it");
    scene.instance.ok(&["delete", &first, "--yes"]);
    assert_eq!(scene.leases(), Vec::<String>::new());
}

/// Guards against the other case: a killed backup, and a verification that goes on.
#[test]
fn a_killed_backup_leaves_the_verification_beside_it_alone() {
    let scene = Scene::new();
    let first = scene.instance.backup();
    let service = scene.instance.serve();
    scene.slow_down();
    let verification = verify(&service, &first);
    let mut child = scene.spawn(&["backup"]);
    let is_writing = || {
        let keys = scene.server.keys("backups");
        keys.iter().any(|key| key.contains(".arc-backup/journal/"))
    };
    until("it writes", is_writing);
    child.kill().unwrap();
    child.wait().unwrap();
    let all = service
        .get(&format!(
            "{BACKUPS}/operations?operation=backup&status=failed"
        ))
        .json();
    assert_eq!(all["operations"][0]["error"], "interrupted", "{all}");
    assert_eq!(operation(&service, &verification, "")["status"], "running");
    scene.server.heal();
    // The next backup removes what the dead one left, and not what the verification uses.
    scene.instance.backup();
    completed(&service, &verification);
}

/// Guards against a copy to a second target that waits for a backup, or keeps one waiting, and
/// against a deletion of what is copied.
#[test]
fn a_copy_runs_beside_a_backup_of_the_same_target() {
    let scene = Scene::new();
    let (first, _) = (scene.instance.backup(), scene.instance.backup());
    let slow = Rule::new(Fault::Delay(Duration::from_secs(1))).verb(Verb::GetObject);
    scene.server.fault(slow.key("/data/"));
    let copy = scene.spawn(&["copy", &first, "--to", "local"]);
    until("it has its lease", || !scene.leases().is_empty());
    scene.instance.ok(&["backup", "--full"]);
    let busy = scene
        .instance
        .run(&["delete", &first, "--target", "far", "--yes"]);
    let said = text(&busy);
    assert_eq!(busy.status.code(), Some(3), "{said}");
    assert!(said.contains("copy 2"), "{said}");
    scene.server.heal();
    let copied = copy.wait_with_output().unwrap();
    assert!(copied.status.success(), "{}", text(&copied));
    assert_eq!(scene.leases(), Vec::<String>::new());
    let delete = ["delete", &first, "--target", "far", "--yes"];
    scene.instance.ok(&delete);
    scene.instance.ok(&["verify", &first]);
}

/// Guards against a service that ends one of its operations and is killed with the other.
#[test]
fn a_service_that_ends_cancels_all_its_operations() {
    let scene = Scene::new();
    let first = scene.instance.backup();
    let mut service = scene.instance.serve();
    scene.slow_down();
    let (verification, backup) = (verify(&service, &first), start(&service, BACKUPS, "{}"));
    let pid = service.child.id().to_string();
    let asked = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(asked.unwrap().success());
    let status = service.child.wait().unwrap();
    assert_eq!(
        (status.code(), status.signal()),
        (Some(0), None),
        "{status}"
    );
    let (_, history) = scene.instance.json(&["history"]);
    for id in [verification, backup] {
        let all = history["operations"].as_array().unwrap();
        let entry = all
            .iter()
            .find(|one| one["operation_id"] == id.as_str())
            .unwrap();
        assert_eq!(entry["status"], "cancelled", "{entry}");
        assert!(entry["error"].to_string().contains("SIGTERM"), "{entry}");
    }
    assert_eq!(scene.leases(), Vec::<String>::new());
    let keys = scene.server.keys("backups");
    let held: Vec<_> = keys.iter().filter(|key| key.ends_with("lock")).collect();
    assert_eq!(held, Vec::<&String>::new());
}

/// An engine whose locks in S3 are renewed every 0.2 s, and free after 1.5 s.
fn host(server: &S3Server, folder: &std::path::Path) -> Arc<ArcBackup> {
    let root = folder.display();
    std::fs::create_dir_all(folder.join("data")).unwrap();
    let config = folder.join("arc.toml");
    let text = format!(
        "[storage]\nlocal_path = \"{root}/data\"\n[auth]\ndb_path = \"{root}/arc.db\"\n\
         [backup]\nlocal_path = \"{root}/backups\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"short\"\n"
    );
    std::fs::write(&config, text).unwrap();
    let settings = S3Settings {
        bucket: "backups".to_owned(),
        endpoint: server.endpoint(),
        access_key: server.options().access_key.clone(),
        secret_key: server.options().secret_key.clone(),
        path_style: true,
        ..S3Settings::default()
    };
    let mut registry = Registry::new();
    registry.add_sink("short", move |_, _| {
        let mut config = S3Config::from_settings(settings.clone()).unwrap();
        config.lock_renewal = Duration::from_millis(200);
        config.lock_expiry = Duration::from_millis(1_500);
        Ok(Arc::new(S3Sink::new(config).unwrap()) as Arc<dyn Sink>)
    });
    let overrides = Overrides {
        config: Some(config),
        ignore_environment: true,
    };
    ArcBackup::new(registry.settings(&overrides).unwrap(), &registry).unwrap()
}

/// A process of which nothing is known here.
fn elsewhere(operation: &str, operation_id: &str) -> Holder {
    Holder {
        host: "elsewhere".to_owned(),
        process: None,
        ..Holder::this(operation, operation_id)
    }
}

/// Guards against a lease of a dead host that keeps deletions out for ever, and against one that
/// expires while its reader lives.
#[test]
fn a_lease_of_another_host_expires_when_it_is_not_renewed() {
    let server = s3_server();
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let reader = host(&server, folders[0].path());
    let deleter = host(&server, folders[1].path());
    let readers = tokio::runtime::Runtime::new().unwrap();
    let id = "20260211-143022-5f0c1d2e";
    let lease: Box<dyn LockGuard> = readers
        .block_on(
            reader
                .repository(None)
                .unwrap()
                .reader_lease(&elsewhere("verify", id)),
        )
        .unwrap();
    let runtime = stores::runtime();
    let repository = deleter.repository(None).unwrap();
    let delete = elsewhere("delete", "20260211-143022-00000000");
    let lock = runtime.block_on(repository.lock(&delete)).unwrap();
    let check = || runtime.block_on(repository.check_no_readers());
    // Its holder lives for longer than a lease.
    for _ in 0..10 {
        let Err(Error::Busy(busy)) = check() else {
            panic!("a living reader is not seen");
        };
        assert_eq!(
            (&*busy.holder.operation_id, &*busy.holder.host),
            (id, "elsewhere")
        );
        assert!(busy.lock_expires_at.is_some());
        std::thread::sleep(Duration::from_millis(250));
    }
    readers.block_on(lease.check()).unwrap();
    // The host dies.
    std::mem::forget(lease);
    readers.shutdown_background();
    until("it expires", || check().is_ok());
    let keys = server.keys("backups");
    assert!(!keys.iter().any(|key| key.contains("readers")), "{keys:?}");
    runtime.block_on(lock.release()).unwrap();
}

/// Guards against a store whose locks keep readers and deleters apart only by chance.
#[test]
fn a_lease_is_seen_and_given_back_in_every_store() {
    let (instance, server) = (scene::small(), s3_server());
    let runtime = stores::runtime();
    for kind in stores::KINDS {
        let place = match kind {
            stores::Kind::Local => Place::local(&instance, "far"),
            stores::Kind::S3 => Place::s3(&server, "backups", "leases"),
            stores::Kind::Azure => Place::azure(Azurite::shared(), "leases"),
        };
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().display();
        std::fs::create_dir_all(folder.path().join("data")).unwrap();
        let config = folder.path().join("arc.toml");
        let path = instance.path("");
        let far = place
            .config
            .replace("./far", &path.join("far").display().to_string());
        let text = format!(
            "[storage]\nlocal_path = \"{root}/data\"\n[auth]\ndb_path = \"{root}/arc.db\"\n[backup]\n\
             local_path = \"{root}/backups\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"{}\"\n{far}",
            place.name()
        );
        std::fs::write(&config, text).unwrap();
        let registry = Registry::new();
        let overrides = Overrides {
            config: Some(config),
            ignore_environment: true,
        };
        let engine = ArcBackup::new(registry.settings(&overrides).unwrap(), &registry).unwrap();
        let repository = engine.repository(None).unwrap();
        runtime.block_on(async {
            let verify = Holder::this("verify", "20260211-143022-5f0c1d2e");
            let copy = Holder::this("copy", "20260211-143022-6f0c1d2e");
            let delete = Holder::this("delete", "20260211-143022-00000000");
            // A backup does not matter to it.
            let backup = Holder::this("backup", "20260211-143022-11111111");
            let lock = repository.lock(&backup).await.unwrap();
            let leases = [
                repository.reader_lease(&verify).await.unwrap(),
                repository.reader_lease(&copy).await.unwrap(),
            ];
            lock.release().await.unwrap();
            let live = repository.live_readers().await.unwrap();
            assert_eq!(live, [verify.clone(), copy], "{kind:?}");
            let lock = repository.lock(&delete).await.unwrap();
            for lease in leases {
                assert!(matches!(
                    repository.check_no_readers().await,
                    Err(Error::Busy(_))
                ));
                lease.check().await.unwrap();
                lease.release().await.unwrap();
            }
            repository.check_no_readers().await.unwrap();
            // No reader can begin any more.
            let Err(Error::Busy(busy)) = repository.reader_lease(&verify).await else {
                panic!("{kind:?}: the deletion is not seen");
            };
            assert_eq!(busy.holder.operation, "delete", "{kind:?}");
            assert_eq!(repository.live_readers().await.unwrap(), [], "{kind:?}");
            lock.release().await.unwrap();
        });
        let left = stores::keys(&place.sink);
        assert!(
            !left.iter().any(|key| key.contains("readers")),
            "{kind:?}: {left:?}"
        );
    }
}
