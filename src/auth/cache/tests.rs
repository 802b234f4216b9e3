//! How long a verdict counts.

use super::*;

const TOKEN: [u8; 32] = [7; 32];
const TTL: Duration = Duration::from_secs(300);

fn good(expiry: Expiry) -> Good {
    Good {
        verdict: verdict(),
        expiry,
        proof: [9; 32],
    }
}

fn verdict() -> Verdict {
    Verdict::Admin(Identity {
        name: "a".to_owned(),
        fingerprint: TOKEN,
    })
}

fn later(moment: Moment, time: Duration) -> Moment {
    Moment {
        instant: moment.instant + time,
        clock: moment.clock + time,
    }
}

fn numbered(number: usize) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint[..8].copy_from_slice(&number.to_le_bytes());
    fingerprint
}

/// Guards against: a revoked token that is good for ever, and a look-up for every request.
#[test]
fn a_good_verdict_lasts_for_the_ttl() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    cache.accept(0, TOKEN, good(Expiry::Never), now);
    let last = later(now, TTL - Duration::from_millis(1));
    assert_eq!(cache.get(&TOKEN, last), Some(verdict()));
    assert_eq!(cache.get(&TOKEN, later(now, TTL)), None);
    assert_eq!(cache.proof(&TOKEN), Some([9; 32]));
    assert_eq!(cache.get(&[8; 32], now), None);
}

/// Guards against: a token in use that outlives its expiry.
#[test]
fn a_good_verdict_ends_with_the_token() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    let end = now.clock + Duration::from_secs(5);
    cache.accept(0, TOKEN, good(Expiry::At(end)), now);
    assert!(
        cache
            .get(&TOKEN, later(now, Duration::from_secs(4)))
            .is_some()
    );
    assert_eq!(cache.get(&TOKEN, later(now, Duration::from_secs(5))), None);
}

/// Guards against: a repeated wrong token that costs work, and a refusal that never ends.
#[test]
fn a_refusal_lasts_for_a_moment() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    cache.refuse(0, TOKEN, now);
    let last = later(now, Duration::from_millis(1999));
    assert_eq!(cache.get(&TOKEN, last), Some(Verdict::Refused));
    assert_eq!(cache.get(&TOKEN, later(now, REFUSED_TTL)), None);
    cache.accept(0, TOKEN, good(Expiry::Never), now);
    assert_eq!(cache.get(&TOKEN, now), Some(verdict()));
    cache.refuse(0, TOKEN, now);
    assert_eq!(cache.get(&TOKEN, now), Some(Verdict::Refused));
    assert_eq!(cache.proof(&TOKEN), None);
}

/// Guards against: wrong tokens that fill the memory or push out good verdicts.
#[test]
fn refusals_are_bounded_and_never_evict_a_good_verdict() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    cache.accept(0, TOKEN, good(Expiry::Never), now);
    for number in 0..CAPACITY * 2 {
        cache.refuse(0, numbered(number), now);
        cache.refuse(0, numbered(0), now);
    }
    let entries = cache.entries();
    assert!(entries.refused.len() <= CAPACITY && entries.refused_order.len() <= CAPACITY);
    drop(entries);
    assert_eq!(cache.get(&TOKEN, now), Some(verdict()));
    assert_eq!(cache.get(&numbered(0), now), Some(Verdict::Refused));
}

/// Guards against: a cache of good verdicts without a limit, or one that drops the newest.
#[test]
fn good_verdicts_are_bounded_and_the_oldest_goes() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    for number in 0..=CAPACITY {
        let then = later(now, Duration::from_micros(number as u64));
        cache.accept(0, numbered(number), good(Expiry::Never), then);
    }
    assert_eq!(cache.entries().good.len(), CAPACITY);
    assert_eq!(cache.get(&numbered(0), now), None);
    assert!(cache.get(&numbered(CAPACITY), now).is_some());
}

/// Guards against: revocations of a restored database that an earlier check undoes.
#[test]
fn forget_drops_all_and_what_began_before() {
    let (cache, now) = (Cache::new(TTL), Moment::now());
    let generation = cache.generation();
    cache.accept(generation, TOKEN, good(Expiry::Never), now);
    cache.refuse(generation, [8; 32], now);
    cache.forget();
    assert_eq!(
        (cache.get(&TOKEN, now), cache.get(&[8; 32], now)),
        (None, None)
    );
    assert_eq!(cache.proof(&TOKEN), None);
    cache.accept(generation, TOKEN, good(Expiry::Never), now);
    cache.refuse(generation, [8; 32], now);
    assert_eq!(
        (cache.get(&TOKEN, now), cache.get(&[8; 32], now)),
        (None, None)
    );
}
