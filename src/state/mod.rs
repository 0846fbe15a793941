//! Where this run stands, kept in a file: so the next one's `start` can say which run was before it, and for how long
//! nobody watched.
//!
//! The file is one line of a fixed size. It is written over where it lies, in one write: before the outputs get what
//! the line numbers, so that it names at least what any of them has. Such a write lies within one page, and is there
//! wholly or not at all, however the process ends. It needs no room on the disk, either. Only a power cut may tear it
//! or leave an old one; it is not synced but at the end, for the logs are not. It is never renamed, and so its lock
//! holds for its name, too: two runs that would remember themselves in one place would each tell of the other as past.

mod line;

use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use anyhow::anyhow;
use rustix::fs::Mode;
use rustix::fs::OFlags;

pub use self::line::Last;
pub use self::line::Line;
use self::line::SIZE;
use crate::clock::Moment;
use crate::config::Remember;
use crate::held::Held;
use crate::held::Place;
use crate::held::Refused;
use crate::held::directory;
use crate::host::Identity;
use crate::ledger::Position;
use crate::ledger::StopReason;
use crate::privileges;

/// Its owner and group may know which run was there.
const MODE: u32 = 0o640;

/// It is looked no more often than this whether the file still lies at its path.
const LOOK: Duration = Duration::from_secs(1);

/// If nothing was written for so long, and a look finds nothing, that is written down: until then nothing is missing.
const QUIET: Duration = Duration::from_secs(1);

/// The open file.
#[derive(Debug)]
pub struct State {
    path: PathBuf,
    held: Held,
    line: Line,
    /// When the connections were no longer seen.
    detached: Option<Moment>,
    noted_at: Instant,
    looked_at: Instant,
    /// What was said last to be wrong with it.
    told: Option<String>,
}

/// A state, and what it was before: the last run's, if one is remembered.
#[derive(Debug)]
pub struct Opened {
    /// Of this run; `None` if it is remembered nowhere.
    pub state: Option<State>,
    /// Where the last run ended.
    pub last: Option<Last>,
    /// What there is to say about it.
    pub warning: Option<String>,
}

impl State {
    /// Opens the place, if there is one, for this run.
    ///
    /// # Errors
    /// If another run has it; or if it cannot be used, and was asked for.
    pub fn open(place: &Remember, identity: &Identity) -> anyhow::Result<Opened> {
        let Remember::At { path, asked } = place else {
            return Ok(Opened { state: None, last: None, warning: None });
        };
        let at = path.display();
        match open(path) {
            Ok((held, found)) => {
                let (last, warning) = match found {
                    Ok(last) => (last, None),
                    Err(fault) => (
                        None,
                        Some(format!(
                            "warning: the state in {at} is damaged, and begun anew: {fault}; so `start` does not name the run before"
                        )),
                    ),
                };
                let line = Line::new(identity);
                let now = Instant::now();
                let state = Self {
                    path: path.clone(),
                    held,
                    line,
                    detached: None,
                    noted_at: now,
                    looked_at: now,
                    told: None,
                };
                Ok(Opened { state: Some(state), last, warning })
            }
            Err(Refused::Locked) => Err(anyhow!(
                "cannot keep the state in {at}: {} has it; give each its own (--state FILE), or none (--state none)",
                holder(path)
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

    /// Writes down where the run stands, before the outputs get there. Gives what there is to say: once.
    #[must_use]
    pub fn note(&mut self, position: &Position) -> Option<String> {
        let said = if self.looked_at.elapsed() >= LOOK { self.look() } else { None };
        self.write(position, None).or(said)
    }

    /// Whether nothing was written down for a while, so that it should be said that nothing was missed.
    #[must_use]
    pub fn is_old(&self) -> bool {
        self.noted_at.elapsed() >= QUIET
    }

    /// From here on nothing is seen, whatever is still written.
    pub fn detach(&mut self, now: Moment) {
        self.detached = Some(now);
    }

    /// Writes down that the run has ended, for good. Gives what there is to say.
    #[must_use]
    pub fn end(mut self, position: &Position, reason: StopReason) -> Option<String> {
        let said = self.look();
        let said = self.write(position, Some(reason)).or(said);
        // Nothing more can be done if the disk fails here.
        let _ = rustix::fs::fdatasync(self.held.file.as_fd());
        said
    }

    fn write(&mut self, position: &Position, stopped: Option<StopReason>) -> Option<String> {
        let until = self.detached.unwrap_or(position.until);
        self.line.set(position.seq, until, stopped);
        self.noted_at = Instant::now();
        let fault = self.held.file.write_all_at(self.line.bytes(), 0).err()?;
        self.say(format!("warning: cannot write the state to {}: {fault}; should this run be killed, the next one does not know where it ended", self.path.display()))
    }

    /// Sees to it that the file lies at its path.
    fn look(&mut self) -> Option<String> {
        self.looked_at = Instant::now();
        if self.held.place(&self.path) == Place::Same {
            return None;
        }
        let at = self.path.display();
        let said = match open(&self.path) {
            Ok((held, _)) => {
                self.held = held;
                format!("the state in {at} was removed or replaced; it is made again")
            }
            Err(Refused::Locked) => {
                format!(
                    "warning: the state in {at} was replaced, and {} has it: this run is remembered nowhere",
                    holder(&self.path)
                )
            }
            Err(err) => {
                format!("warning: the state in {at} is gone, and cannot be made again: {err}")
            }
        };
        self.say(said)
    }

    fn say(&mut self, said: String) -> Option<String> {
        if self.told.as_ref() == Some(&said) {
            return None;
        }
        self.told = Some(said.clone());
        Some(said)
    }
}

/// What is in a file of a state: a run, nothing yet, or something else.
type Found = Result<Option<Last>, String>;

/// Opens it as it could be opened again later, without capabilities; if that does not do, with them.
fn open(path: &Path) -> Result<(Held, Found), Refused> {
    let attempt = || Held::open(path, OFlags::RDWR, MODE);
    let held = match privileges::without(attempt).map_err(system)? {
        Err(err) if err.is_permission_denied() => attempt()?,
        held => held?,
    };
    let found = read(&held.file).map_err(Refused::System)?;
    let Some(line) = found.filter(|line| line::is_ours(line)) else {
        let reason = "it holds something else, which is left as it is; name another file";
        return Err(Refused::System(io::Error::other(reason)));
    };
    let found = Last::parse(&line);
    if !matches!(found, Ok(Some(_))) {
        // Its room on the disk is taken before anything depends on it.
        make(&held.file, path).map_err(Refused::System)?;
    }
    Ok((held, found))
}

fn system(err: anyhow::Error) -> Refused {
    Refused::System(io::Error::other(err))
}

/// The line; `None` if there is more.
fn read(file: &File) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = [0; SIZE + 1];
    let mut len = 0;
    while len < bytes.len() {
        match file.read_at(&mut bytes[len..], len as u64)? {
            0 => return Ok(Some(bytes[..len].to_vec())),
            read => len += read,
        }
    }
    Ok(None)
}

/// Makes it a blank line of the right size, and its name safe from a power cut.
fn make(file: &File, path: &Path) -> io::Result<()> {
    file.set_len(SIZE as u64)?;
    file.write_all_at(&line::blank(), 0)?;
    file.sync_all()?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // A directory that may be written and not read cannot be synced.
    if let Ok(directory) = rustix::fs::open(directory(path), flags, Mode::empty()) {
        let _ = rustix::fs::fsync(directory);
    }
    Ok(())
}

/// Who holds it, as far as it says so.
fn holder(path: &Path) -> String {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let line = || -> io::Result<Option<Vec<u8>>> {
        read(&File::from(rustix::fs::open(path, flags, Mode::empty())?))
    };
    let last = line().ok().flatten().and_then(|line| Last::parse(&line).ok()).flatten();
    match last {
        // Before its first record it is still the run before that stands there.
        Some(last) if last.stopped.is_none() && last.is_alive() => {
            format!("another connledger, run {} (process {}),", last.run, last.pid)
        }
        _ => "another connledger".to_owned(),
    }
}

#[cfg(test)]
mod tests;
