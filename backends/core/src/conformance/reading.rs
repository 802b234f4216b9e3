//! Objects are read in part, and only if they are still the same.

use super::calls::{key, pattern, put, read_with};
use crate::{ErrorKind, GetOptions, Sink};

pub(super) async fn reads_ranges(sink: &dyn Sink) {
    let bytes = pattern(100_000, 3);
    put(sink, "a", &bytes).await;
    put(sink, "empty", b"").await;
    let ranged = |range| GetOptions {
        range: Some(range),
        ..GetOptions::default()
    };
    let len = bytes.len() as u64;
    for (range, wanted) in [
        (0..len, &bytes[..]),
        (0..1, &bytes[..1]),
        (777..70_000, &bytes[777..70_000]),
        (len - 1..len, &bytes[bytes.len() - 1..]),
        (99_000..u64::MAX, &bytes[99_000..]),
        (len..len + 10, b""),
        (len + 5..len + 10, b""),
        (5..5, b""),
    ] {
        let got = read_with(sink, "a", ranged(range.clone())).await;
        assert!(
            got == wanted,
            "the range {range:?} of {len} bytes gives {} bytes",
            got.len()
        );
        let object = sink
            .get(&key("a"), ranged(range.clone()))
            .await
            .expect("the object is there");
        assert_eq!(
            object.meta.size, len,
            "the range {range:?} changes the size of the whole"
        );
    }
    let got = read_with(sink, "empty", ranged(0..10)).await;
    assert_eq!(got, b"", "a range of an empty object has bytes");
}

pub(super) async fn notices_a_changed_object(sink: &dyn Sink) {
    let first = put(sink, "a", b"first").await;
    let expecting = |etag: Option<String>| GetOptions {
        if_match: etag,
        ..GetOptions::default()
    };
    assert!(first.etag.is_some(), "an object has no entity tag to match");
    let got = read_with(sink, "a", expecting(first.etag.clone())).await;
    assert_eq!(got, b"first", "if_match refuses the object that it names");
    put(sink, "a", b"second").await;
    let error = sink
        .get(&key("a"), expecting(first.etag.clone()))
        .await
        .err();
    let kind = error.map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::Changed),
        "if_match does not notice another object"
    );
    sink.delete(&[key("a")]).await.expect("a delete succeeds");
    let error = sink.get(&key("a"), expecting(first.etag)).await.err();
    let kind = error.map(|error| error.kind());
    assert_eq!(
        kind,
        Some(ErrorKind::NotFound),
        "if_match of an absent object is not NotFound"
    );
}
