//! What the fields of a Parquet footer are, as its specification says.

/// What a value is. All integers but those of one byte are written the same way.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    Bool,
    Byte,
    Int,
    Double,
    Binary,
    List(&'static Shape),
    /// The fields by their numbers.
    Struct(&'static [(i16, Shape)]),
}

use Shape::{Binary, Bool, Byte, Double, Int, List, Struct};

impl Shape {
    /// Whether a value of this kind, by its number in the file, is one.
    pub(super) fn is(self, kind: u8) -> bool {
        match self {
            Bool => matches!(kind, 1 | 2),
            Byte => kind == 3,
            Int => matches!(kind, 4..=6),
            Double => kind == 7,
            Binary => kind == 8,
            List(_) => matches!(kind, 9 | 10),
            Struct(_) => kind == 12,
        }
    }

    /// The field of this number, where it is one of a struct.
    pub(super) fn field(self, number: i16) -> Option<Self> {
        let Struct(fields) = self else { return None };
        let is_it = |(known, _): &&(i16, Self)| *known == number;
        // Most structs have all fields of the first numbers.
        let at = usize::try_from(number).ok()?.checked_sub(1)?;
        let of_it = fields.get(at).filter(is_it);
        let of_it = of_it.or_else(|| fields.iter().find(is_it));
        of_it.map(|(_, shape)| *shape)
    }

    /// What the elements of a list are.
    pub(super) fn element(self) -> Option<Self> {
        match self {
            List(element) => Some(*element),
            _ => None,
        }
    }
}

/// The whole footer.
pub(super) const FOOTER: Shape = Struct(&[
    (1, Int),
    (2, List(&SCHEMA_ELEMENT)),
    (3, Int),
    (4, List(&ROW_GROUP)),
    (5, List(&KEY_VALUE)),
    (6, Binary),
    (7, List(&COLUMN_ORDER)),
    (8, ENCRYPTION),
    (9, Binary),
]);

const EMPTY: Shape = Struct(&[]);

const SCHEMA_ELEMENT: Shape = Struct(&[
    (1, Int),
    (2, Int),
    (3, Int),
    (4, Binary),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Int),
    (9, Int),
    (10, LOGICAL_TYPE),
]);

const TIME: Shape = Struct(&[(1, Bool), (2, TIME_UNIT)]);
const TIME_UNIT: Shape = Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]);

const LOGICAL_TYPE: Shape = Struct(&[
    (1, EMPTY),
    (2, EMPTY),
    (3, EMPTY),
    (4, EMPTY),
    (5, Struct(&[(1, Int), (2, Int)])),
    (6, EMPTY),
    (7, TIME),
    (8, TIME),
    (10, Struct(&[(1, Byte), (2, Bool)])),
    (11, EMPTY),
    (12, EMPTY),
    (13, EMPTY),
    (14, EMPTY),
    (15, EMPTY),
    (16, Struct(&[(1, Byte)])),
    (17, Struct(&[(1, Binary)])),
    (18, Struct(&[(1, Binary), (2, Int)])),
    (19, EMPTY),
]);

const ROW_GROUP: Shape = Struct(&[
    (1, List(&COLUMN_CHUNK)),
    (2, Int),
    (3, Int),
    (4, List(&Struct(&[(1, Int), (2, Bool), (3, Bool)]))),
    (5, Int),
    (6, Int),
    (7, Int),
]);

const COLUMN_CHUNK: Shape = Struct(&[
    (1, Binary),
    (2, Int),
    (3, COLUMN),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, Struct(&[(1, EMPTY), (2, COLUMN_KEY)])),
    (9, Binary),
]);

const COLUMN_KEY: Shape = Struct(&[(1, List(&Binary)), (2, Binary)]);

const COLUMN: Shape = Struct(&[
    (1, Int),
    (2, List(&Int)),
    (3, List(&Binary)),
    (4, Int),
    (5, Int),
    (6, Int),
    (7, Int),
    (8, List(&KEY_VALUE)),
    (9, Int),
    (10, Int),
    (11, Int),
    (12, STATISTICS),
    (13, List(&Struct(&[(1, Int), (2, Int), (3, Int)]))),
    (14, Int),
    (15, Int),
    (16, Struct(&[(1, Int), (2, List(&Int)), (3, List(&Int))])),
    (17, Struct(&[(1, BOX), (2, List(&Int))])),
]);

const STATISTICS: Shape = Struct(&[
    (1, Binary),
    (2, Binary),
    (3, Int),
    (4, Int),
    (5, Binary),
    (6, Binary),
    (7, Bool),
    (8, Bool),
    (9, Int),
]);

const BOX: Shape = Struct(&[
    (1, Double),
    (2, Double),
    (3, Double),
    (4, Double),
    (5, Double),
    (6, Double),
    (7, Double),
    (8, Double),
]);

const KEY_VALUE: Shape = Struct(&[(1, Binary), (2, Binary)]);
const COLUMN_ORDER: Shape = Struct(&[(1, EMPTY), (2, EMPTY), (3, EMPTY)]);
const ENCRYPTION: Shape = Struct(&[(1, CIPHER), (2, CIPHER)]);
const CIPHER: Shape = Struct(&[(1, Binary), (2, Binary), (3, Bool)]);
