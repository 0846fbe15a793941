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
mod starting;
mod tracer;

use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

use nix::unistd::Uid;

/// False where kernel tests cannot run, which is said; in CI it is a failure.
#[must_use]
pub fn can_trace() -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    skip("needs root");
    false
}

/// Says that the calling test is skipped and why. In CI nothing may be skipped.
pub fn skip(reason: &str) {
    let line = format!("SKIP: {}: {reason}", thread::current().name().unwrap_or("?"));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
    println!("{line}");
    if let Ok(file) = std::env::var("CONNLEDGER_SKIPS") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
