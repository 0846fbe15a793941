//! Where this run stands, kept in a file: so the next one's `start` can say which run was before it, and for how long
//! nobody watched.
//!
//! The file is one line of a fixed size. It is written over where it lies, in one write. Such a write lies within one
//! page, and is there wholly or not at all, however the process ends. It needs no room on the disk, either. Only a power
//! cut may tear it or leave an old one; it is synced when an output has this run, and at the end. It is never renamed,
//! and so its lock holds for its name, too: two runs that would remember themselves in one place would each tell of the
//! other as past.
//!
//! A thread of its own writes it: a disk that stands still (a snapshot, a server that is gone) would hold up whoever
//! writes to it. What it is told before the outputs are given what the line numbers, it has written a moment later;
//! while the disk stands still it writes nothing, and then the latest.
//!
//! Until an output has this run's `start`, the line names the run before, too: should this one be killed by then, it is
//! that one which the next names.

mod keeper;
mod line;
mod place;
mod slot;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::anyhow;
use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;

use self::keeper::Keeper;
pub use self::line::Before;
pub use self::line::Last;
pub use self::line::Line;
pub use self::slot::Note;
use self::slot::Slot;
use crate::clock::Moment;
use crate::config::Remember;
use crate::held::Held;
use crate::held::Refused;
use crate::host::Identity;
use crate::ledger::Position;
use crate::ledger::StopReason;
use crate::privileges;

/// If nothing was written for so long, and a look finds nothing, that is written down: until then nothing is missing.
const QUIET: Duration = Duration::from_secs(1);

/// So long the end waits for the disk.
const LAST_WRITE: Duration = Duration::from_secs(1);

/// The collector's end: it posts, and waits for nobody.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    slot: Arc<Slot>,
    thread: Thread,
    /// Closed when the thread has ended.
    end: Receiver<()>,
    begun: bool,
    /// When the connections were no longer seen.
    detached: Option<Moment>,
    noted_at: Instant,
}

/// A state, and what it was before: the last run's, if one is remembered.
#[derive(Debug)]
pub struct Opened {
    /// Of this run; `None` if it is remembered nowhere.
    pub state: Option<State>,
    /// Where the last run ended that an output has.
    pub last: Option<Before>,
    /// What there is to say about it.
    pub warning: Option<String>,
}

impl State {
    /// Opens the place, if there is one, for this run. The thread that this starts holds no capability when it returns.
    ///
    /// # Errors
    /// If another run has it; if it cannot be used, and was asked for; or if there is no thread for it.
    pub fn open(place: &Remember, identity: &Identity) -> anyhow::Result<Opened> {
        let Remember::At { path, asked } = place else {
            return Ok(Opened { state: None, last: None, warning: None });
        };
        let at = path.display();
        match place::open(path) {
            Ok((held, found)) => {
                let (last, warning) = match found {
                    Ok(last) => (last.map(Last::into_before), None),
                    Err(fault) => (
                        None,
                        Some(format!(
                            "warning: the state in {at} is damaged, and begun anew: {fault}; so `start` does not name the run before"
                        )),
                    ),
                };
                let line = Line::new(identity, last.as_ref());
                let state = Self::start(path.clone(), held, line)?;
                Ok(Opened { state: Some(state), last, warning })
            }
            Err(Refused::Locked) => Err(anyhow!(
                "cannot keep the state in {at}: {}; give each its own (--state FILE), or none (--state none)",
                place::holder(path)
            )),
            Err(err) if *asked => Err(anyhow!("cannot keep the state in {at}: {err}")),
            Err(err) => {
                let warning = format!(
                    "warning: cannot keep the state in {at}: {err}; the next run will not know where this one ended (--state FILE: elsewhere, --state none: nowhere)"
                );
                Ok(Opened { state: None, last: None, warning: Some(warning) })
            }
        }
    }

    fn start(path: PathBuf, held: Held, line: Line) -> anyhow::Result<Self> {
        let slot = Arc::new(Slot::default());
        let keeper = Keeper::new(Arc::clone(&slot), path.clone(), held, line);
        let (last_word, end) = crossbeam_channel::bounded(0);
        let work = move || {
            keeper.run();
            drop(last_word);
        };
        let thread = privileges::spawn_without("state".to_owned(), work)
            .context("cannot start a thread for the state")?;
        let noted_at = Instant::now();
        Ok(Self { path, slot, thread, end, begun: false, detached: None, noted_at })
    }

    /// Has it written down where the run stands. To be called before the outputs get there.
    pub fn note(&mut self, position: Position) {
        self.post(position, None);
    }

    /// Whether nothing was written down for a while, so that it should be said that nothing was missed.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.noted_at.elapsed() >= QUIET
    }

    /// Whether it knows that an output has this run's `start`.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// An output has this run's `start`: from the next note on the run before is no longer remembered.
    pub fn begin(&mut self) {
        self.begun = true;
    }

    /// From here on nothing is seen, whatever is still written.
    pub fn detach(&mut self, now: Moment) {
        self.detached = Some(now);
    }

    /// Has it written down that the run has ended, for good, and waits for that a second at most. Gives what there is to
    /// say.
    #[must_use]
    pub fn end(mut self, position: Position, reason: StopReason) -> Option<String> {
        self.post(position, Some(reason));
        // The thread leaves no word: it ends.
        if self.end.recv_timeout(LAST_WRITE) != Err(RecvTimeoutError::Timeout) {
            return None;
        }
        let (at, seconds) = (self.path.display(), LAST_WRITE.as_secs());
        Some(format!(
            "warning: the state in {at} could not be written within {seconds} s; the next run may not know that this one stopped"
        ))
    }

    fn post(&mut self, position: Position, stopped: Option<StopReason>) {
        self.noted_at = Instant::now();
        let until = self.detached.unwrap_or(position.until);
        let position = Position { until, ..position };
        self.slot.put(Note { position, begun: self.begun, stopped });
        // If the thread is awake this costs next to nothing.
        self.thread.unpark();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.slot.close();
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests;
