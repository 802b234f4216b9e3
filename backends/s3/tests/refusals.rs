//! What is wrong with the configuration, the rights or the network is said so that an operator
//! knows where to look, and no secret is said with it.

#![allow(
    clippy::unwrap_used,
    reason = "a test ends where something is not as it should be"
)]

mod support;

use std::time::Duration;

use arc_backup_core::{
    Discard, Error, ErrorKind, Key, ListOptions, ServerCopy, Sink, UnfinishedUploads, WriteOptions,
};
use arc_backup_s3::{S3Config, S3Sink};
use arc_backup_test_s3::{Fault, Listings, Rule, S3Server, Verb};
use bytes::Bytes;
use futures::TryStreamExt;
use support::{BUCKET, config, everything, id, key, pattern, put, read, server, server_with, sink};

/// Every kind of request, and what it fails with.
async fn all_errors(sink: &S3Sink) -> Vec<(&'static str, Error)> {
    let at: Key = key("a");
    let from = sink.address(&at);
    let mut errors = Vec::new();
    let mut note = |what, done: Result<(), Error>| {
        if let Err(error) = done {
            errors.push((what, error));
        }
    };
    note("put", put(sink, "a", &pattern(10, 1)).await.map(drop));
    note(
        "multipart",
        put(sink, "a", &pattern(250_000, 1)).await.map(drop),
    );
    note("get", read(sink, "a").await.map(drop));
    note("head", sink.head(&at).await.map(drop));
    note(
        "list",
        sink.list(ListOptions::default())
            .try_collect::<Vec<_>>()
            .await
            .map(drop),
    );
    note("children", sink.list_children(None).await.map(drop));
    note("delete", sink.delete(std::slice::from_ref(&at)).await);
    note("copy", sink.copy_from(&from, &key("b")).await.map(drop));
    note("lock", sink.lock(&key("lock"), "me").await.map(drop));
    note(
        "lock holder",
        sink.lock_holder(&key("lock")).await.map(drop),
    );
    note(
        "discard",
        sink.discard(None, Discard::Remove).await.map(drop),
    );
    errors
}

async fn check(
    server: &S3Server,
    change: impl FnOnce(&mut S3Config),
    kind: ErrorKind,
    setting: &str,
) {
    let mut config = config(server, "p");
    change(&mut config);
    let sink = S3Sink::new(config).unwrap();
    let errors = all_errors(&sink).await;
    let names: Vec<_> = errors.iter().map(|(what, _)| *what).collect();
    assert_eq!(names.len(), 11, "only these fail: {names:?}");
    for (what, error) in &errors {
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(
            error.to_string().contains(setting),
            "{what} does not name {setting}: {error}"
        );
        let all = everything(error);
        for secret in [
            server.options().secret_key.as_str(),
            "hunter2",
            "wrong/secret",
        ] {
            assert!(!all.contains(secret), "{what} shows the secret: {all}");
        }
    }
}

/// Lost if it fails: an operator who reads "403", or "it does not exist".
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_setting_is_named_by_every_request() {
    use ErrorKind::{PermissionDenied, Unavailable};
    let server = server();
    let secret = |config: &mut S3Config| config.secret_key = Some("wrong/secret".to_owned());
    check(&server, secret, PermissionDenied, "`s3_secret_key`").await;
    let access = |config: &mut S3Config| config.access_key = Some("NOBODY".to_owned());
    check(&server, access, PermissionDenied, "`s3_access_key`").await;
    let bucket = |config: &mut S3Config| config.bucket = "absent".to_owned();
    check(&server, bucket, Unavailable, "`s3_bucket`").await;
}

/// Lost if it fails: an operator who looks for the fault at the store when it is the address.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_connection_names_the_endpoint() {
    let server = server();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let refused = |config: &mut S3Config| {
        config.endpoint = Some(format!("http://{port}"));
        config.retry.attempts = 2;
    };
    check(&server, refused, ErrorKind::Unavailable, "`s3_endpoint`").await;
    let tls = |config: &mut S3Config| {
        config.endpoint = Some(server.endpoint().replace("http:", "https:"));
        config.retry.attempts = 1;
    };
    check(&server, tls, ErrorKind::Unavailable, "`s3_use_ssl`").await;
}

/// Lost if it fails: an operation that waits two hours for a network that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_network_ends_an_operation() {
    let server = server();
    let mut config = config(&server, "p");
    config.retry.stall = Duration::from_millis(100);
    config.retry.silence = Duration::from_millis(250);
    let sink = S3Sink::new(config).unwrap();
    put(&sink, "a", &pattern(450_000, 1)).await.unwrap();
    server.fault(Rule::new(Fault::Hang));
    for (what, error) in all_errors(&sink).await {
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
        assert!(
            error.to_string().contains("without a byte"),
            "{what}: {error}"
        );
    }
    server.heal();
    let object = sink.get(&key("a"), Default::default()).await.unwrap();
    server.fault(Rule::new(Fault::Hang));
    let error = object
        .body
        .collect(1 << 30, "a")
        .await
        .map(|bytes| bytes.len())
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Unavailable, "a")
    );
}

/// Lost if it fails: a slow link, taken for a dead one.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_link_is_not_dead() {
    let server = server();
    let mut config = config(&server, "p");
    config.range_bytes = 16 << 20;
    config.part_bytes = 16 << 20;
    config.retry.stall = Duration::from_millis(1500);
    config.retry.silence = Duration::from_millis(1500);
    config.retry.attempts = 1;
    let proxy = slow_proxy(server.address(), 4 << 20).await;
    config.endpoint = Some(format!("http://{proxy}"));
    let sink = S3Sink::new(config).unwrap();
    // Three seconds on the way, each way, of which buffers hide one.
    let bytes = pattern(12 << 20, 1);
    put(&sink, "a", &bytes).await.unwrap();
    assert!(read(&sink, "a").await.unwrap() == bytes);
}

/// Passes on so many bytes a second.
async fn slow_proxy(to: std::net::SocketAddr, bytes_a_second: usize) -> std::net::SocketAddr {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpSocket, TcpStream};
    let socket = TcpSocket::new_v4().unwrap();
    // What lies in buffers is not on its way.
    socket.set_recv_buffer_size(32 << 10).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener: TcpListener = socket.listen(16).unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(to).await.unwrap();
            let (client_in, client_out) = client.into_split();
            let (server_in, server_out) = server.into_split();
            for (mut from, mut to) in [(client_in, server_out), (server_in, client_out)] {
                tokio::spawn(async move {
                    let mut piece = vec![0; bytes_a_second / 50];
                    while let Ok(len @ 1..) = from.read(&mut piece).await {
                        if to.write_all(&piece[..len]).await.is_err() {
                            return;
                        }
                        let time = len as f64 / bytes_a_second as f64;
                        tokio::time::sleep(Duration::from_secs_f64(time)).await;
                    }
                });
            }
        }
    });
    address
}

/// Lost if it fails: an operator who has to guess which of ten permissions is missing.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_named() {
    for (verb, what, permission) in [
        (Verb::PutObject, "put", "s3:PutObject"),
        (Verb::UploadPart, "multipart", "s3:PutObject"),
        (Verb::GetObject, "get", "s3:GetObject"),
        (Verb::HeadObject, "head", "s3:GetObject"),
        (Verb::ListObjects, "list", "s3:ListBucket"),
        (Verb::DeleteObjects, "delete", "s3:DeleteObject"),
        (
            Verb::ListMultipartUploads,
            "discard",
            "s3:ListBucketMultipartUploads",
        ),
    ] {
        let server = server();
        let sink = sink(&server, "p");
        put(&sink, "a", &pattern(10, 1)).await.unwrap();
        server.fault(Rule::new(Fault::Deny).verb(verb));
        let errors = all_errors(&sink).await;
        let (_, error) = errors.iter().find(|(of, _)| *of == what).unwrap();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(permission) && text.contains("`test`"),
            "{verb:?}: {text}"
        );
    }
    // The rights may be there for reading and writing, and not for copying.
    let server = server();
    let sink = sink(&server, "p");
    put(&sink, "a", &pattern(10, 1)).await.unwrap();
    server.fault(Rule::new(Fault::Deny).verb(Verb::CopyObject));
    let error = sink
        .copy_from(&sink.address(&key("a")), &key("b"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

/// Lost if it fails: a region or a clock that is wrong, looked for in the keys.
#[tokio::test(flavor = "multi_thread")]
async fn what_aws_says_becomes_a_setting() {
    for (status, code, says) in [
        (301, "PermanentRedirect", "s3_region"),
        (400, "AuthorizationHeaderMalformed", "s3_region"),
        (400, "ExpiredToken", "expired"),
        (403, "RequestTimeTooSkewed", "clock"),
        (501, "NotImplemented", "s3_checksums"),
    ] {
        let server = server();
        let sink = sink(&server, "p");
        server.fault(Rule::new(Fault::Answer(status, code, "it says")));
        for (what, error) in all_errors(&sink).await {
            assert!(error.to_string().contains(says), "{what}, {code}: {error}");
        }
    }
}

/// Lost if it fails: a secret in a log.
#[tokio::test]
async fn debug_shows_no_secret() {
    let server = server();
    let sink = sink(&server, "p");
    let upload = sink.begin(&key("a"), WriteOptions::default()).await;
    assert!(upload.is_ok());
    let text = format!(
        "{sink:?} {:?} {} {:?}",
        config(&server, "p"),
        sink.location(),
        sink.address(&key("a"))
    );
    assert!(!text.contains(&server.options().secret_key), "{text}");
    assert!(!text.contains(&server.options().access_key), "{text}");
}

/// Lost if it fails: an operator without keys, who reads of a dispatch failure.
#[tokio::test]
async fn missing_credentials_are_named() {
    const CHILD: &str = "ARC_BACKUP_TEST_WITHOUT_CREDENTIALS";
    if std::env::var_os(CHILD).is_none() {
        // The default chain reads the environment: this one must have nothing for it.
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "missing_credentials_are_named", "--nocapture"]);
        child
            .env_clear()
            .env(CHILD, "1")
            .env("AWS_EC2_METADATA_DISABLED", "true");
        let output = child.env("HOME", "/nonexistent").output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let server = server();
    let mut config = config(&server, "p");
    (config.access_key, config.secret_key) = (None, None);
    let sink = S3Sink::new(config).unwrap();
    for (what, error) in all_errors(&sink).await {
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{what}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("`s3_access_key`") && text.contains("web identity"),
            "{what}: {text} {error:?}"
        );
    }
}

/// Lost if it fails: a restore that has changed half of the data when it finds that nothing can be
/// set aside, or a probe that lies there for ever.
#[tokio::test]
async fn a_place_that_lacks_a_right_is_refused_before_anything_changes() {
    let server = server();
    let sink = sink(&server, "p");
    sink.aside()
        .unwrap()
        .prepare(&id("op-1"), 100)
        .await
        .unwrap();
    assert_eq!(server.keys(support::BUCKET), [""; 0]);
    for (verb, permission) in [
        (Verb::PutObject, "s3:PutObject"),
        (Verb::HeadObject, "s3:GetObject"),
        (Verb::DeleteObject, "s3:DeleteObject"),
    ] {
        server.fault(
            Rule::new(Fault::Deny)
                .verb(verb)
                .key(".before-restore/op-1/"),
        );
        let error = sink
            .aside()
            .unwrap()
            .prepare(&id("op-1"), 100)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let text = error.to_string();
        assert!(
            text.contains(permission) && text.contains("p.before-restore/op-1/"),
            "{text}"
        );
        server.heal();
        if verb != Verb::DeleteObject {
            assert_eq!(server.keys(support::BUCKET), [""; 0], "{verb:?}");
        }
    }
}

/// Lost if it fails: what a listing leaves out in silence, from a backup that says it is complete;
/// or an operation that never ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_is_none_is_refused() {
    for fault in [
        Listings::WithoutToken,
        Listings::FirstPageAgain,
        Listings::EmptyForEver,
        Listings::Backwards,
    ] {
        let server = support::server_with(|options| {
            options.page_keys = 3;
            options.listings = fault;
        });
        for n in 0..8 {
            server.put(support::BUCKET, &format!("p/a/{n}"), "x");
            server.put(support::BUCKET, &format!("p/b/{n}/c"), "x");
        }
        let sink = sink(&server, "p");
        for n in 0..4 {
            let at = key(&format!("u/{n}"));
            let mut upload = sink.begin(&at, WriteOptions::default()).await.unwrap();
            upload.write(pattern(250_000, 1)).await.unwrap();
            while server.uploads(support::BUCKET).len() <= n {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            std::mem::forget(upload);
        }
        let asked = async {
            let rows = sink.list(ListOptions::default());
            let (a, b) = (key("a"), key("b"));
            [
                ("list", rows.try_collect::<Vec<_>>().await.map(drop)),
                ("objects", sink.list_children(Some(&a)).await.map(drop)),
                ("folders", sink.list_children(Some(&b)).await.map(drop)),
                (
                    "uploads",
                    sink.discard(None, Discard::Remove).await.map(drop),
                ),
            ]
        };
        let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
        for (what, done) in asked.unwrap_or_else(|_| panic!("{fault:?} never ends")) {
            let error = done.expect_err(what);
            assert_eq!(error.kind(), ErrorKind::Other, "{fault:?}, {what}: {error}");
            assert!(error.to_string().contains("`s3_endpoint`"), "{error}");
        }
    }
}

/// Lost if it fails: a store that knows a deletion only with its `Content-MD5`, and nobody who says
/// which setting that is.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_that_needs_its_md5_has_it() {
    let server = server_with(|options| options.deletes_need_md5 = true);
    let sink = sink(&server, "p");
    for _ in 0..3 {
        let keys: Vec<_> = (0..3).map(|n| key(&format!("k{n}"))).collect();
        for key in &keys {
            put(&sink, key, &Bytes::from_static(b"x")).await.unwrap();
        }
        sink.delete(&keys).await.unwrap();
        assert_eq!(server.keys(BUCKET), [""; 0]);
    }
    // Once known, it is not tried the other way again.
    assert_eq!(server.count(Verb::DeleteObjects), 4);
}

/// Lost if it fails: the one setting that a store of another make needs, which no message names.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_checksum_names_its_setting() {
    let server = server();
    server.put(BUCKET, "p/a", "x");
    for answer in [
        Fault::Answer(501, "NotImplemented", "A header is not implemented"),
        Fault::Answer(400, "InvalidArgument", "x-amz-checksum-mode is unknown"),
        Fault::Answer(400, "InvalidRequest", "Unsupported checksum"),
    ] {
        server.fault(Rule::new(answer.clone()));
        let sink = sink(&server, "p");
        let errors = [
            put(&sink, "a", &Bytes::from_static(b"x"))
                .await
                .unwrap_err(),
            read(&sink, "a").await.unwrap_err(),
            sink.head(&key("a")).await.unwrap_err(),
        ];
        for error in errors {
            let text = error.to_string();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{answer:?}: {text}");
            assert!(text.contains("s3_checksums = \"when_required\""), "{text}");
        }
        server.heal();
    }
}
