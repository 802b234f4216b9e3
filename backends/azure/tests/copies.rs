//! Copies within the account, and what is set aside by them.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::{Activity, AsideMode, ErrorKind, ListOptions, ServerCopy, Sink};
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

/// A copy between two containers of one account moves no byte through here; one that can't be made
/// so must say that, not make another.
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
    let from = here.address(&key("größe/a b%20+"));
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

/// A copy whose answer is lost is done all the same; one that the store forbids is left to reading
/// and writing.
#[tokio::test(flavor = "multi_thread")]
async fn faults_of_a_copy_heal_or_say_what_to_do() {
    let place = Place::new().await;
    let sink = place.sink();
    put(&sink, "a", b"bytes").await.unwrap();
    let from = sink.address(&key("a"));
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

/// What a restore sets aside must lie beside the prefix, each version under a name of its own, and
/// survive being run again.
#[tokio::test(flavor = "multi_thread")]
async fn versions_are_set_aside_side_by_side() {
    let place = Place::new().await;
    let sink = below(&place, "data/arc");
    // Blocks have no sum of the whole: only the version shows whether it is the same.
    for (round, len) in [(0, 2 * PART), (1, 2 * PART), (2, 7)] {
        let mut bytes = pattern(len).to_vec();
        bytes[0] = round;
        put(&sink, "cpu/a", &bytes).await.unwrap();
        for _ in 0..2 {
            sink.aside()
                .unwrap()
                .set_aside(&key("cpu/a"), &id("op-1"), AsideMode::Keep)
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
    let location = sink.aside().unwrap().location(&id("op-1"));
    assert!(
        location.ends_with("/data/arc.before-restore/op-1"),
        "{location}"
    );
    // The answer of the copy and that of the delete are lost; then it is run again as a whole.
    place.proxy.once("PUT", Fault::CloseAfter);
    place.proxy.once("DELETE", Fault::CloseAfter);
    for _ in 0..2 {
        sink.aside()
            .unwrap()
            .set_aside(&key("cpu/a"), &id("op-2"), AsideMode::Move)
            .await
            .unwrap();
    }
    let moved = "data/arc.before-restore/op-2/cpu/a";
    assert_eq!(everything(&place).await[3..], [moved]);
    let absent = sink
        .aside()
        .unwrap()
        .set_aside(&key("cpu/b"), &id("op-2"), AsideMode::Move)
        .await
        .unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    sink.aside()
        .unwrap()
        .remove(&id("op-1"), &Activity::default())
        .await
        .unwrap();
    assert_eq!(everything(&place).await, [moved]);
}

fn never_ends() -> Fault {
    Fault::SetHeaders(vec![
        ("x-ms-copy-status", "pending"),
        ("x-ms-copy-progress", "1/7"),
    ])
}

/// Does `fault` to the first HEADs of what is set aside.
fn aside_heads(place: &Place, mut times: usize, fault: Fault) {
    place.proxy.rule(move |request| {
        if times == 0 || request.verb != "HEAD" || !request.path.contains(".before-restore") {
            return None;
        }
        times -= 1;
        Some(fault.clone())
    });
}

/// The origin of a copy is written as it begins: taken for the end, it would delete the only whole
/// original.
#[tokio::test(flavor = "multi_thread")]
async fn the_original_goes_only_when_its_copy_is_whole() {
    let place = Place::new().await;
    let mut config = place.config();
    config.prefix = Some("p".to_owned());
    config.retry.silence = Duration::from_millis(500);
    let sink = AzureSink::new(config).unwrap();
    let aside = "p.before-restore/op/a";
    // Blocks have no sum of the whole.
    let bytes = pattern(2 * PART);
    put(&sink, "a", &bytes).await.unwrap();
    let at = key("a");
    let op = id("op");
    let set = |mode| sink.aside().unwrap().set_aside(&at, &op, mode);
    set(AsideMode::Keep).await.unwrap();
    aside_heads(&place, usize::MAX, never_ends());
    let error = set(AsideMode::Move).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Unavailable, "a"),
        "{error}"
    );
    assert!(
        get(&sink, "a").await.unwrap() == bytes,
        "the original is gone"
    );
    place.proxy.heal();
    // One that another process began is waited for, and not made again.
    place.proxy.reset_counts();
    aside_heads(&place, 2, never_ends());
    set(AsideMode::Keep).await.unwrap();
    assert_eq!(place.proxy.count("PUT"), 0, "it was copied twice");
    for status in ["failed", "aborted"] {
        place.proxy.reset_counts();
        let broken = [("x-ms-copy-status", status), ("content-length", "0")];
        aside_heads(&place, 1, Fault::SetHeaders(broken.to_vec()));
        set(AsideMode::Keep).await.unwrap();
        assert_eq!(place.proxy.count("PUT"), 1, "a copy that {status}");
        assert_eq!(everything(&place).await, [aside, "p/a"]);
    }
    let short = Fault::SetHeaders(vec![("content-length", "7")]);
    aside_heads(&place, 1, short);
    set(AsideMode::Move).await.unwrap();
    let second = format!("{aside}.1");
    assert_eq!(everything(&place).await, [aside, &second]);
    for at in [aside, &second] {
        assert!(get(&place.sink(), at).await.unwrap() == bytes, "{at}");
    }
}

/// A copy that the store never ends must not hold an operation for ever, nor go on when nobody
/// waits for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_without_progress_is_aborted() {
    let place = Place::new().await;
    let mut config = place.config();
    config.retry.silence = Duration::from_millis(500);
    let sink = AzureSink::new(config).unwrap();
    put(&sink, "a", b"bytes").await.unwrap();
    let from = sink.address(&key("a"));
    place.proxy.always("HEAD", never_ends());
    let error = sink.copy_from(&from, &key("b")).await.unwrap_err();
    assert!(error.to_string().contains("without progress"), "{error}");
    assert_eq!(
        (error.kind(), error.subject()),
        (ErrorKind::Unavailable, "b")
    );
    assert_eq!(place.proxy.count("PUT copy"), 1, "it was not aborted");
    // One that moves is only slow.
    place.proxy.heal();
    for progress in ["1/7", "2/7", "3/7", "4/7", "5/7"] {
        let moving = vec![
            ("x-ms-copy-status", "pending"),
            ("x-ms-copy-progress", progress),
        ];
        place.proxy.once("HEAD", Fault::SetHeaders(moving));
    }
    sink.copy_from(&from, &key("b")).await.unwrap();
    place.proxy.reset_counts();
    place.proxy.always("HEAD", never_ends());
    let to = key("c");
    let dropped = sink.copy_from(&from, &to);
    assert!(
        tokio::time::timeout(Duration::from_millis(300), dropped)
            .await
            .is_err()
    );
    for _ in 0..100 {
        if place.proxy.count("PUT copy") == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("a copy that was dropped was not aborted");
}

/// A right that is missing must be found before a restore changes anything, and looking for it must
/// leave nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_place_for_things_aside_is_tried_first() {
    let place = Place::new().await;
    let sink = below(&place, "p");
    put(&sink, "a", b"x").await.unwrap();
    for fault in [Fault::CloseAfter, Fault::AnswerAfter(500, "InternalError")] {
        place.proxy.once("PUT", fault.clone());
        place.proxy.once("DELETE", fault);
        sink.aside().unwrap().prepare(&id("op"), 1).await.unwrap();
        assert_eq!(everything(&place).await, ["p/a"]);
    }
    for verb in ["PUT", "DELETE"] {
        place.proxy.heal();
        place
            .proxy
            .always(verb, Fault::Answer(403, "AuthorizationPermissionMismatch"));
        let error = sink
            .aside()
            .unwrap()
            .prepare(&id("op"), 1)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
        let text = error.to_string();
        assert!(text.contains("p.before-restore/op"), "{text}");
    }
}

/// Lost if it fails: what another operation has set aside.
#[tokio::test(flavor = "multi_thread")]
async fn each_operation_has_a_place_of_its_own() {
    let place = Place::new().await;
    let sink = below(&place, "p");
    put(&sink, "a", b"x").await.unwrap();
    // `op-10` begins with `op-1`, and is another.
    for area in ["op-1", "op-10"] {
        sink.aside()
            .unwrap()
            .set_aside(&key("a"), &id(area), AsideMode::Keep)
            .await
            .unwrap();
    }
    sink.aside()
        .unwrap()
        .remove(&id("op-1"), &Activity::default())
        .await
        .unwrap();
    assert_eq!(
        everything(&place).await,
        ["p.before-restore/op-10/a", "p/a"]
    );
    assert!(
        place.sink().aside().is_none(),
        "a whole container has nothing beside it"
    );
}
