//! What libbpf has to say: shown with `-v`, else kept for the error that may follow.

use std::io;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use libbpf_rs::PrintLevel;

/// The verifier's log can be long; its end says what is wrong.
const KEPT_LINES: usize = 12;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Directs libbpf's messages: all to stderr if `verbose`, else the last warnings to where [`kept`] finds
/// them.
pub fn capture(verbose: bool) {
    if verbose {
        libbpf_rs::set_print(Some((PrintLevel::Debug, |_, text| {
            _ = io::stderr().write_all(text.as_bytes());
        })));
    } else {
        libbpf_rs::set_print(Some((PrintLevel::Warn, |_, text| {
            let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(text.lines().map(str::to_owned));
            let surplus = kept.len().saturating_sub(KEPT_LINES);
            kept.drain(..surplus);
        })));
    }
}

/// The last warnings, one a line; empty if there were none.
#[must_use]
pub fn kept() -> String {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ")
}
