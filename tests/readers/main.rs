//! Programs that people read logs with, and the recipes and examples that connledger ships for them. One log of
//! 50,000 real records is made for all of them (log.rs). Needs root, and what `make test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod duckdb;
mod examples;
mod jq;
mod json_schema;
mod lnav;
mod load;
mod log;
mod logrotate;
#[allow(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/namespace.rs"]
mod namespace;
mod recipes;
#[allow(dead_code, reason = "other tests use the rest")]
#[path = "../support/schema.rs"]
mod schema;
#[path = "../support/skip.rs"]
mod skip;
#[allow(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/sockets.rs"]
mod sockets;
mod tools;
#[allow(dead_code, reason = "the kernel tests use the rest")]
#[path = "../kernel/turn.rs"]
mod turn;
