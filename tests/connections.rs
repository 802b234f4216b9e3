//! Clients that connect and send nothing, or send too slowly, must not slow down the service or a
//! running backup.
#![allow(clippy::unwrap_used, reason = "tests stop at the first surprise")]

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{ADMIN, Instance, Service};

/// The beginnings of requests after which a client falls silent.
const BEGINNINGS: [&str; 3] = [
    "",
    "GET /health HTTP/1.1\r\nHost: arc\r\nX-Half: ",
    "POST /api/v1/backup HTTP/1.1\r\nHost: arc\r\nContent-Length: 100\r\n\r\n{",
];

fn connect(service: &Service, beginning: &str) -> TcpStream {
    let address = service.address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    // The service may have closed the connection already.
    let _ = stream.write_all(beginning.as_bytes());
    stream
}

fn open_files(service: &Service) -> usize {
    let path = format!("/proc/{}/fd", service.child.id());
    std::fs::read_dir(path).unwrap().count()
}

/// The processor time of the process, in hundredths of a second.
fn processor_time(service: &Service) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", service.child.id())).unwrap();
    let fields: Vec<_> = text.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Guards against anybody without a token who can stop a backup or the service by connecting.
#[test]
fn silent_and_slow_clients_leave_the_service_and_a_backup_alone() {
    let instance = Instance::new();
    std::fs::File::create(instance.path("data/arc/iot/large.parquet"))
        .unwrap()
        .set_len(256 << 20)
        .unwrap();
    let service = instance.serve_with_open_files(128);
    let silent: Vec<_> = (BEGINNINGS.iter().cycle().take(150))
        .map(|beginning| connect(&service, beginning))
        .collect();
    let health = || {
        let answer = service.request("GET", "/health", &[], None);
        assert_eq!(answer.status, 200, "{answer:?}");
    };
    health();
    assert_eq!(service.post("/api/v1/backup", "").status, 202);
    let mut more = Vec::new();
    while service.get("/api/v1/backup/status").json()["status"] == "running" {
        more.extend(BEGINNINGS.map(|beginning| connect(&service, beginning)));
        more.truncate(150);
        health();
        assert!(open_files(&service) < 100, "no room for operations");
    }
    let status = service.wait();
    assert_eq!(status["status"], "completed", "{status}");
    drop((silent, more));
}

/// Guards against descriptors that stay in use until the service is restarted.
#[test]
fn silent_and_slow_clients_are_closed_in_time() {
    let instance = Instance::new();
    let service = instance.serve();
    let bearer = format!("Authorization: Bearer {ADMIN}\r\n\r\n");
    let outcomes: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (BEGINNINGS.into_iter())
            .map(|beginning| {
                let stream = connect(&service, beginning);
                let service = &service;
                scope.spawn(move || drip(service, stream, !beginning.is_empty()))
            })
            .collect();
        // A client that got an answer may stay connected, even if its next request comes late.
        let mut kept = connect(&service, "GET /health HTTP/1.1\r\nHost: arc\r\n\r\n");
        assert!(answer_of(&mut kept).contains("200 OK"));
        std::thread::sleep(Duration::from_secs(15));
        let again = format!("GET /api/v1/backup/status HTTP/1.1\r\nHost: arc\r\n{bearer}");
        kept.write_all(again.as_bytes()).unwrap();
        assert!(answer_of(&mut kept).contains("200 OK"));
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .collect()
    });
    assert_eq!((&*outcomes[0], &*outcomes[1]), ("", ""));
    assert!(outcomes[2].starts_with("HTTP/1.1 408 "), "{outcomes:?}");
    assert!(outcomes[2].contains("within 30 s"), "{outcomes:?}");
    assert_eq!(
        service.get("/api/v1/backup/status").json()["status"],
        "idle",
        "a request that never ended has started something"
    );
}

/// Sends a space now and then, and returns what came until the service closed the connection.
fn drip(service: &Service, mut stream: TcpStream, has_begun: bool) -> String {
    stream
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let until = Instant::now() + Duration::from_secs(45);
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        assert!(
            Instant::now() < until,
            "{} keeps it open: {received:?}",
            service.address
        );
        if has_begun {
            let _ = stream.write_all(b" ");
        }
        match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => received.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break,
            Err(_) => {}
        }
    }
    String::from_utf8_lossy(&received).into_owned()
}

fn answer_of(stream: &mut TcpStream) -> String {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut buffer = [0; 4096];
    let read = stream.read(&mut buffer).unwrap();
    String::from_utf8_lossy(&buffer[..read]).into_owned()
}

/// Guards against a busy loop, or a dead service, when no descriptor is free.
#[test]
fn without_a_free_descriptor_the_service_waits_and_recovers() {
    let instance = Instance::new();
    let probe = instance.serve();
    // Fewer descriptors than the service would use for connections.
    let service = instance.serve_with_open_files(u32::try_from(open_files(&probe)).unwrap() + 5);
    let silent: Vec<_> = (0..40).map(|_| connect(&service, "")).collect();
    std::thread::sleep(Duration::from_secs(1));
    let before = processor_time(&service);
    std::thread::sleep(Duration::from_secs(3));
    let spent = processor_time(&service) - before;
    assert!(
        spent < 30,
        "computed for {spent} hundredths of 3 s, for nothing"
    );
    drop(silent);
    let answer = service.request("GET", "/health", &[], None);
    assert_eq!(answer.status, 200, "{answer:?}");
}
