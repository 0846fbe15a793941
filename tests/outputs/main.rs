//! Outputs as they are used: a running connledger, real connections, and what the outputs got of them. Whatever is
//! done to an output, its stream must balance. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../support/journal.rs"]
#[allow(dead_code, reason = "the golden files need the rest")]
mod journal;
mod log;
#[path = "../kernel/namespace.rs"]
#[allow(dead_code, reason = "the kernel tests use the rest")]
mod namespace;
mod reader;
mod scene;
#[path = "../support/schema.rs"]
#[allow(dead_code, reason = "the tests of the schema need the rest")]
mod schema;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "some tests need more than to trace")]
mod skip;
#[path = "../support/tracefs.rs"]
#[allow(dead_code, reason = "the tests of the privileges need the rest")]
mod tracefs;
#[path = "../kernel/turn.rs"]
mod turn;
#[path = "../support/witness.rs"]
mod witness;

mod end;
mod file;
mod journald;
mod state;
mod unix;
mod unix_datagram;
