//! Real sockets on the real kernel: each test makes its own traffic in a network namespace of its own, and
//! looks for that in what a running connledger writes. Needs root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod accepting;
mod books;
mod closing;
mod connecting;
mod filters;
mod namespace;
mod processes;
#[path = "../support/skip.rs"]
mod skip;
mod starting;
mod tracer;

pub use skip::can_trace;
