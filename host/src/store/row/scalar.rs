//! Values that are one cell. Lists and objects are refused here, and written as JSON instead.

use super::{Cell, range};
use serde::ser::{Impossible, Serialize, Serializer};
use std::fmt;

/// Makes a cell; texts go to the end of what it holds.
pub(super) struct Scalar<'t>(pub(super) &'t mut Vec<u8>);

/// It is none.
#[derive(Debug)]
pub(super) struct NoScalar;

impl fmt::Display for NoScalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }
}

impl std::error::Error for NoScalar {}

impl serde::ser::Error for NoScalar {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

type Made = Result<Cell, NoScalar>;
type Never = Impossible<Cell, NoScalar>;

macro_rules! numbers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, number: $type) -> Made {
            Ok(Cell::Number(i64::from(number)))
        })*
    };
}

impl Serializer for Scalar<'_> {
    type Ok = Cell;
    type Error = NoScalar;
    type SerializeSeq = Never;
    type SerializeTuple = Never;
    type SerializeTupleStruct = Never;
    type SerializeTupleVariant = Never;
    type SerializeMap = Never;
    type SerializeStruct = Never;
    type SerializeStructVariant = Never;

    numbers! {
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64, serialize_u8: u8, serialize_u16: u16,
        serialize_u32: u32
    }

    fn serialize_u64(self, number: u64) -> Made {
        Ok(i64::try_from(number).map_or(Cell::Real(number as f64), Cell::Number))
    }

    fn serialize_bool(self, yes: bool) -> Made {
        Ok(Cell::Truth(yes))
    }

    fn serialize_f32(self, number: f32) -> Made {
        self.serialize_f64(number.into())
    }

    fn serialize_f64(self, number: f64) -> Made {
        // As in JSON, which has no others.
        Ok(if number.is_finite() { Cell::Real(number) } else { Cell::Null })
    }

    fn serialize_char(self, char: char) -> Made {
        self.serialize_str(char.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, text: &str) -> Made {
        let from = self.0.len();
        self.0.extend_from_slice(text.as_bytes());
        Ok(Cell::Text(range(from, self.0)))
    }

    fn serialize_bytes(self, _: &[u8]) -> Made {
        Err(NoScalar)
    }

    fn serialize_none(self) -> Made {
        Ok(Cell::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Made {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Made {
        Ok(Cell::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Made {
        Ok(Cell::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Made {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Made {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(self, _: &'static str, _: u32, _: &'static str, _: &T) -> Made {
        Err(NoScalar)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_tuple(self, _: usize) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_tuple_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }

    fn serialize_struct_variant(self, _: &'static str, _: u32, _: &'static str, _: usize) -> Result<Never, NoScalar> {
        Err(NoScalar)
    }
}
