//! Looking inside a backup: its folders, single files, what is different, and archives of it.

use crate::{scene, stores};

#[path = "inside/archives.rs"]
mod archives;
#[path = "inside/archives_over_rest.rs"]
mod archives_over_rest;
#[path = "inside/bytes.rs"]
mod bytes;
#[path = "inside/differences.rs"]
mod differences;
#[path = "inside/folders.rs"]
mod folders;
#[path = "inside/outputs.rs"]
mod outputs;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;

use scene::small;
use serde_json::Value;
use stores::{Place, s3_server};

use crate::support::{ADMIN, Instance, Service, text};

/// The files of a backup: path → (size, SHA-256).
fn listed(instance: &Instance, id: &str) -> BTreeMap<String, (u64, String)> {
    let (code, body) = instance.json(&["files", id, "-r"]);
    assert_eq!(code, 0, "{body}");
    let files = body["files"].as_array().unwrap();
    assert_eq!(body["count"], files.len(), "{body}");
    files
        .iter()
        .map(|file| {
            let of = |name: &str| file[name].as_str().unwrap_or_default().to_owned();
            (of("path"), (file["size"].as_u64().unwrap(), of("sha256")))
        })
        .collect()
}

/// An answer, byte by byte: a transfer that broke off has fewer bytes than it says.
struct Raw {
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Raw {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn is_whole(&self) -> bool {
        self.header("content-length") == self.body.len().to_string()
    }
}

/// Sends a request whose path is not touched on the way.
fn raw(service: &Service, method: &str, path: &str, headers: &[(&str, &str)]) -> Raw {
    let host = service.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAuthorization: Bearer {ADMIN}\r\n"
    );
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream
        .write_all(format!("{request}\r\n").as_bytes())
        .unwrap();
    let mut answer = Vec::new();
    // A connection that is cut may be reset.
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(end) = end else {
        // It was cut before anything of it was sent.
        return Raw {
            status: 0,
            headers: BTreeMap::new(),
            body: Vec::new(),
        };
    };
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap();
    Raw {
        status: status.parse().unwrap(),
        headers: lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: answer[end + 4..].to_vec(),
    }
}

fn address(id: &str, path: &str) -> String {
    format!("/api/v1/backup/{id}/files/{path}")
}

/// A command that fails with this exit code, and says all of this.
fn fails(instance: &Instance, arguments: &[&str], code: i32, parts: &[&str]) {
    let output = instance.run(arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    for part in parts {
        assert!(said.contains(part), "{arguments:?}: no {part:?} in: {said}");
    }
}

/// An instance whose backups go to S3.
fn on_s3() -> (Instance, arc_backup_test_s3::S3Server, Place) {
    let (instance, server) = (small(), s3_server());
    let target = Place::s3(&server, "backups", "");
    instance.configure(&format!(
        "state_path = \"./state/history.db\"\ndefault_target = \"far\"\n[backup.targets.far]\ntype = \"s3\"\n{}",
        target.config
    ));
    (instance, server, target)
}

/// Sets the times of all live files back, so that they prove what they should.
fn set_back(instance: &Instance) {
    let then = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    let root = instance.path("data/arc");
    for file in crate::support::files(&root) {
        let file = std::fs::File::options().append(true).open(root.join(file));
        file.unwrap().set_modified(then).unwrap();
    }
}

fn named<'a>(diff: &'a Value, change: &str) -> Vec<&'a str> {
    let paths = diff["files"][change].as_array().unwrap();
    paths.iter().map(|path| path.as_str().unwrap()).collect()
}
