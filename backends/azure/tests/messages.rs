//! What an operator reads: each fault of a configuration names the setting, and no secret is shown
//! anywhere.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use arc_backup_azure::{AzureConfig, AzureSink};
use arc_backup_core::remote::RetryPolicy;
use arc_backup_core::{Error, ErrorKind, ListOptions, ServerCopy, Sink};
use arc_backup_test_azurite::{ACCOUNT, Fault, KEY, Lasts};
use support::*;

const HOUR: Duration = Duration::from_secs(3600);

/// What every kind of request says.
async fn each(sink: &dyn Sink) -> Vec<Error> {
    let mut errors = Vec::new();
    errors.push(put(sink, "a", b"x").await.unwrap_err());
    errors.push(get(sink, "a").await.unwrap_err());
    errors.push(sink.head(&key("a")).await.unwrap_err());
    errors.push(list(sink, ListOptions::default()).await.unwrap_err());
    errors.push(sink.list_children(None).await.unwrap_err());
    errors.push(sink.delete(&[key("a")]).await.unwrap_err());
    errors.push(sink.lock(&key("lock"), "me").await.unwrap_err());
    errors.push(sink.lock_holder(&key("lock")).await.unwrap_err());
    errors
}

fn all_say(errors: &[Error], kind: ErrorKind, words: &[&str]) {
    for error in errors {
        let text = error.to_string();
        assert_eq!(error.kind(), kind, "{text}");
        for word in words {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
    }
}

/// Whoever typed the wrong key must learn which setting holds it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_names_its_setting() {
    let place = Place::new().await;
    let wrong = "d3Jvbmcgd3Jvbmcgd3Jvbmc=";
    let by_key = AzureSink::new(AzureConfig {
        connection_string: None,
        account_name: Some(ACCOUNT.to_owned()),
        account_key: Some(wrong.to_owned()),
        endpoint: Some(place.proxy.endpoint()),
        ..place.config()
    })
    .unwrap();
    all_say(
        &each(&by_key).await,
        ErrorKind::PermissionDenied,
        &["azure_account_key"],
    );
    let by_string = AzureSink::new(AzureConfig {
        connection_string: Some(place.proxy.connection_string().replace(KEY, wrong)),
        ..place.config()
    })
    .unwrap();
    let errors = each(&by_string).await;
    all_say(
        &errors,
        ErrorKind::PermissionDenied,
        &["azure_connection_string"],
    );
    assert!(errors.iter().all(|error| !error.is_retryable()));
}

/// A container that is not there must not look like an empty one.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_container_names_its_setting() {
    let place = Place::new().await;
    let config = AzureConfig {
        container: "not-there".to_owned(),
        ..place.config()
    };
    let errors = each(&AzureSink::new(config).unwrap()).await;
    all_say(
        &errors,
        ErrorKind::Unavailable,
        &["`azure_container`", "not-there"],
    );
}

/// Azure says "failed to authenticate" and nothing of a date: the message has to.
#[tokio::test(flavor = "multi_thread")]
async fn an_expired_sas_names_its_date() {
    let place = Place::new().await;
    let sink = place.sas_sink(place.azurite.account_sas("rwdlac", Lasts::EndedAgo(HOUR)));
    let warning = sink.warning().unwrap();
    assert!(
        warning.contains("the SAS token of `azure_sas_token` expired on 20"),
        "{warning}"
    );
    let wanted = ["the SAS token of `azure_sas_token` expired on 20"];
    all_say(&each(&sink).await, ErrorKind::PermissionDenied, &wanted);
}

/// A SAS that grants what is needed is enough for all of it, copies included.
#[tokio::test(flavor = "multi_thread")]
async fn a_sas_is_enough() {
    let place = Place::new().await;
    for sas in [
        place.azurite.account_sas("rwdlac", Lasts::For(HOUR)),
        format!(
            "?{}",
            place
                .azurite
                .container_sas(&place.container, "rcwdl", Lasts::For(HOUR))
        ),
    ] {
        let sink = place.sas_sink(sas);
        assert_eq!(sink.warning(), None);
        let bytes = pattern(3 * PART);
        put(&sink, "a", &bytes).await.unwrap();
        assert!(get(&sink, "a").await.unwrap() == bytes);
        let from = sink.address(&key("a"));
        sink.copy_from(&from, &key("b")).await.unwrap();
        assert_eq!(
            list(&sink, ListOptions::default()).await.unwrap(),
            ["a", "b"]
        );
        sink.delete(&[key("a"), key("b")]).await.unwrap();
    }
}

/// A missing permission must be named, by its letter, and by nothing else than the verb that lacks
/// it.
#[tokio::test(flavor = "multi_thread")]
async fn a_sas_without_a_permission_names_it() {
    let place = Place::new().await;
    put(&place.sink(), "a", b"x").await.unwrap();
    let with = |letters: &str| place.sas_sink(place.azurite.account_sas(letters, Lasts::For(HOUR)));
    let denied = |error: Error, letter: &str| {
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{text}");
        assert!(text.contains("azure_sas_token"), "{text}");
        assert!(text.contains(&format!("permission `{letter}`")), "{text}");
    };
    let reads = with("rl");
    denied(put(&reads, "b", b"x").await.unwrap_err(), "cw");
    denied(
        put(&reads, "b", &pattern(3 * PART)).await.unwrap_err(),
        "cw",
    );
    denied(reads.delete(&[key("a")]).await.unwrap_err(), "d");
    assert_eq!(get(&reads, "a").await.unwrap(), b"x");
    let writes = with("cw");
    put(&writes, "b", b"x").await.unwrap();
    denied(get(&writes, "b").await.unwrap_err(), "r");
    denied(
        list(&writes, ListOptions::default()).await.unwrap_err(),
        "l",
    );
}

/// A role that lacks one verb must be named by what it lacks, not by "forbidden".
#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_verb_is_named() {
    let place = Place::new().await;
    let sink = place.sink();
    place
        .proxy
        .always("PUT", Fault::Answer(403, "AuthorizationPermissionMismatch"));
    let error = put(&sink, "a", b"x").await.unwrap_err();
    let text = error.to_string();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(text.starts_with("cannot write `a`"), "{text}");
    assert!(text.contains("AuthorizationPermissionMismatch"), "{text}");
    assert!(text.contains("azure_connection_string"), "{text}");
    assert_eq!(place.proxy.count("PUT"), 1, "it was tried again");
}

/// Where nothing listens, the setting that says where must be named.
#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_not_there_names_its_setting() {
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = AzureConfig {
        container: "backups".to_owned(),
        retry: RetryPolicy {
            attempts: 2,
            ..quick()
        },
        ..AzureConfig::default()
    };
    let url = format!("http://{address}/{ACCOUNT}");
    let by_endpoint = AzureConfig {
        account_name: Some(ACCOUNT.to_owned()),
        account_key: Some(KEY.to_owned()),
        endpoint: Some(url.clone()),
        ..config.clone()
    };
    let by_string = AzureConfig {
        connection_string: Some(format!(
            "BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={KEY}"
        )),
        ..config
    };
    for (config, setting) in [
        (by_endpoint, "`azure_endpoint`"),
        (by_string, "`azure_connection_string`"),
    ] {
        let error = AzureSink::new(config)
            .unwrap()
            .head(&key("a"))
            .await
            .unwrap_err();
        let text = error.to_string();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{text}");
        for word in [setting, "refused", &address.to_string(), "tried 2 times"] {
            assert!(text.contains(word), "no {word:?} in: {text}");
        }
    }
}

/// Whoever reads a log must not be able to use what it reads.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_show_nowhere() {
    let place = Place::new().await;
    let sas = place.azurite.account_sas("r", Lasts::For(HOUR));
    let (_, signature) = sas.split_once("sig=").unwrap();
    let decoded = azure_core::http::Url::parse(&format!("http://a/?{sas}")).unwrap();
    let (_, plain) = decoded
        .query_pairs()
        .find(|(name, _)| name == "sig")
        .unwrap();
    let sink = place.sas_sink(sas.clone());
    let mut shown = vec![
        format!("{sink:?}"),
        sink.location(),
        format!("{:?}", place.config()),
    ];
    shown.push(format!("{:?}", sink.address(&key("a"))));
    shown.push(format!("{:?}", place.sink()));
    shown.push(format!("{:?}", place.sink().address(&key("a"))));
    let mut show = |error: Error| {
        let mut cause: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = cause {
            shown.push(format!("{error} {error:?}"));
            cause = error.source();
        }
    };
    show(put(&sink, "a", b"x").await.unwrap_err());
    show(get(&sink, "a").await.unwrap_err());
    for fault in [
        Fault::Close,
        Fault::Answer(500, "InternalError"),
        Fault::CutResponse(5),
    ] {
        place.proxy.heal();
        for verb in ["GET", "PUT", "GET list"] {
            place.proxy.always(verb, fault.clone());
        }
        for sink in [place.sink(), sink.clone()] {
            for error in [
                put(&sink, "a", b"x").await.err(),
                get(&sink, "a").await.err(),
                list(&sink, ListOptions::default()).await.err(),
            ] {
                error.into_iter().for_each(&mut show);
            }
        }
    }
    assert!(shown.len() > 15, "{}", shown.len());
    for text in shown {
        for secret in [KEY, signature, &plain] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

/// Azure says "failed to authenticate" of a clock that is wrong, too: nobody would look at it.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_named() {
    let place = Place::new().await;
    place.proxy.rule(|_| {
        Some(Fault::SetHeaders(vec![(
            "date",
            "Tue, 01 Jan 2030 00:00:00 GMT",
        )]))
    });
    let sink = AzureSink::new(AzureConfig {
        connection_string: Some(
            (place.proxy.connection_string()).replace(KEY, "d3Jvbmcgd3Jvbmcgd3Jvbmc="),
        ),
        ..place.config()
    })
    .unwrap();
    let error = list(&sink, ListOptions::default()).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the clock of this machine is"), "{text}");
    assert!(
        error.remedy().is_some_and(|remedy| remedy.contains("NTP")),
        "{error:?}"
    );
}
