//! Copies within the account, and what is set aside by them.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{AsideMode, ErrorKind, ListOptions, Sink};
use arc_backup_test_azurite::{Fault, Lasts};
use support::*;

fn below(place: &Place, prefix: &str) -> AzureSink {
    AzureSink::new(AzureConfig {
        prefix: Some(prefix.to_owned()),
        ..place.config()
    })
    .unwrap()
}

async fn everything(place: &Place) -> Vec<String> {
    list(&place.sink(), ListOptions::default()).await.unwrap()
}

/// A copy between two containers of one account moves no byte through here; one that can't be made so must say that,
/// not make another.
#[tokio::test(flavor = "multi_thread")]
async fn copies_cross_containers_and_not_credentials() {
    let (place, other) = (Place::new().await, Place::new().await);
    let here = below(&place, "p");
    let there = AzureSink::new(AzureConfig {
        container: other.container.clone(),
        prefix: Some("q/r".to_owned()),
        ..place.config()
    })
    .unwrap();
    let bytes = pattern(3 * PART);
    let written = put(&here, "größe/a b%20+", &bytes).await.unwrap();
    place.proxy.reset_counts();
    let from = here.address(&key("größe/a b%20+")).unwrap();
    let meta = there.copy_from(&from, &key("copy")).await.unwrap();
    assert_eq!(meta.size, written.size);
    assert_eq!(place.proxy.count("GET"), 0, "bytes passed through here");
    assert_eq!(there.head(&key("copy")).await.unwrap(), Some(meta));
    assert!(get(&there, "copy").await.unwrap() == bytes);
    let sas = place.sas_sink(
        place
            .azurite
            .account_sas("rwdlac", Lasts::For(Duration::from_secs(60))),
    );
    let refused = sas.copy_from(&from, &key("x")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
}

/// A copy whose answer is lost is done all the same; one that the store forbids is left to reading and writing.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_copy_heal_or_say_what_to_do() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "a", b"bytes").await.unwrap();
    let from = sink.address(&key("a")).unwrap();
    for fault in [
        Fault::CloseAfter,
        Fault::AnswerAfter(500, "InternalError"),
        Fault::Answer(503, "ServerBusy"),
    ] {
        place.proxy.once("PUT", fault.clone());
        place.proxy.once("HEAD", fault.clone());
        sink.copy_from(&from, &key("b"))
            .await
            .unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!(get(&sink, "b").await.unwrap(), b"bytes");
        sink.delete(&[key("b")]).await.unwrap();
    }
    place.proxy.heal();
    place
        .proxy
        .always("PUT", Fault::Answer(403, "AuthorizationPermissionMismatch"));
    let error = sink.copy_from(&from, &key("b")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}

/// What a restore sets aside must lie beside the prefix, each version under a name of its own, and survive being run
/// again.
#[tokio::test(flavor = "multi_thread")]
async fn versions_are_set_aside_side_by_side() {
    let place = Place::new().await;
    let sink = below(&place, "data/arc");
    // Blocks have no sum of the whole: only the version tells whether it is the same.
    for (round, len) in [(0, 2 * PART), (1, 2 * PART), (2, 7)] {
        let mut bytes = pattern(len).to_vec();
        bytes[0] = round;
        put(&sink, "cpu/a", &bytes).await.unwrap();
        for _ in 0..2 {
            sink.set_aside(&key("cpu/a"), "op-1", AsideMode::Keep)
                .await
                .unwrap();
        }
    }
    let aside = "data/arc.before-restore/op-1/cpu/a";
    let wanted = [
        aside.to_owned(),
        format!("{aside}.1"),
        format!("{aside}.2"),
        "data/arc/cpu/a".to_owned(),
    ];
    assert_eq!(everything(&place).await, wanted);
    assert_eq!(get(&place.sink(), &wanted[1]).await.unwrap()[0], 1);
    assert!(
        sink.aside_location("op-1")
            .unwrap()
            .ends_with("/data/arc.before-restore/op-1")
    );
    // The answer of the copy and that of the delete are lost; then it is run again as a whole.
    place.proxy.once("PUT", Fault::CloseAfter);
    place.proxy.once("DELETE", Fault::CloseAfter);
    for _ in 0..2 {
        sink.set_aside(&key("cpu/a"), "op-2", AsideMode::Move)
            .await
            .unwrap();
    }
    let moved = "data/arc.before-restore/op-2/cpu/a";
    assert_eq!(everything(&place).await[3..], [moved]);
    let absent = sink
        .set_aside(&key("cpu/b"), "op-2", AsideMode::Move)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    sink.remove_aside("op-1").await.unwrap();
    assert_eq!(everything(&place).await, [moved]);
}

/// An area that leads out of its place would let `remove_aside` delete data.
#[tokio::test(flavor = "multi_thread")]
async fn an_area_leads_nowhere_else() {
    let place = Place::new().await;
    let sink = below(&place, "p");
    put(&sink, "a", b"x").await.unwrap();
    for area in ["", "..", "a/b", "a b", "../p"] {
        let kind = sink.remove_aside(area).await.unwrap_err().kind();
        assert_eq!(kind, ErrorKind::Invalid, "{area:?}");
        let kind = sink
            .set_aside(&key("a"), area, AsideMode::Move)
            .await
            .unwrap_err()
            .kind();
        assert_eq!(kind, ErrorKind::Invalid, "{area:?}");
    }
    // `op-1` is no prefix of `op-10`.
    for area in ["op-1", "op-10"] {
        sink.set_aside(&key("a"), area, AsideMode::Keep)
            .await
            .unwrap();
    }
    sink.remove_aside("op-1").await.unwrap();
    assert_eq!(
        everything(&place).await,
        ["p.before-restore/op-10/a", "p/a"]
    );
    let whole = place.sink();
    assert!(!whole.capabilities().aside);
    let error = whole
        .set_aside(&key("x"), "op", AsideMode::Keep)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}
