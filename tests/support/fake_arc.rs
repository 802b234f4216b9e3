//! An Arc that says how its compaction is.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// An Arc that gives this answer to the n-th query of its compaction, and the number of queries.
pub fn arc(answer: impl Fn(u64) -> (u16, String) + Send + 'static) -> (String, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicU64::new(0));
    let count = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let line = (BufReader::new(stream.try_clone().unwrap()).lines())
                .map_while(Result::ok)
                .take_while(|line| !line.is_empty())
                .next()
                .unwrap_or_default();
            let (status, body) = match line.starts_with("GET /api/v1/compaction/stats ") {
                true => answer(count.fetch_add(1, Ordering::SeqCst) + 1),
                false => (200, String::new()),
            };
            let answer = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    (url, asked)
}
