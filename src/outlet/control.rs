//! What the collector and an outlet's thread have in common: how far it is, what it shall do besides writing, and
//! its voice.

use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use crate::ledger::Cause;
use crate::ledger::Losses;
use crate::stderr;

/// Held by both; a sink has it too.
#[derive(Clone, Debug)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    output: String,
    quiet: bool,
    tally: Tally,
    wishes: Mutex<Wishes>,
    changed: Condvar,
    /// What is waited for.
    trouble: Mutex<Option<String>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    reopen: bool,
    /// It was taken, and may not be fulfilled yet.
    reopening: bool,
    closing: bool,
}

/// What an outlet's thread finds when it looks for work.
#[derive(Clone, Copy, Debug)]
pub struct NextReopen {
    /// What it was asked for before is done.
    pub fulfilled: bool,
    /// It is asked for it now.
    pub wanted: bool,
}

impl Wishes {
    fn take_reopen(&mut self) -> bool {
        let wanted = std::mem::take(&mut self.reopen);
        self.reopening |= wanted;
        wanted
    }
}

/// What became of an output's records. Written by its thread, read by the collector.
#[derive(Debug, Default)]
pub struct Tally {
    begun: AtomicBool,
    written: AtomicU64,
    resent: AtomicU64,
    lost: [AtomicU64; Cause::ALL.len()],
}

impl Tally {
    /// The output has a line of this run: its `start`, or that it is missing.
    pub(super) fn set_begun(&self) {
        self.begun.store(true, Ordering::Relaxed);
    }

    /// Whether the output has a line of this run: its `start`, or that it is missing.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Counts events as written.
    pub fn add_written(&self, events: u64) {
        self.written.fetch_add(events, Ordering::Relaxed);
    }

    /// An event that was counted as written was not: its reader has refused it.
    pub(super) fn take_back_written(&self) {
        self.written.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts records as sent once more.
    pub fn add_resent(&self, records: u64) {
        self.resent.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn add_lost(&self, losses: &Losses) {
        for (cause, count) in losses.iter() {
            self.lost[cause as usize].fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Events written so far.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Records sent once more so far.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.resent.load(Ordering::Relaxed)
    }

    /// What the sink could not write so far.
    #[must_use]
    pub fn lost(&self) -> Losses {
        let mut losses = Losses::default();
        for cause in Cause::ALL {
            losses.add(cause, self.lost[cause as usize].load(Ordering::Relaxed));
        }
        losses
    }
}

impl Control {
    /// For the output that is called so. `quiet` keeps it from saying what is not wrong.
    #[must_use]
    pub fn new(output: String, quiet: bool) -> Self {
        Self(Arc::new(Shared {
            output,
            quiet,
            tally: Tally::default(),
            wishes: Mutex::default(),
            changed: Condvar::new(),
            trouble: Mutex::default(),
        }))
    }

    /// The output's name.
    #[must_use]
    pub fn output(&self) -> &str {
        &self.0.output
    }

    /// Its counters.
    #[must_use]
    pub fn tally(&self) -> &Tally {
        &self.0.tally
    }

    /// Says on stderr that something is as it should be again. Nothing with `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.0.quiet {
            self.warn(text);
        }
    }

    /// Says on stderr that something is wrong. To be said when it becomes so, not as long as it is.
    pub fn warn(&self, text: &str) {
        stderr::say(format_args!("{}: {text}", self.0.output));
    }

    /// Says on stderr, and remembers, what is wrong, and that it is waited for.
    pub fn begin_trouble(&self, text: &str) {
        self.warn(text);
        *self.remembered() = Some(text.to_owned());
    }

    /// Says that it is over.
    pub fn end_trouble(&self, text: &str) {
        *self.remembered() = None;
        self.say(text);
    }

    /// What is waited for.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.remembered().clone()
    }

    fn remembered(&self) -> MutexGuard<'_, Option<String>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; not to the end of `time` if somebody asks it to reopen, or the program ends.
    pub fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut wishes = self.wishes();
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || wishes.reopen || wishes.closing {
                return;
            }
            let waited = self.0.changed.wait_timeout(wishes, left);
            wishes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it was asked (SIGHUP) to open its file again, or to try its peer again at once. Asks once: whoever
    /// waits with [`Control::wait`] must take it, or will not wait.
    #[must_use]
    pub fn take_reopen(&self) -> bool {
        self.wishes().take_reopen()
    }

    /// The same between two pieces of work: what was taken before is fulfilled.
    #[must_use]
    pub(super) fn next_reopen(&self) -> NextReopen {
        let mut wishes = self.wishes();
        let fulfilled = std::mem::take(&mut wishes.reopening);
        NextReopen { fulfilled, wanted: wishes.take_reopen() }
    }

    /// Whether it is still to do what it was asked for.
    #[must_use]
    pub fn is_reopening(&self) -> bool {
        let wishes = self.wishes();
        wishes.reopen || wishes.reopening
    }

    /// Whether the program ends: what cannot be written now need not be waited for.
    #[must_use]
    pub fn is_closing(&self) -> bool {
        self.wishes().closing
    }

    /// Asks for [`Control::take_reopen`].
    pub fn ask_reopen(&self) {
        self.wishes().reopen = true;
        self.0.changed.notify_all();
    }

    /// Says that the program ends.
    pub fn close(&self) {
        self.wishes().closing = true;
        self.0.changed.notify_all();
    }

    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.0.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn a_wait_ends_when_something_is_asked() {
        let control = Control::new("here".to_owned(), true);
        control.wait(Duration::from_millis(1));
        assert!(!control.take_reopen());
        let asked = control.clone();
        let asking = thread::spawn(move || asked.ask_reopen());
        control.wait(LONG);
        asking.join().expect("it asked");
        control.wait(LONG);
        assert!(control.take_reopen());
        assert!(!control.take_reopen(), "it asks once");
        control.close();
        control.wait(LONG);
        assert!(control.is_closing());
    }
}
