//! The thread that writes the state: it waits for the disk, so that the collector does not.

use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::time::Instant;

use super::line::Line;
use super::place;
use super::place::open;
use super::slot::Note;
use super::slot::Slot;
use crate::held::Held;
use crate::held::Place;
use crate::held::Refused;
use crate::stderr;

/// It is looked no more often than this whether the file still lies at its path.
const LOOK: Duration = Duration::from_secs(1);

/// What was said last to be wrong, to say it once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    Unwritten(Code),
    Remade,
    Taken,
    Gone(Code),
}

/// Which fault it is, without its words.
type Code = (Option<i32>, io::ErrorKind);

/// All that the thread has.
#[derive(Debug)]
pub struct Keeper {
    slot: Arc<Slot>,
    path: PathBuf,
    held: Held,
    line: Line,
    looked_at: Instant,
    synced: bool,
    told: Option<Trouble>,
}

impl Keeper {
    pub fn new(slot: Arc<Slot>, path: PathBuf, held: Held, line: Line) -> Self {
        Self { slot, path, held, line, looked_at: Instant::now(), synced: false, told: None }
    }

    /// Until the run has ended, or nobody is there any more to say so.
    pub fn run(mut self) {
        while let Some(note) = self.slot.next() {
            let at_end = note.stopped.is_some();
            if at_end || self.looked_at.elapsed() >= LOOK {
                self.look();
            }
            self.write(&note);
            if at_end {
                return;
            }
        }
    }

    fn write(&mut self, note: &Note) {
        self.line.set(note);
        if let Err(err) = self.held.file.write_all_at(self.line.bytes(), 0) {
            self.say(Trouble::Unwritten(code(&err)), |path| {
                format!("warning: cannot write the state to {path}: {err}; should this run be killed, the next one does not know where it ended")
            });
            return;
        }
        // Once an output has this run, so has the disk: a power cut brings back no run before it as the last one. And
        // at the end. If the disk fails here, nothing more can be done.
        if note.stopped.is_some() || (note.begun && !self.synced) {
            self.synced = true;
            let _ = rustix::fs::fdatasync(self.held.file.as_fd());
        }
    }

    /// Sees to it that the file lies at its path.
    fn look(&mut self) {
        self.looked_at = Instant::now();
        if self.held.place(&self.path) == Place::Same {
            return;
        }
        match open(&self.path) {
            Ok((held, _)) => {
                self.held = held;
                self.synced = false;
                self.say(Trouble::Remade, |path| {
                    format!("the state in {path} was removed or replaced; it is made again")
                });
            }
            Err(Refused::Locked) => {
                let holder = place::holder(&self.path);
                self.say(Trouble::Taken, |path| {
                    format!("warning: the state in {path} was replaced, and {holder}: this run is remembered nowhere")
                });
            }
            Err(err) => {
                let code = match &err {
                    Refused::System(err) => code(err),
                    _ => (None, io::ErrorKind::InvalidInput),
                };
                self.say(Trouble::Gone(code), |path| {
                    format!("warning: the state in {path} is gone, and cannot be made again: {err}")
                });
            }
        }
    }

    fn say(&mut self, trouble: Trouble, text: impl FnOnce(std::path::Display<'_>) -> String) {
        if self.told != Some(trouble) {
            self.told = Some(trouble);
            stderr::say(text(self.path.display()));
        }
    }
}

fn code(err: &io::Error) -> Code {
    (err.raw_os_error(), err.kind())
}
