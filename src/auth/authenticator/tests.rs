//! The sample instance's tokens, and what a stranger can make the service do.

use std::path::{Path, PathBuf};
use std::time::Instant as Clock;

use rusqlite::Connection;
use tempfile::TempDir;
use tokio::time::timeout;

use super::super::token::fingerprint;
use super::*;

const ADMIN: &str = "sample-admin-token-0123456789abcdef0123456789";
const BACKUP_ADMIN: &str = "-2wqFHN-rN8OGY-gmkGLpJanjUyGrajVE2YXHfrDP9g=";
const DATED: &str = "OzH4A66qW18J578KTwUl3kA5gu2vYCO_041S3Wp2NJw=";
const LEGACY_BCRYPT: &str = "legacy-bcrypt-token-0123456789abcdef";
const LEGACY_SHA256: &str = "legacy-sha256-token-0123456789abcdef";
const READER: &str = "UpknfaHWF-HAvX1ulEQcqGd80NSbGfVket_EWtdvLFQ=";
const WRITER: &str = "9YHbxnLVpIz4AD_yy71UQAECJRx5FN_X5QCbkiJ7kuA=";
const EXPIRED: &str = "YGyuqqRp-U7Isu1X6nOpi-b9ResYUzYgIaeJdOKG1gU=";
const REVOKED: &str = "xa6ZklhFktff_WhpHDLXK2YBn7NBYcAGEWC1YnUxzeY=";
const MONITOR: &str = "a-long-random-text-for-monitoring";
const BOOTSTRAP: &str = "bootstrap-token-0123456789abcdef0123456789";

/// A folder with a copy of the sample instance's database.
struct Sample {
    folder: TempDir,
}

impl Sample {
    fn new() -> Self {
        let fixture = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/instance/data/arc.db"
        );
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = std::fs::read(fixture).expect("the sample instance is in tests/fixtures");
        std::fs::write(folder.path().join("arc.db"), bytes).expect("a copy");
        Self { folder }
    }

    fn database(&self) -> PathBuf {
        self.folder.path().join("arc.db")
    }

    fn execute(&self, statements: &str) {
        let writer = Connection::open(self.database()).expect("the copy opens");
        writer
            .execute_batch(statements)
            .expect("the statements run");
    }

    fn authenticator(&self, ttl_secs: u64) -> Authenticator {
        authenticator(
            &self.database(),
            self.folder.path(),
            Some(BOOTSTRAP),
            ttl_secs,
        )
    }
}

fn authenticator(
    database: &Path,
    folder: &Path,
    bootstrap: Option<&str>,
    ttl_secs: u64,
) -> Authenticator {
    Authenticator::new(AuthSettings {
        enabled: true,
        db_path: database.to_owned(),
        cache_ttl: Duration::from_secs(ttl_secs),
        bootstrap_token: bootstrap.map(str::to_owned),
        monitor_token: Some(MONITOR.to_owned()),
        state_dir: folder.join("state"),
    })
}

/// The status and the name that a token gets.
async fn answer(authenticator: &Authenticator, token: &str) -> (u16, String) {
    match authenticator.check(Some(token)).await {
        Ok(identity) => {
            assert_eq!(identity.fingerprint, fingerprint(token));
            (200, identity.name)
        }
        Err(denied) => match &denied {
            Denied::NotAdmin(identity) | Denied::NotReader(identity) => {
                (denied.status(), identity.name.clone())
            }
            Denied::Missing | Denied::Invalid => (denied.status(), String::new()),
        },
    }
}

/// Guards against: permissions that differ from Arc's for a token that Arc made.
#[tokio::test]
async fn every_sample_token_gets_arcs_answer() {
    let sample = Sample::new();
    let authenticator = sample.authenticator(300);
    for _cached in [false, true] {
        for (token, status, name) in [
            (ADMIN, 200, "admin"),
            (BACKUP_ADMIN, 200, "backup-admin"),
            (DATED, 200, "dated"),
            (LEGACY_BCRYPT, 200, "legacy-bcrypt"),
            (LEGACY_SHA256, 200, "legacy-sha256"),
            (READER, 403, "reader"),
            (WRITER, 403, "writer"),
            (EXPIRED, 401, ""),
            (REVOKED, 401, ""),
            ("unknown", 401, ""),
            (BOOTSTRAP, 401, ""),
            // The hashes themselves are no tokens.
            (
                "cd2980d8d53cd9ff2aff1dc78cfcc18992640ef3015998f9f7c7318a956d6615",
                401,
                "",
            ),
        ] {
            assert_eq!(
                answer(&authenticator, token).await,
                (status, name.to_owned()),
                "{token}"
            );
        }
    }
    assert_eq!(authenticator.check(None).await, Err(Denied::Missing));
    assert_eq!(authenticator.check(Some("")).await, Err(Denied::Missing));
    assert!(authenticator.ensure_token().expect("readable").is_none());
}

/// Guards against: a token for monitoring that may restore.
#[tokio::test]
async fn readers_and_the_monitoring_token_may_ask_and_nothing_else() {
    let sample = Sample::new();
    sample.execute("UPDATE api_tokens SET permissions = 'write' WHERE name = 'writer'");
    let authenticator = sample.authenticator(300);
    for (token, asked, allowed) in [
        (ADMIN, 200, 200),
        (READER, 200, 403),
        (WRITER, 403, 403),
        (MONITOR, 200, 403),
        (EXPIRED, 401, 401),
        ("a-long-random-text-for-monitorinG", 401, 401),
    ] {
        let status = |checked: Result<Identity, Denied>| match checked {
            Ok(_) => 200,
            Err(denied) => denied.status(),
        };
        let reads = status(authenticator.check_reader(Some(token)).await);
        let acts = status(authenticator.check(Some(token)).await);
        assert_eq!((reads, acts), (asked, allowed), "{token}");
    }
    let missing = authenticator.check_reader(None).await;
    assert_eq!(missing, Err(Denied::Missing));
}

/// Guards against: `auth.enabled = false` without effect, or a history without a name for such
/// requests.
#[tokio::test]
async fn with_authentication_off_everybody_is_anonymous() {
    let folder = tempfile::tempdir().expect("a folder");
    let authenticator = Authenticator::new(AuthSettings {
        enabled: false,
        db_path: folder.path().join("arc.db"),
        cache_ttl: Duration::ZERO,
        bootstrap_token: None,
        monitor_token: None,
        state_dir: folder.path().join("state"),
    });
    assert!(
        authenticator
            .ensure_token()
            .expect("nothing to do")
            .is_none()
    );
    assert!(!folder.path().join("state").exists());
    let identity = authenticator.check(None).await.expect("open to all");
    assert_eq!(
        (identity.name.as_str(), identity.fingerprint),
        ("anonymous", [0; 32])
    );
}

/// Guards against: no way in where there is no database, or one that stays open once there is one.
#[tokio::test]
async fn a_generated_token_counts_until_the_database_has_tokens() {
    let sample = Sample::new();
    let elsewhere = sample.folder.path().join("moved.db");
    std::fs::rename(sample.database(), &elsewhere).expect("a rename");
    let fresh = || authenticator(&sample.database(), sample.folder.path(), None, 300);
    let token = fresh().ensure_token().expect("writable").expect("a token");
    let restarted = fresh();
    assert!(restarted.ensure_token().expect("readable").is_none());
    assert_eq!(
        answer(&restarted, &token).await,
        (200, "generated".to_owned())
    );
    assert_eq!(answer(&restarted, ADMIN).await.0, 401);

    std::fs::rename(&elsewhere, sample.database()).expect("a rename");
    restarted.forget();
    assert_eq!(answer(&restarted, &token).await.0, 401);
    assert_eq!(answer(&restarted, ADMIN).await.0, 200);
}

/// Guards against: a bootstrap token that is refused in a disaster, and a second token that nobody
/// asked for.
#[tokio::test]
async fn the_bootstrap_token_stands_in_for_a_lost_database() {
    let sample = Sample::new();
    std::fs::write(sample.database(), "garbage ".repeat(2000)).expect("a file");
    let authenticator = sample.authenticator(300);
    assert!(
        authenticator
            .ensure_token()
            .expect("nothing to do")
            .is_none()
    );
    assert_eq!(
        answer(&authenticator, BOOTSTRAP).await,
        (200, "bootstrap".to_owned())
    );
    assert_eq!(answer(&authenticator, ADMIN).await.0, 401);
}

/// Guards against: a locked database that lets the bootstrap token in, and a good token that stays
/// refused after the lock is gone.
#[tokio::test]
async fn a_locked_database_lets_nobody_in_and_is_not_remembered() {
    let sample = Sample::new();
    sample.execute("PRAGMA journal_mode = delete");
    let writer = Connection::open(sample.database()).expect("the copy opens");
    writer.execute_batch("BEGIN EXCLUSIVE").expect("a lock");
    let authenticator = sample.authenticator(300);
    assert_eq!(answer(&authenticator, BOOTSTRAP).await.0, 401);
    assert_eq!(answer(&authenticator, ADMIN).await.0, 401);
    assert!(
        authenticator.ensure_token().is_ok(),
        "the bootstrap token needs no look"
    );
    writer.execute_batch("ROLLBACK").expect("no lock");
    assert_eq!(answer(&authenticator, ADMIN).await.0, 200);
}

/// Guards against: a hash for every request, and a revoked token that is good for ever.
#[tokio::test]
async fn a_revoked_token_is_refused_after_ttl_or_forget() {
    let sample = Sample::new();
    let (kept, asking) = (sample.authenticator(300), sample.authenticator(0));
    for authenticator in [&kept, &asking] {
        assert_eq!(answer(authenticator, ADMIN).await.0, 200);
    }
    let again = Clock::now();
    for _ in 0..20 {
        assert_eq!(answer(&asking, ADMIN).await.0, 200);
    }
    assert!(
        again.elapsed() < Duration::from_secs(1),
        "a known match is not hashed again"
    );

    sample.execute("UPDATE api_tokens SET permissions = 'read' WHERE name = 'admin'");
    assert_eq!(answer(&asking, ADMIN).await.0, 403);
    sample.execute("UPDATE api_tokens SET enabled = 0 WHERE name = 'admin'");
    assert_eq!(
        (answer(&kept, ADMIN).await.0, answer(&asking, ADMIN).await.0),
        (200, 401)
    );
    kept.forget();
    assert_eq!(answer(&kept, ADMIN).await.0, 401);
}

/// Guards against: a cached token that is accepted after its expiry.
#[tokio::test]
async fn a_token_is_refused_once_expired_however_long_the_ttl() {
    let sample = Sample::new();
    sample.execute(
        "UPDATE api_tokens SET expires_at = strftime('%Y-%m-%d %H:%M:%f+00:00', 'now', '+3 seconds')
         WHERE name = 'legacy-sha256'",
    );
    let authenticator = sample.authenticator(300);
    assert_eq!(answer(&authenticator, LEGACY_SHA256).await.0, 200);
    tokio::time::sleep(Duration::from_millis(3100)).await;
    assert_eq!(answer(&authenticator, LEGACY_SHA256).await.0, 401);
}

/// Guards against: an old token that is accepted because it once matched the row's former hash.
#[tokio::test]
async fn a_changed_hash_is_checked_again() {
    let sample = Sample::new();
    let authenticator = sample.authenticator(0);
    assert_eq!(answer(&authenticator, LEGACY_SHA256).await.0, 200);
    sample.execute("UPDATE api_tokens SET token_hash = replace(token_hash, 'cd', 'ce') WHERE name = 'legacy-sha256'");
    assert_eq!(answer(&authenticator, LEGACY_SHA256).await.0, 401);
}

/// Guards against: wrong tokens that cost their sender nothing, and refusals that differ from each
/// other.
#[tokio::test]
async fn every_refusal_takes_its_time() {
    let sample = Sample::new();
    sample.execute("DELETE FROM api_tokens WHERE token_prefix = '__legacy__'");
    let authenticator = sample.authenticator(300);
    let oversized = "x".repeat(2000);
    for token in ["unknown", "unknown", EXPIRED, REVOKED, &oversized, "a\0b"] {
        let start = Clock::now();
        assert_eq!(authenticator.check(Some(token)).await, Err(Denied::Invalid));
        let taken = start.elapsed();
        assert!(taken >= Duration::from_millis(100), "{token}: {taken:?}");
    }
}

/// Guards against: a flood of wrong tokens that makes good ones wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_wrong_tokens_locks_no_good_one_out() {
    let sample = Sample::new();
    let authenticator = Arc::new(sample.authenticator(0));
    assert_eq!(answer(&authenticator, LEGACY_BCRYPT).await.0, 200);
    // Every wrong token is held against the bcrypt row, one at a time: this is work for many
    // seconds.
    let flood: Vec<_> = (0..2000)
        .map(|number| {
            let authenticator = Arc::clone(&authenticator);
            tokio::spawn(async move { authenticator.check(Some(&format!("wrong-{number}"))).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let patience = Duration::from_secs(10);
    for token in [ADMIN, BACKUP_ADMIN, LEGACY_BCRYPT, LEGACY_SHA256] {
        let (status, _) = timeout(patience, answer(&authenticator, token))
            .await
            .expect("in time");
        assert_eq!(status, 200, "{token}");
    }
    assert!(
        flood.iter().any(|wrong| !wrong.is_finished()),
        "the flood was still on"
    );
    for wrong in flood {
        wrong.abort();
    }
}

/// Guards against: as many slow hashes as there are requests with one token.
#[tokio::test(flavor = "multi_thread")]
async fn many_requests_with_one_token_are_one_check() {
    let sample = Sample::new();
    let authenticator = Arc::new(sample.authenticator(300));
    let start = Clock::now();
    let requests: Vec<_> = (0..200)
        .map(|_| {
            let authenticator = Arc::clone(&authenticator);
            tokio::spawn(async move { answer(&authenticator, ADMIN).await.0 })
        })
        .collect();
    for request in requests {
        assert_eq!(request.await.expect("no panic"), 200);
    }
    // 200 hashes of 600,000 rounds on two hash_limits take at least 7 s.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
}

/// Guards against: a client that hangs up and so evades the limit on work.
#[tokio::test(flavor = "multi_thread")]
async fn an_abandoned_check_ends_and_serves_the_next() {
    let sample = Sample::new();
    let authenticator = sample.authenticator(300);
    // Let go at some point of the look-up or the hash; whichever it is, the next request gets its
    // answer.
    for patience_ms in [0, 1, 5, 20] {
        let patience = Duration::from_millis(patience_ms);
        let _ = timeout(patience, authenticator.check(Some(ADMIN))).await;
    }
    assert_eq!(answer(&authenticator, ADMIN).await.0, 200);
}
