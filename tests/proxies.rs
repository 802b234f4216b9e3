//! Proxies: one rule for S3 and Azure.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

#[path = "support/forward_proxy.rs"]
mod forward_proxy;
#[path = "support/stores.rs"]
mod stores;
mod support;

use std::io::Write;
use std::net::TcpListener;
use std::process::Output;
use std::sync::mpsc;

use forward_proxy::{ForwardProxy, read_head};
use stores::{Kind, configure, s3_server, storage, target};
use support::{Instance, text};

/// All variables that name proxies.
const VARIABLES: [&str; 8] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
    "NO_PROXY",
    "no_proxy",
];

fn run(instance: &Instance, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    let mut command = instance.command(arguments);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).output().unwrap()
}

/// Guards against a machine that can't back up through its only proxy, and a proxy password in
/// doctor's output.
#[test]
fn both_kinds_of_stores_go_through_the_proxy_of_the_environment() {
    for kind in [Kind::S3, Kind::Azure] {
        let (instance, server) = (Instance::new(), s3_server());
        let live = storage(Kind::Local, &instance, &server, false);
        let far = target(kind, &instance, &server);
        configure(&instance, &live, &far);
        let proxy = ForwardProxy::start();
        let url = proxy.url("me:hunter2");
        let backup = ["backup", "--target", "far"];
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            let made = run(&instance, &[(name, &url)], &backup);
            assert!(made.status.success(), "{kind:?}, {name}: {}", text(&made));
            let seen = proxy.take();
            // me:hunter2
            let authorized = "proxy-authorization: basic bwu6ahvudgvymg==";
            assert!(
                seen.len() > 100,
                "{kind:?}, {name}: {} requests",
                seen.len()
            );
            for head in seen {
                assert!(head.to_ascii_lowercase().contains(authorized), "{head}");
            }
        }
        let doctor = run(&instance, &[("HTTP_PROXY", &url)], &["doctor"]);
        let said = text(&doctor);
        let shown = format!("go through http://{}", proxy.address());
        assert!(
            doctor.status.success() && said.contains(&shown),
            "{kind:?}: {said}"
        );
        assert!(!said.contains("hunter2"), "{kind:?}: {said}");
        proxy.take();
        // None of these applies to it.
        for variables in [
            &[("HTTPS_PROXY", &*url)][..],
            &[("HTTP_PROXY", &url), ("NO_PROXY", "10.0.0.1, 127.0.0.0/8")],
            &[("ALL_PROXY", &url), ("no_proxy", "*")],
            &[],
        ] {
            let made = run(&instance, variables, &backup);
            assert!(made.status.success(), "{kind:?}: {}", text(&made));
            assert_eq!(proxy.take(), [""; 0], "{kind:?}: {variables:?}");
        }
        // An invalid proxy is named, without the password in it.
        let bad = [("ALL_PROXY", "socks5://me:hunter2@127.0.0.1:1080")];
        let refused = run(&instance, &bad, &backup);
        let said = text(&refused);
        assert!(
            !refused.status.success() && said.contains("ALL_PROXY"),
            "{said}"
        );
        assert!(!said.contains("hunter2"), "{said}");
    }
}

/// Guards against the same over TLS, which real stores use.
#[test]
fn https_requests_are_tunnelled() {
    for kind in [Kind::S3, Kind::Azure] {
        let (instance, server) = (Instance::new(), s3_server());
        let live = storage(Kind::Local, &instance, &server, false);
        let mut far = target(kind, &instance, &server);
        let nobody = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        far.config = match kind {
            Kind::S3 => far
                .config
                .replace(&server.endpoint(), &format!("https://{nobody}")),
            _ => format!(
                "azure_sas_token = \"sv=2024-08-04&sig=x\"\nazure_container = \"backups\"\nazure_endpoint = \"https://{nobody}\"\n"
            ),
        };
        configure(&instance, &live, &far);
        let proxy = ForwardProxy::start();
        let url = proxy.url("me:hunter2");
        let variables = [("https_proxy", &*url), ("HTTP_PROXY", "http://127.0.0.1:9")];
        let doctor = run(&instance, &variables, &["doctor"]);
        let seen = proxy.take();
        let tunnel = format!("CONNECT {nobody} HTTP/1.1\r\n");
        assert!(
            !seen.is_empty() && seen.iter().all(|head| head.starts_with(&tunnel)),
            "{kind:?}: {seen:?}: {}",
            text(&doctor)
        );
        assert!(!text(&doctor).contains("hunter2"), "{kind:?}");
    }
}

/// Guards against sending the machine's credentials to a proxy, or asking it for a service that
/// only this machine reaches.
#[test]
fn the_service_that_hands_out_credentials_is_asked_directly() {
    let (instance, server) = (Instance::new(), s3_server());
    let live = storage(Kind::Local, &instance, &server, false);
    let mut far = target(Kind::S3, &instance, &server);
    let lines = far.config.lines();
    let without_keys: Vec<_> = lines.filter(|line| !line.contains("_key")).collect();
    far.config = without_keys.join("\n");
    configure(&instance, &live, &far);
    let metadata = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", metadata.local_addr().unwrap());
    let (report, asked) = mpsc::channel();
    std::thread::spawn(move || {
        for mut client in metadata.incoming().map_while(Result::ok) {
            if let Ok((head, _)) = read_head(&mut client)
                && report.send(head).is_ok()
            {
                let _ = client.write_all(
                    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                );
            }
        }
    });
    let proxy = ForwardProxy::start();
    let url = proxy.url("me:hunter2");
    let variables = [
        ("ALL_PROXY", &*url),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &endpoint),
        ("HOME", "/nonexistent"),
    ];
    let doctor = run(&instance, &variables, &["doctor"]);
    let head = asked.try_recv().expect("it was asked");
    assert!(head.contains(" /latest/"), "{head}: {}", text(&doctor));
    let seen = proxy.take();
    assert!(
        !seen.iter().any(|head| head.contains("/latest/")),
        "{seen:?}"
    );
}
