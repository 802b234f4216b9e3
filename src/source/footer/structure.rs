//! Whether a footer is what it says it is, before the crate reads it: that one trusts its counts.

use super::shapes::{FOOTER, Shape};

/// How deep values may lie in each other: the crate reads no deeper ones.
const DEEPEST: u32 = 64;
/// How many bytes an integer of 64 bits has at most.
const LONGEST_INTEGER: usize = 10;

/// Why the crate must not read a footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is none.
    Malformed,
    /// It has a list of booleans. Parquet knows none, and the crate skips it wrongly.
    Booleans,
}

/// The number of the field of a footer that has the schema.
const SCHEMA: i16 = 2;

/// The number of the field of an element of a schema that says how many children it has.
const CHILDREN: i16 = 5;

/// Walks through all of a footer once, and returns its beginning up to the end of its first schema.
/// The cost is that of its bytes, whatever they are. `known` is what was returned for a footer that
/// begins alike.
pub(super) fn check<'a>(footer: &'a [u8], known: Option<&[u8]>) -> Result<&'a [u8], Refused> {
    let known = known.map_or(0, <[u8]>::len);
    let mut walk = Walk {
        rest: &footer[known..],
    };
    let (mut number, mut to_schema) = match known {
        0 => (0, None),
        known => (SCHEMA, Some(&footer[..known])),
    };
    while walk.field(&mut number, Some(FOOTER), DEEPEST)? {
        if number == SCHEMA && to_schema.is_none() {
            to_schema = Some(&footer[..footer.len() - walk.rest.len()]);
        }
    }
    Ok(to_schema.unwrap_or(footer))
}

/// What a schema is like. Its elements are a tree, in the order of their first visit.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    /// How many elements it has.
    pub(super) elements: u64,
    /// How many of those with children are above each other, at most.
    pub(super) levels: usize,
    /// How many names the paths of all columns have: the crate keeps each path.
    pub(super) names: u64,
}

/// The tree of the schema with which a checked footer begins.
pub(super) fn tree(to_schema: &[u8]) -> Result<Tree, Refused> {
    let (mut walk, mut number) = (Walk { rest: to_schema }, 0);
    while let Some(kind) = walk.header(&mut number)? {
        if number == SCHEMA {
            return walk.tree();
        }
        walk.content(kind, None, DEEPEST)?;
    }
    Ok(Tree::default())
}

/// What is left of a footer.
struct Walk<'a> {
    rest: &'a [u8],
}

impl Walk<'_> {
    fn skip(&mut self, count: u64) -> Result<(), Refused> {
        let count = usize::try_from(count).ok();
        let rest = count.and_then(|count| self.rest.get(count..));
        self.rest = rest.ok_or(Refused::Malformed)?;
        Ok(())
    }

    fn byte(&mut self) -> Result<u8, Refused> {
        let (first, rest) = self.rest.split_first().ok_or(Refused::Malformed)?;
        self.rest = rest;
        Ok(*first)
    }

    fn integer(&mut self) -> Result<u64, Refused> {
        let mut number = 0;
        for at in 0..LONGEST_INTEGER {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (7 * at);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Refused::Malformed)
    }

    /// How many elements there are: each takes a byte or more, and each boolean should.
    fn count(&mut self) -> Result<u64, Refused> {
        let count = self.integer()?;
        match count <= self.rest.len() as u64 {
            true => Ok(count),
            false => Err(Refused::Malformed),
        }
    }

    /// The fields of a struct, to its end.
    fn fields(&mut self, shape: Option<Shape>, depth: u32) -> Result<(), Refused> {
        let mut number = 0;
        while self.field(&mut number, shape, depth)? {}
        Ok(())
    }

    /// The next field of a struct, behind the one of this number; `false` at its end.
    fn field(
        &mut self,
        number: &mut i16,
        shape: Option<Shape>,
        depth: u32,
    ) -> Result<bool, Refused> {
        let Some(kind) = self.header(number)? else {
            return Ok(false);
        };
        let known = shape.and_then(|shape| shape.field(*number));
        self.content(kind, known, depth)?;
        Ok(true)
    }

    /// The kind of the next field, behind the one of this number; `None` at the end of the struct.
    fn header(&mut self, number: &mut i16) -> Result<Option<u8>, Refused> {
        let header = self.byte()?;
        let kind = header & 0x0f;
        if kind == 0 {
            return Ok(None);
        }
        *number = match header >> 4 {
            // As the crate does, with what no writer writes too.
            0 => self.signed()? as i16,
            more => (number.checked_add(i16::from(more))).ok_or(Refused::Malformed)?,
        };
        Ok(Some(kind))
    }

    /// What is behind the header of a field of this kind.
    fn content(&mut self, kind: u8, shape: Option<Shape>, depth: u32) -> Result<(), Refused> {
        match kind {
            // A boolean is in the header.
            1 | 2 if shape.is_none_or(|shape| shape.is(kind)) => Ok(()),
            _ => self.value(kind, shape, depth),
        }
    }

    fn signed(&mut self) -> Result<i64, Refused> {
        let written = self.integer()?;
        Ok((written >> 1).cast_signed() ^ -((written & 1).cast_signed()))
    }

    /// The tree of the elements of a list, which a schema is.
    fn tree(&mut self) -> Result<Tree, Refused> {
        let elements = match self.byte()? >> 4 {
            15 => self.count()?,
            few => u64::from(few),
        };
        let mut tree = Tree {
            elements,
            ..Tree::default()
        };
        // How many children are still to come, of each element above.
        let mut above: Vec<u64> = Vec::new();
        for _ in 0..elements {
            while above.last() == Some(&0) {
                above.pop();
            }
            if let Some(left) = above.last_mut() {
                *left -= 1;
            }
            match self.children()? {
                0 => tree.names += above.len() as u64,
                children => above.push(children),
            }
            tree.levels = tree.levels.max(above.len());
        }
        Ok(tree)
    }

    /// How many children an element of a schema says that it has.
    fn children(&mut self) -> Result<u64, Refused> {
        let (mut number, mut children) = (0, 0);
        while let Some(kind) = self.header(&mut number)? {
            match (number, kind) {
                (CHILDREN, 4..=6) => children = u64::try_from(self.signed()?).unwrap_or_default(),
                _ => self.content(kind, None, DEEPEST)?,
            }
        }
        Ok(children)
    }

    /// A value of a field or a list.
    fn value(&mut self, kind: u8, shape: Option<Shape>, depth: u32) -> Result<(), Refused> {
        if shape.is_some_and(|shape| !shape.is(kind)) {
            return Err(Refused::Malformed);
        }
        let depth = depth.checked_sub(1).ok_or(Refused::Malformed)?;
        match kind {
            3 => self.skip(1),
            4..=6 => self.integer().map(drop),
            7 => self.skip(8),
            8 => {
                let length = self.integer()?;
                self.skip(length)
            }
            9 | 10 => self.list(shape, depth),
            11 => self.map(depth),
            12 => self.fields(shape, depth),
            13 => self.skip(16),
            _ => Err(Refused::Malformed),
        }
    }

    fn list(&mut self, shape: Option<Shape>, depth: u32) -> Result<(), Refused> {
        let header = self.byte()?;
        let kind = header & 0x0f;
        let count = match header >> 4 {
            15 => self.count()?,
            few if usize::from(few) <= self.rest.len() => u64::from(few),
            _ => return Err(Refused::Malformed),
        };
        if count > 0 && matches!(kind, 1 | 2) {
            return Err(Refused::Booleans);
        }
        let element = shape.and_then(Shape::element);
        for _ in 0..count {
            self.value(kind, element, depth)?;
        }
        Ok(())
    }

    fn map(&mut self, depth: u32) -> Result<(), Refused> {
        let count = self.count()?;
        if count == 0 {
            return Ok(());
        }
        let kinds = self.byte()?;
        let kinds = [kinds >> 4, kinds & 0x0f];
        if kinds.iter().any(|kind| matches!(kind, 1 | 2)) {
            return Err(Refused::Booleans);
        }
        for _ in 0..count {
            for kind in kinds {
                self.value(kind, None, depth)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer of the version 1, with this behind it.
    fn with(rest: &[u8]) -> Vec<u8> {
        [&[0x15, 2][..], rest, &[0]].concat()
    }

    /// Guards against: a count without bytes behind it, in a list or a map, at any place.
    #[test]
    fn a_count_has_bytes_behind_it() {
        const MANY: [u8; 5] = [0xff, 0xff, 0xff, 0xff, 0x07];
        for before in [
            &[0xe9, 0xf1][..],
            &[0xe9, 0xf2],
            &[0xea, 0xf3],
            &[0x19, 0xfc],
            // In a field of an unknown struct, and in a list.
            &[0xec, 0x19, 0xf1],
            &[0xe9, 0x19, 0xf1],
            &[0xeb],
        ] {
            let footer = with(&[before, &MANY, &[0x11]].concat());
            assert_eq!(check(&footer, None), Err(Refused::Malformed), "{before:x?}");
        }
        assert_eq!(
            check(&with(&[0xe9, 0x21, 1, 1]), None),
            Err(Refused::Booleans)
        );
        assert_eq!(
            check(&with(&[0xeb, 1, 0x11, 1, 1]), None),
            Err(Refused::Booleans)
        );
        assert!(check(&with(&[0xe9, 0x23, 1, 1]), None).is_ok());
        assert!(check(&with(&[0xeb, 1, 0x33, 1, 1]), None).is_ok());
    }

    /// Guards against: bytes that the crate, which goes by the number of a field alone, reads as
    /// something else than what was walked through.
    #[test]
    fn a_known_field_is_what_it_should_be() {
        // The number of rows, once as one and once as a text.
        assert!(check(&with(&[0x26, 6]), None).is_ok());
        assert_eq!(check(&with(&[0x28, 1, 6]), None), Err(Refused::Malformed));
        assert_eq!(check(&with(&[0x21]), None), Err(Refused::Malformed));
        // The same by its whole number.
        assert_eq!(
            check(&with(&[0x08, 6, 1, 6]), None),
            Err(Refused::Malformed)
        );
    }

    /// Guards against: a tree that looks less deep or less wide than it is.
    #[test]
    fn the_tree_of_a_schema_is_measured() {
        let name = [0x48, 1, b'a'];
        let group = |children: u8| [&name[..], &[0x15, 2 * children, 0]].concat();
        let column = [&[0x15, 4, 0x38, 1, b'a'][..], &[0]].concat();
        let schema = |elements: &[Vec<u8>]| {
            let list = [&[0x19, (elements.len() as u8) << 4 | 0x0c][..]].concat();
            with(&[&list[..], &elements.concat()].concat())
        };
        let tree = |elements, levels, names| {
            Ok(Tree {
                elements,
                levels,
                names,
            })
        };
        for (elements, expected) in [
            (
                vec![group(2), column.clone(), column.clone()],
                tree(3, 1, 2),
            ),
            (
                vec![group(2), group(1), column.clone(), column.clone()],
                tree(4, 2, 3),
            ),
            (
                vec![group(2), column.clone(), group(2), column.clone(), column],
                tree(5, 2, 5),
            ),
        ] {
            let footer = schema(&elements);
            assert!(check(&footer, None).is_ok());
            assert_eq!(super::tree(&footer), expected);
        }
        assert_eq!(super::tree(&with(&[])), tree(0, 0, 0));
    }

    /// Guards against: values in each other that take all of the stack.
    #[test]
    fn what_is_too_deep_is_refused() {
        let lists = |levels: usize| with(&[&[0xe9][..], &vec![0x19; levels], &[0x03]].concat());
        assert!(check(&lists(20), None).is_ok());
        assert_eq!(check(&lists(100_000), None), Err(Refused::Malformed));
        assert_eq!(check(&[], None), Err(Refused::Malformed));
        assert_eq!(check(&[0x15, 0x80], None), Err(Refused::Malformed));
    }
}
