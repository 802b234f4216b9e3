//! Walks over sorted lists, as streams: inventories, listings and the lists that a source gives are
//! all in byte order.

use arc_backup_core::{Entry, Error, ErrorKind, Key, Meta};
use futures::stream::{self, BoxStream, Fuse};
use futures::{Stream, StreamExt};

/// Something that has a place in a sorted list.
pub(crate) trait Sorted {
    /// The text that it is sorted by, in byte order.
    fn sort_key(&self) -> &str;
}

impl Sorted for Entry {
    fn sort_key(&self) -> &str {
        &self.key
    }
}

impl Sorted for Meta {
    fn sort_key(&self) -> &str {
        &self.key
    }
}

impl Sorted for Key {
    fn sort_key(&self) -> &str {
        self
    }
}

/// What two sorted lists have at one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Joined<L, R> {
    /// Only the left list has it.
    Left(L),
    /// Only the right list has it.
    Right(R),
    /// Both have it.
    Both(L, R),
}

impl<L, R> Joined<L, R> {
    /// What each list has.
    pub(crate) fn into_sides(self) -> (Option<L>, Option<R>) {
        match self {
            Self::Left(left) => (Some(left), None),
            Self::Right(right) => (None, Some(right)),
            Self::Both(left, right) => (Some(left), Some(right)),
        }
    }
}

impl<L: Sorted, R: Sorted> Sorted for Joined<L, R> {
    fn sort_key(&self) -> &str {
        match self {
            Self::Left(left) | Self::Both(left, _) => left.sort_key(),
            Self::Right(right) => right.sort_key(),
        }
    }
}

/// Walks two sorted lists at once: what they have at each key, in the order of the keys.
///
/// Neither list may have a key twice. The first error ends the walk: one of a list, or one that
/// says that a list is not in order.
pub(crate) fn merge_join<'a, L, R, E>(
    left: impl Stream<Item = Result<L, E>> + Send + 'a,
    right: impl Stream<Item = Result<R, E>> + Send + 'a,
) -> BoxStream<'a, Result<Joined<L, R>, E>>
where
    L: Sorted + Send + 'a,
    R: Sorted + Send + 'a,
    E: From<Error> + Send + 'a,
{
    let walk = (Side::new(left), Side::new(right));
    stream::try_unfold(walk, |(mut left, mut right)| async move {
        let order = match (left.head().await?, right.head().await?) {
            (None, None) => return Ok(None),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some(left), Some(right)) => left.cmp(right),
        };
        let joined = match (
            order.is_le().then(|| left.take()),
            order.is_ge().then(|| right.take()),
        ) {
            (Some(Some(left)), Some(Some(right))) => Joined::Both(left, right),
            (Some(Some(left)), _) => Joined::Left(left),
            (_, Some(Some(right))) => Joined::Right(right),
            _ => return Ok(None),
        };
        Ok(Some((joined, (left, right))))
    })
    .boxed()
}

/// The items of a sorted list; one that is out of order is an error.
pub(crate) fn in_order<'a, T, E>(
    items: impl Stream<Item = Result<T, E>> + Send + 'a,
) -> BoxStream<'a, Result<T, E>>
where
    T: Sorted + Send + 'a,
    E: From<Error> + Send + 'a,
{
    stream::try_unfold(Side::new(items), |mut side| async move {
        side.head().await?;
        Ok(side.take().map(|item| (item, side)))
    })
    .boxed()
}

/// The items of two sorted lists as one. A key that both have is an error.
pub(crate) fn union<'a, T, E>(
    one: impl Stream<Item = Result<T, E>> + Send + 'a,
    other: impl Stream<Item = Result<T, E>> + Send + 'a,
) -> BoxStream<'a, Result<T, E>>
where
    T: Sorted + Send + 'a,
    E: From<Error> + Send + 'a,
{
    merge_join(one, other)
        .map(|joined| match joined? {
            Joined::Left(item) | Joined::Right(item) => Ok(item),
            Joined::Both(item, _) => Err(out_of_order(item.sort_key(), "is in two lists").into()),
        })
        .boxed()
}

/// One of two lists: its items one by one, in order, the next of them at hand.
struct Side<'a, T, E> {
    items: Fuse<BoxStream<'a, Result<T, E>>>,
    head: Option<T>,
    /// The key before the next item.
    last: Option<String>,
}

impl<'a, T: Sorted, E: From<Error>> Side<'a, T, E> {
    fn new(items: impl Stream<Item = Result<T, E>> + Send + 'a) -> Self {
        Self {
            items: items.boxed().fuse(),
            head: None,
            last: None,
        }
    }

    /// The key of the next item; `None` at the end.
    async fn head(&mut self) -> Result<Option<&str>, E> {
        if self.head.is_none()
            && let Some(item) = self.items.next().await
        {
            let item = item?;
            let key = item.sort_key();
            match &mut self.last {
                Some(last) if key <= last.as_str() => {
                    return Err(out_of_order(key, &format!("comes behind `{last}`")).into());
                }
                Some(last) => {
                    last.clear();
                    last.push_str(key);
                }
                last @ None => *last = Some(key.to_owned()),
            }
            self.head = Some(item);
        }
        Ok(self.head.as_ref().map(Sorted::sort_key))
    }

    fn take(&mut self) -> Option<T> {
        self.head.take()
    }
}

fn out_of_order(key: &str, how: &str) -> Error {
    let text = format!("it {how}: a list must have each key once, in byte order");
    Error::new(ErrorKind::Invalid, "list", key, text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use futures::TryStreamExt;

    use super::*;

    /// A key, and a number to know the item by.
    #[derive(Debug, Clone, PartialEq, Eq)]
    struct Item(String, u32);

    impl Sorted for Item {
        fn sort_key(&self) -> &str {
            &self.0
        }
    }

    type Items = BTreeMap<String, u32>;

    fn list(items: &Items) -> impl Stream<Item = Result<Item, Error>> + Send + use<> {
        let items: Vec<_> = (items.iter())
            .map(|(key, number)| Ok(Item(key.clone(), *number)))
            .collect();
        stream::iter(items)
    }

    /// Up to 12 of some 40 keys, among them some that begin like others.
    fn random(numbers: &mut fastrand::Rng) -> Items {
        (0..numbers.u32(0..12))
            .map(|number| {
                let letters = ["a", "b", "-", "/", "ä"];
                let length = numbers.usize(1..4);
                let key = (0..length).map(|_| letters[numbers.usize(0..letters.len())]);
                (key.collect(), number)
            })
            .collect()
    }

    /// Guards against: a walk that is off by one, and drops or doubles what is at an end.
    #[tokio::test]
    async fn a_walk_gives_what_two_maps_hold() {
        let mut numbers = fastrand::Rng::with_seed(20_261_129);
        for round in 0..2_000 {
            let (left, right) = (random(&mut numbers), random(&mut numbers));
            let joined: Vec<_> = (merge_join(list(&left), list(&right)).try_collect().await)
                .expect("both are in order");
            let mut keys: Vec<&String> = left.keys().chain(right.keys()).collect();
            keys.sort();
            keys.dedup();
            let item = |key: &String, items: &Items| items.get(key).map(|n| Item(key.clone(), *n));
            let expected: Vec<_> = (keys.into_iter())
                .filter_map(|key| match (item(key, &left), item(key, &right)) {
                    (Some(left), Some(right)) => Some(Joined::Both(left, right)),
                    (Some(left), None) => Some(Joined::Left(left)),
                    (None, right) => right.map(Joined::Right),
                })
                .collect();
            assert_eq!(joined, expected, "round {round}: {left:?} {right:?}");

            let all: Result<Vec<Item>, Error> =
                union(list(&left), list(&right)).try_collect().await;
            match left.keys().any(|key| right.contains_key(key)) {
                true => assert!(all.is_err(), "round {round}: a key of both was taken"),
                false => {
                    let merged: Items = left.into_iter().chain(right).collect();
                    let all = all.expect("no key is in both");
                    assert!(all.iter().map(|item| (&item.0, &item.1)).eq(&merged));
                }
            }
        }
    }

    /// Guards against: a decision by a list that is not in order, which is a wrong one.
    #[tokio::test]
    async fn a_list_that_is_not_in_order_ends_the_walk_and_so_does_an_error() {
        let items = |keys: &[&str]| {
            let items: Vec<_> = (keys.iter())
                .map(|key| match *key {
                    "!" => Err(Error::new(ErrorKind::Other, "read", "x", "it broke off")),
                    key => Ok(Item(key.to_owned(), 0)),
                })
                .collect();
            stream::iter(items)
        };
        for (bad, named) in [
            (&["b", "a"][..], "`b`"),
            (&["a", "a"], "`a`"),
            (&["a", "c", "!"], "it broke off"),
        ] {
            for swapped in [false, true] {
                let good = items(&["b", "d"]);
                let ended = match swapped {
                    false => merge_join(items(bad), good).try_collect::<Vec<_>>().await,
                    true => merge_join(good, items(bad)).try_collect::<Vec<_>>().await,
                };
                let error = ended.expect_err("a fault").to_string();
                assert!(error.contains(named), "{error}");
            }
        }
    }
}
