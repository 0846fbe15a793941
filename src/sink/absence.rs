//! A reader that is not there: why, in words, and the wait for it.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;

use crate::outlet::Control;

/// A reader that restarts is back before anybody notices.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// One that stays away is looked for so often: a system call each.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// For a reader that takes connections and closes them.
const HUNG_UP: Errno = Errno::CONNRESET;

/// Waits for a reader, longer every time, and says what is wrong when that changes.
#[derive(Debug)]
pub struct Absence {
    control: Control,
    /// What was said.
    told: Option<Errno>,
    pause: Duration,
}

impl Absence {
    /// Nobody is missing yet.
    pub fn new(control: &Control) -> Self {
        Self { control: control.clone(), told: None, pause: FIRST_PAUSE }
    }

    /// Says what is wrong, if that was not the last that was said.
    pub fn tell(&mut self, err: Errno, explain: impl FnOnce() -> String) {
        if self.told.replace(err) != Some(err) {
            self.control.begin_trouble(&format!("{}; trying again until it works", explain()));
        }
    }

    /// Says what is wrong, and waits until it is worth another attempt.
    ///
    /// # Errors
    /// If the program ends: what is wrong, and that it is not waited for any more.
    pub fn wait(&mut self, err: Errno, explain: impl Fn() -> String) -> io::Result<()> {
        if self.control.is_closing() {
            return Err(io::Error::new(io::Error::from(err).kind(), explain()));
        }
        self.tell(err, explain);
        self.pause();
        Ok(())
    }

    /// Waits after a reader has hung up before it had read anything. The first time it may be one that restarts, and
    /// nothing is said.
    ///
    /// # Errors
    /// As [`Absence::wait`].
    pub fn pause_after_hang_up(&mut self) -> io::Result<()> {
        if self.pause == FIRST_PAUSE && !self.control.is_closing() {
            self.pause();
            return Ok(());
        }
        self.wait(HUNG_UP, || "its reader hangs up before it has read anything".to_owned())
    }

    /// The reader takes connections.
    pub fn connected(&mut self) {
        if self.told.is_some_and(|told| told != HUNG_UP) {
            self.told = None;
            self.control.end_trouble("its reader is there");
        }
    }

    /// The reader reads.
    pub fn end(&mut self) {
        self.pause = FIRST_PAUSE;
        if self.told.take().is_some() {
            self.control.end_trouble("its reader is there");
        }
    }

    fn pause(&mut self) {
        self.control.wait(self.pause);
        self.pause = if self.control.take_reopen() {
            FIRST_PAUSE
        } else {
            (2 * self.pause).min(LONGEST_PAUSE)
        };
    }
}

/// Why a socket cannot be connected to, or sent to, and what helps. `other` is the output to name if it turns out to
/// be of the other kind.
pub fn explain(err: Errno, path: &Path, other: &str) -> String {
    match err {
        Errno::NOENT => "there is no such socket; its reader makes it when it starts".to_owned(),
        // So it is for anything that is no socket, too.
        Errno::CONNREFUSED if is_something_else(path) => {
            "there is something else at this path, no socket; move it away, or name another path"
                .to_owned()
        }
        Errno::CONNREFUSED => "nobody listens at the socket; start its reader".to_owned(),
        Errno::AGAIN => "its reader takes no more connections for now".to_owned(),
        Errno::ACCESS => format!(
            "permission denied: user {} needs write permission on the socket, and search permission on all \
             folders above it (also as root: connledger has given up its capabilities)",
            rustix::process::geteuid().as_raw()
        ),
        Errno::PROTOTYPE => {
            format!("it is another kind of socket; -o {other}:{} may be it", path.display())
        }
        Errno::PERM => {
            "its reader is connected to somebody else, and takes nothing from us".to_owned()
        }
        Errno::LOOP => "symbolic links on its path lead round in a circle".to_owned(),
        Errno::NOTDIR => "a part of its path is no folder".to_owned(),
        err => io::Error::from(err).to_string(),
    }
}

fn is_something_else(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| !found.file_type().is_socket())
}
