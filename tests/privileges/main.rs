//! How little connledger needs: a user with two capabilities traces as root does, and once it is ready neither has any.
//! Needs root, to become that user.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

#[path = "../outputs/log.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod log;
#[path = "../kernel/namespace.rs"]
#[allow(dead_code, reason = "the kernel tests use the rest")]
mod namespace;
#[path = "../outputs/reader.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod reader;
#[path = "../outputs/scene.rs"]
#[allow(dead_code, reason = "the tests of the outputs use the rest")]
mod scene;
#[path = "../support/skip.rs"]
#[allow(dead_code, reason = "some tests need more than to trace")]
mod skip;
#[path = "../support/tracefs.rs"]
mod tracefs;
#[path = "../kernel/turn.rs"]
#[allow(dead_code, reason = "no test is alone")]
mod turn;
#[path = "../support/witness.rs"]
mod witness;

mod directories;
mod dropped;
mod granted;
mod refused;
mod ring;
mod sight;
mod tracepoints;
mod tracing;
mod who;
