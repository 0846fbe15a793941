//! The way from the collector to the thread that writes: room for one position, the latest.

use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;

use crate::ledger::Position;
use crate::ledger::StopReason;

/// Where the run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Note {
    /// The last number that it gave, and until when it saw what happened.
    pub position: Position,
    /// Whether an output has its `start`. Until then the run before is remembered, too.
    pub begun: bool,
    /// Why it has ended, if it has.
    pub stopped: Option<StopReason>,
}

/// Both threads have it.
#[derive(Debug, Default)]
pub struct Slot {
    /// Held for a copy of the few words only, by either side: nobody writes while he has it.
    latest: Mutex<Option<Note>>,
    closed: AtomicBool,
}

impl Slot {
    /// Puts a position in the place of whatever was there. To be followed by a wake-up.
    pub fn put(&self, note: Note) {
        *self.lock() = Some(note);
    }

    /// No more comes. To be followed by a wake-up.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Waits for the next position; `None` if there will be none. A wake-up that comes before the thread parks keeps it
    /// from parking.
    pub fn next(&self) -> Option<Note> {
        loop {
            let closed = self.closed.load(Ordering::SeqCst);
            let note = self.lock().take();
            if note.is_some() || closed {
                return note;
            }
            thread::park();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Note>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
