//! `connledger verify`: the decoder against the schema, the books of whole logs, and the command itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;

mod books;
mod chain;
mod changes;
mod command;
mod decoder;
mod large;
mod logs;
mod real;
#[path = "../support/skip.rs"]
mod skip;
mod written;
