//! Numbers within bounds, and the one truth value that is ever written.

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error;
use serde::de::Unexpected;

/// The largest number that every reader of JSON has exactly: 2^53 - 1. What is larger is written as this.
pub const MAX: u64 = (1 << 53) - 1;

/// A whole number from `LEAST` to `MOST`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Number<const LEAST: u64, const MOST: u64>(pub u64);

/// A number of a record.
pub type Seq = Number<1, MAX>;
/// A count or a span.
pub type Count = Number<0, MAX>;
/// A count that is absent rather than 0.
pub type Some0 = Number<1, MAX>;

impl<'de, const LEAST: u64, const MOST: u64> Deserialize<'de> for Number<LEAST, MOST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = u64::deserialize(deserializer)?;
        if (LEAST..=MOST).contains(&number) {
            return Ok(Self(number));
        }
        let expected = format!("a number from {LEAST} to {MOST}");
        Err(Error::invalid_value(Unexpected::Unsigned(number), &expected.as_str()))
    }
}

/// A span that may be negative, capped as all numbers are.
#[derive(Debug)]
pub struct Step;

impl<'de> Deserialize<'de> for Step {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = i64::deserialize(deserializer)?;
        if number.unsigned_abs() <= MAX {
            return Ok(Self);
        }
        Err(Error::invalid_value(Unexpected::Signed(number), &"at most 2^53 - 1 either way"))
    }
}

/// `true`, which is absent otherwise.
#[derive(Debug)]
pub struct True;

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if bool::deserialize(deserializer)? {
            return Ok(Self);
        }
        Err(Error::invalid_value(Unexpected::Bool(false), &"true, or no such field"))
    }
}
