//! Tests that need root say so where they cannot run; in CI nothing may be skipped.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::thread;

use nix::unistd::Uid;

/// False where nothing can be traced, which is said; in CI it is a failure.
#[must_use]
pub fn can_trace() -> bool {
    if Uid::effective().is_root() {
        return true;
    }
    skip("needs root");
    false
}

/// Says that the calling test cannot run here; in CI it fails.
pub fn skip(reason: &str) {
    let line = format!("SKIP: {}: {reason}", thread::current().name().unwrap_or("?"));
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{line}");
    println!("{line}");
    if let Ok(file) = std::env::var("CONNLEDGER_SKIPS") {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}
