//! Waiting for a condition, with a deadline.

use std::thread;
use std::time::Duration;
use std::time::Instant;

/// Far more than anything takes here, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `found` finds something in `what`; otherwise fails, with what `why` says of it.
pub fn wait_for<S: ?Sized, T>(
    what: &mut S,
    mut found: impl FnMut(&mut S) -> Option<T>,
    why: impl FnOnce(&S) -> String,
) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(result) = found(what) {
            return result;
        }
        assert!(Instant::now() < deadline, "{}", why(what));
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until `there` says so.
pub fn wait_until(mut there: impl FnMut() -> bool, what: &str) {
    wait_for(&mut (), |()| there().then_some(()), |()| format!("{what} did not come"));
}
