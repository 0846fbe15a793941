//! A file: appended to in whole lines, rotated, and opened again when somebody has taken it away.
//!
//! Before each batch it is looked whether the file still lies at its path. After it, too: a batch that may have gone
//! into a file that somebody has removed meanwhile is written again, into the new one. Nothing ends this output but
//! the end of the program: what is wrong is said and waited for, and the records wait in the queue.

mod opening;
mod rotation;
#[cfg(test)]
mod tests;

use std::fs::DirBuilder;
use std::io;
use std::io::Write as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::time::Duration;
use std::time::Instant;

use self::opening::Log;
use self::rotation::Schedule;
use super::Sink;
use super::Written;
use crate::config::FileOutput;
use crate::held::Place;
use crate::held::directory;
use crate::held::may_replace;
use crate::outlet::Control;
use crate::outlet::Frames;
use crate::privileges;

/// Whoever renames the file (logrotate) makes a new one, or says so by SIGHUP, within this time. One that we made
/// meanwhile would be in his way.
const HANDOVER: Duration = Duration::from_millis(100);

/// Between attempts at first, and when nothing gets better.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Permissions of a directory that had to be made again.
const DIRECTORY_MODE: u32 = 0o750;

/// A file.
#[derive(Debug)]
pub struct LogFile {
    options: FileOutput,
    control: Control,
    /// `None` while there is none, and none can be made.
    log: Option<Log>,
    schedule: Schedule,
    /// A new file could not be opened in place of one that was renamed: not again before.
    try_again_at: Option<Instant>,
    /// What was said to be wrong with making a new file.
    told: Option<io::ErrorKind>,
}

/// What became of the old file when a new one was to be opened.
enum Replaced {
    /// There is no new one; it goes on in the old one.
    No,
    /// It has another name now.
    Renamed,
    /// Nobody can open it any more.
    Gone,
}

/// Lines on their way into the file.
struct Progress<'a> {
    bytes: &'a [u8],
    /// So many of them are in the file that is open.
    done: usize,
}

impl Progress<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.done..]
    }

    /// Another file begins with a whole line.
    fn back_to_line(&mut self) {
        let done = &self.bytes[..self.done];
        self.done = done.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    }

    /// Bytes of a line that are in the file without the rest of it.
    fn part(&self) -> u64 {
        let done = &self.bytes[..self.done];
        done.iter().rev().take_while(|&&byte| byte != b'\n').count() as u64
    }

    /// The file is gone, and nobody can tell whether these lines were read before. Says how many they are.
    fn back_to_begin(&mut self) -> u64 {
        let done = &self.bytes[..std::mem::take(&mut self.done)];
        // What follows the last newline is no line.
        done.split(|&byte| byte == b'\n').count() as u64 - 1
    }
}

impl LogFile {
    /// Opens it as it could be opened again later, without capabilities; if that does not do, with them.
    ///
    /// # Errors
    /// If it cannot be written to, another process writes it, or it is to be rotated and cannot be.
    pub fn open(options: &FileOutput, control: &Control) -> io::Result<Self> {
        let FileOutput { path, mode, .. } = options;
        let replace = || may_replace(path);
        // Before it is made: what is refused leaves nothing behind.
        let replaceable = privileges::without(replace).map_err(io::Error::other)?;
        if let (Err(err), true) = (&replaceable, options.rotates())
            && err.kind() == io::ErrorKind::PermissionDenied
        {
            return Err(io::Error::new(err.kind(), format!("it cannot be rotated: {err}")));
        }
        let open = || Log::open(path, *mode);
        let log = match privileges::without(open).map_err(io::Error::other)? {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => open()?,
            result => result?,
        };
        if let Err(err) = replaceable {
            let warning = "warning: once renamed or removed, the file cannot be made again";
            control.warn(&format!("{warning}: {err}"));
        }
        let mut sink = Self {
            schedule: Schedule::new(options),
            options: options.clone(),
            control: control.clone(),
            log: None,
            try_again_at: None,
            told: None,
        };
        sink.take(log);
        Ok(sink)
    }

    fn take(&mut self, log: Log) {
        self.schedule.begin(log.size, log.born);
        self.log = Some(log);
        self.try_again_at = None;
        self.told = None;
    }

    /// Writes whole lines. Waits while that is not possible; an error is the last one before the program's end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut progress = Progress { bytes, done: 0 };
        let mut trouble = Trouble::default();
        loop {
            match self.try_append(&mut progress) {
                Ok(()) if !self.is_removed() => {
                    trouble.is_over(&self.control);
                    return Ok(());
                }
                Ok(()) => {}
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(err) if self.control.is_closing() => {
                    self.take_back_part(&progress);
                    return Err(err);
                }
                Err(err) => {
                    if err.kind() == io::ErrorKind::StaleNetworkFileHandle {
                        // It stays so, whatever lies at the path.
                        self.log = None;
                    }
                    trouble.wait(&err, &self.control);
                    // Each attempt looks for a new file anyway.
                    let _ = self.control.take_reopen();
                    self.try_again_at = None;
                }
            }
        }
    }

    /// The program ends, and the rest of a line finds no room: no torn line stays. Not in a file that somebody else
    /// has changed.
    fn take_back_part(&self, progress: &Progress<'_>) {
        let Some(log) = &self.log else { return };
        let is_ours = log.file().metadata().is_ok_and(|metadata| metadata.len() == log.size);
        if is_ours && progress.part() != 0 {
            // If that fails, too, the next run begins on a fresh line.
            let _ = log.file().set_len(log.size - progress.part());
        }
    }

    fn try_append(&mut self, progress: &mut Progress<'_>) -> io::Result<()> {
        self.look(progress)?;
        let Some(log) = &mut self.log else { return Err(io::ErrorKind::NotFound.into()) };
        if log.is_torn {
            log.file().write_all(b"\n")?;
            log.size += 1;
            log.is_torn = false;
        }
        while !progress.rest().is_empty() {
            let written = log.file().write(progress.rest())?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            progress.done += written;
            log.size += written as u64;
        }
        Ok(())
    }

    /// Sees to it that there is a file, and that it is the one at the path.
    fn look(&mut self, progress: &mut Progress<'_>) -> io::Result<()> {
        let path = &self.options.path;
        let place = self.log.as_ref().map_or(Place::Empty, |log| log.place(path));
        if place == Place::Same {
            return Ok(());
        }
        match self.replace(place)? {
            Replaced::No => {}
            Replaced::Renamed => progress.back_to_line(),
            Replaced::Gone => self.control.tally().add_resent(progress.back_to_begin()),
        }
        Ok(())
    }

    /// Opens what is at the path, or makes it. If that fails, and the old file still has a name, it goes on there.
    fn replace(&mut self, place: Place) -> io::Result<Replaced> {
        let renamed = self.log.as_ref().is_some_and(Log::has_name);
        if renamed {
            if self.try_again_at.is_some_and(|at| Instant::now() < at) {
                return Ok(Replaced::No);
            }
            if place == Place::Empty {
                self.control.wait(HANDOVER);
            }
        } else {
            self.log = None;
        }
        match self.open_again() {
            Ok(log) => {
                self.take(log);
                if renamed {
                    return Ok(Replaced::Renamed);
                }
                self.control.warn("the file was gone; it goes on in a new one");
                Ok(Replaced::Gone)
            }
            Err(err) if renamed => {
                self.try_again_at = Some(Instant::now() + LONGEST_PAUSE);
                if self.told.replace(err.kind()) != Some(err.kind()) {
                    self.control.warn(&format!(
                        "the file was renamed, and there can be no new one: {err}; it goes on in the old one"
                    ));
                }
                Ok(Replaced::No)
            }
            Err(err) => Err(err),
        }
    }

    fn open_again(&self) -> io::Result<Log> {
        let FileOutput { path, mode, .. } = &self.options;
        match Log::open(path, *mode) {
            Err(err) if err.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(directory(path))?;
                let log = Log::open(path, *mode)?;
                self.control.warn("the directory was gone; it is made again");
                Ok(log)
            }
            result => result,
        }
    }

    /// Whether the file was taken away, and has no other name.
    fn is_removed(&self) -> bool {
        let path = &self.options.path;
        self.log.as_ref().is_some_and(|log| log.place(path) != Place::Same && !log.has_name())
    }

    /// Begins a new file, or says why not.
    fn rotate(&mut self) {
        let FileOutput { path, mode, keep, .. } = &self.options;
        // Somebody else's file is not ours to rename.
        if self.log.as_ref().is_none_or(|log| log.place(path) != Place::Same) {
            return;
        }
        let rotated = rotation::shift(path, *keep).and_then(|()| {
            Log::open(path, *mode).inspect_err(|_| {
                // If that fails too, the file is found renamed.
                let _ = rotation::take_back(path);
            })
        });
        match rotated {
            Ok(log) => self.take(log),
            Err(err) => {
                self.schedule.postpone();
                if self.told.replace(err.kind()) != Some(err.kind()) {
                    self.control.warn(&format!("it cannot be rotated: {err}; it grows on"));
                }
            }
        }
    }
}

impl Sink for LogFile {
    fn write(&mut self, mut lines: Frames<'_>) -> io::Result<Written> {
        while !lines.is_empty() {
            let size = self.log.as_ref().map_or(0, |log| log.size);
            let mut room = self.schedule.room(size);
            if room.is_none_or(|room| lines.end_of(1) > room) {
                self.rotate();
                room = None;
            }
            let now = lines.that_fit(room.unwrap_or(usize::MAX));
            self.append(lines.slice(0..now).bytes())?;
            lines = lines.from(now);
        }
        Ok(Written::All)
    }

    fn reopen(&mut self) -> io::Result<()> {
        self.try_again_at = None;
        let path = &self.options.path;
        let place = self.log.as_ref().map_or(Place::Empty, |log| log.place(path));
        if place != Place::Same
            && let Err(err) = self.replace(place)
        {
            self.control.warn(&format!("cannot open it again: {err}"));
        }
        Ok(())
    }
}

/// What keeps us from writing: said once, waited for longer and longer.
#[derive(Debug, Default)]
struct Trouble {
    /// The last cause that was said, and since when there is trouble.
    told: Option<(Option<i32>, Instant)>,
    pause: Duration,
}

impl Trouble {
    fn wait(&mut self, err: &io::Error, control: &Control) {
        let since = self.told.map_or_else(Instant::now, |(_, since)| since);
        let number = err.raw_os_error();
        if self.told.is_none_or(|(told, _)| told != number) {
            control.begin_trouble(&format!("cannot write: {err}; its records wait"));
        }
        self.told = Some((number, since));
        self.pause = (2 * self.pause).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        control.wait(self.pause);
    }

    fn is_over(&self, control: &Control) {
        if let Some((_, since)) = self.told {
            control.end_trouble(&format!("goes on after {:.1} s", since.elapsed().as_secs_f64()));
        }
    }
}
