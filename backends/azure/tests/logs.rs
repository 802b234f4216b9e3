//! What is logged. A file of its own: a process has one log.

#![allow(clippy::unwrap_used)]

mod support;

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_backup_core::{ListOptions, ServerCopy, Sink};
use arc_backup_test_azurite::{Fault, KEY, Lasts};
use support::*;

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A log at its most talkative is what gets sent around when something is wrong: no key, no SAS and
/// no signature may be in it, of ours or of the libraries below.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_logged() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let place = Place::new().await;
    let sas = place
        .azurite
        .account_sas("rwdlac", Lasts::For(Duration::from_secs(3600)));
    let (_, signature) = sas.split_once("sig=").unwrap();
    let signature = signature.trim_end_matches("%3D");
    for sink in [place.sink(), place.sas_sink(sas.clone())] {
        for verb in ["PUT", "GET", "GET list"] {
            place.proxy.once(verb, Fault::Close);
            place.proxy.once(verb, Fault::Answer(500, "InternalError"));
        }
        put(&sink, "a", b"x").await.unwrap();
        put(&sink, "b", &pattern(3 * PART)).await.unwrap();
        get(&sink, "b").await.unwrap();
        list(&sink, ListOptions::default()).await.unwrap();
        let from = sink.address(&key("a"));
        sink.copy_from(&from, &key("c")).await.unwrap();
        sink.delete(&[key("a"), key("b"), key("c")]).await.unwrap();
    }
    let text = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(text.contains("trying again"), "nothing was logged: {text}");
    for secret in [KEY, signature, "SharedKey devstoreaccount1:"] {
        let line = text.lines().find(|line| line.contains(secret));
        assert_eq!(line, None, "a secret is logged");
    }
}
