//! The packages: made by the make targets, looked at, installed into a Debian of their own, upgraded and removed.
//! Needs root, and what `make deb` and `make rpm` install.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod by_hand;
mod contents;
mod debian;
#[path = "../support/machine.rs"]
#[allow(dead_code, reason = "the service's tests use the rest")]
mod machine;
mod made;
mod root;
mod rpm;
mod same;
mod service;
#[path = "../support/skip.rs"]
mod skip;
mod sound;
