//! What the tests of the record share: sound wire records, a run that is always the same, the schema in its
//! strict form, and lines taken apart.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may fail loudly")]

pub mod arbitrary;
pub mod busy;
pub mod cases;
pub mod events;
pub mod journal;
pub mod lines;
pub mod records;
pub mod run;
pub mod schema;
