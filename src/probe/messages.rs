//! What libbpf has to say: shown with `-v`, else kept for the error that may follow.

use std::sync::Mutex;
use std::sync::PoisonError;

use libbpf_rs::PrintLevel;

use crate::stderr;

/// The verifier's log can be long; its end says what is wrong.
const KEPT_LINES: usize = 12;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Directs libbpf's messages: all to stderr if `verbose`, else the last warnings to where [`explain`] finds
/// them.
pub fn capture(verbose: bool) {
    if verbose {
        libbpf_rs::set_print(Some((PrintLevel::Debug, |_, text| {
            stderr::write(text);
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

/// An error of libbpf's, with the last warnings: they say why.
pub fn explain(err: libbpf_rs::Error) -> anyhow::Error {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner).join("\n  ");
    let err = anyhow::Error::new(err);
    if kept.is_empty() { err } else { err.context(format!("\n  {kept}\n")) }
}

/// Forgets the warnings so far: what they were about has another way.
pub fn forget() {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
