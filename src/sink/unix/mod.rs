//! A UNIX stream socket at which a reader listens.
//!
//! The reader may be absent, go away and come back: it is waited for, and each connection begins with a whole line.
//!
//! What a reader had before it hung up is sent again, as far as it may not have done with it: what it has not read,
//! and what was sent within the last second. The reader drops the doubles by their numbers. If it had read
//! everything (the kernel says so), and had time for it, nothing is.
//!
//! A reader may hang up because of a line. So what is sent again goes out line by line: of each its first byte, and
//! the rest once that is read, the next one once the rest is. When the reader hangs up, the line is known that
//! it has begun to read last. Those before it are done. It comes first on the next connection; at the second time it
//! is given up, and a loss stands in its place. A reader that hangs up before it has read anything costs no line, and
//! is given longer and longer pauses.
//!
//! A reader that is slow to read would take long that way. So there is one second for it; what is left then goes out at
//! once. If the reader hangs up again soon, there is more time every time.

mod connection;
#[cfg(test)]
mod tests;
mod window;

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

use self::connection::Connection;
use self::connection::Outcome;
use self::window::Window;
use super::Sink;
use super::Written;
use super::absence::Absence;
use super::absence::explain;
use crate::config::SocketOutput;
use crate::encode::MAX_LINE;
use crate::outlet::Control;
use crate::outlet::Frames;
use crate::outlet::Subject;
use crate::privileges;

/// Bytes in a send: a line each makes a reader eight times slower.
const SEND: usize = 64 << 10;

/// Time to send again line by line, after a first hang-up.
const PATIENCE: Duration = Duration::from_secs(1);

/// After so much time with one connection the next hang-up is a first one again.
const CALM: Duration = Duration::from_secs(10);

/// Between two connections to a reader that reads and hangs up again and again.
const BREATH: Duration = Duration::from_millis(20);

/// So often a reader hangs up at a line.
const MOST_HANG_UPS: u32 = 2;

/// The output.
#[derive(Debug)]
pub struct Unix {
    path: PathBuf,
    address: SocketAddrUnix,
    send_buffer: Option<u32>,
    control: Control,
    absence: Absence,
    connection: Option<Connection>,
    window: Window,
    /// So many lines of the window the connection has had.
    sent: usize,
    /// The line of the window that the reader has begun to read last, if that is known.
    reading: Option<usize>,
    /// Whether the reader has read anything from this connection.
    reads: bool,
    /// What comes next takes the place of the window's first line.
    replacing: bool,
    /// Time to send again line by line.
    patience: Duration,
    /// It was said that it hangs up even at what tells of a loss.
    told: bool,
    /// Hang-ups since it was calm.
    hang_ups: u32,
    /// Since when the connection has had all of the window.
    caught_up: Option<Instant>,
}

impl Unix {
    /// Connects, if there is somebody: as it will have to later, without capabilities.
    ///
    /// # Errors
    /// If the path is none for a socket.
    pub fn open(output: &SocketOutput, control: &Control) -> io::Result<Self> {
        let mut sink = Self {
            path: output.path.clone(),
            address: SocketAddrUnix::new(&output.path)?,
            send_buffer: output.send_buffer,
            control: control.clone(),
            absence: Absence::new(control),
            connection: None,
            window: Window::default(),
            sent: 0,
            reading: None,
            reads: false,
            replacing: false,
            patience: PATIENCE,
            told: false,
            hang_ups: 0,
            caught_up: None,
        };
        match privileges::without(|| sink.connect()).map_err(io::Error::other)? {
            Ok(connection) => sink.take(connection)?,
            Err(err) => sink.absence.tell(err, || explain(err, &sink.path, "unix-dgram")),
        }
        Ok(sink)
    }

    fn connect(&self) -> Result<Connection, Errno> {
        Connection::open(&self.address, self.send_buffer)
    }

    fn take(&mut self, connection: Connection) -> io::Result<()> {
        self.window.set_most(connection.most_unread()? + MAX_LINE);
        self.connection = Some(connection);
        self.sent = 0;
        self.reading = None;
        self.reads = false;
        self.caught_up = None;
        Ok(())
    }

    /// Waits for somebody to connect to.
    fn reconnect(&mut self) -> io::Result<()> {
        loop {
            match self.connect() {
                Ok(connection) => {
                    self.absence.connected();
                    return self.take(connection);
                }
                Err(err) => self.absence.wait(err, || explain(err, &self.path, "unix-dgram"))?,
            }
        }
    }

    /// Makes sure that there is a connection, and that it has had all of the window. Or a record is to be given up.
    fn catch_up(&mut self) -> io::Result<Option<Subject>> {
        loop {
            let Some(connection) = self.connection.take() else {
                self.reconnect()?;
                continue;
            };
            if self.send_again(&connection)?.is_ok() {
                self.connection = Some(connection);
                self.caught_up.get_or_insert_with(Instant::now);
                return Ok(None);
            }
            let reading = self.reading.take();
            if let Some(subject) = self.hung_up(reading)? {
                return Ok(Some(subject));
            }
        }
    }

    /// Sends what the connection has not had of the window: line by line as long as there is time.
    fn send_again(&mut self, connection: &Connection) -> Outcome<()> {
        let patience = if self.control.is_closing() { PATIENCE } else { self.patience };
        let until = Instant::now() + patience;
        while self.sent < self.window.len() {
            match self.send_line(connection, until)? {
                Ok(true) => {}
                Ok(false) => return self.send_rest(connection),
                Err(hang_up) => return Ok(Err(hang_up)),
            }
        }
        Ok(Ok(()))
    }

    /// Sends the next line of the window in two parts. False if the reader does not read them in time.
    fn send_line(&mut self, connection: &Connection, until: Instant) -> Outcome<bool> {
        let line = self.sent;
        self.count_again(line);
        let mut in_time = true;
        let (first, rest) = self.window.line(line).split_at(1);
        for part in [first, rest] {
            let outcome = match connection.send(part)? {
                Ok(()) if in_time => connection.wait_read(until)?,
                Ok(()) => Ok(false),
                Err(hang_up) => return Ok(Err(hang_up)),
            };
            match outcome {
                Ok(read) => in_time = read,
                Err(hang_up) => {
                    if hang_up.all_read {
                        self.reading = Some(line);
                        self.reads = true;
                    }
                    return Ok(Err(hang_up));
                }
            }
            if in_time {
                self.reading = Some(line);
                self.reads = true;
            }
        }
        self.sent += 1;
        Ok(Ok(in_time))
    }

    /// Sends all that is left of the window. At which of its lines the reader hangs up cannot be known then.
    fn send_rest(&mut self, connection: &Connection) -> Outcome<()> {
        self.reading = None;
        let first = mem::replace(&mut self.sent, self.window.len());
        (first..self.sent).for_each(|line| self.count_again(line));
        connection.send(self.window.bytes_from(first))
    }

    fn count_again(&mut self, line: usize) {
        if self.window.send_again(line, Instant::now()) {
            self.control.tally().add_resent(1);
        }
    }

    /// Sends as many lines as go at once. Returns how many, and a record that is to be given up. One of which
    /// only a part went counts: it is in the window then.
    fn send(&mut self, lines: Frames<'_>) -> io::Result<(usize, Option<Subject>)> {
        let Some(connection) = self.connection.take() else { return Ok((0, None)) };
        let lines = lines.slice(0..lines.that_fit(SEND));
        let unread = connection.unread()?;
        let now = Instant::now();
        let Err(hang_up) = connection.send(lines.bytes())? else {
            // The reader was there all the time: it was he who had read so much.
            self.reads |= unread == 0 && self.sent != 0;
            if self.reads {
                self.absence.end();
            }
            self.window.settle(unread, now);
            self.window.push(lines, now);
            self.sent = self.window.len();
            self.reading = (lines.len() == 1 && unread == 0).then(|| self.sent - 1);
            self.connection = Some(connection);
            return Ok((lines.len(), None));
        };
        let begun = (0..lines.len()).take_while(|&i| lines.end_of(i) < hang_up.sent).count();
        let mut reading = None;
        if hang_up.all_read {
            self.reads |= self.sent != 0;
            let before = self.window.len();
            self.window.settle(0, now);
            let gone = before - self.window.len();
            reading = self.reading.and_then(|line| line.checked_sub(gone));
        }
        self.window.push(lines.slice(0..begun), now);
        Ok((begun, self.hung_up(reading)?))
    }

    /// The reader has hung up. The line of the window that it has begun to read last, if that is known, comes first on
    /// the next connection, or is given up.
    fn hung_up(&mut self, reading: Option<usize>) -> io::Result<Option<Subject>> {
        let calm = self.caught_up.is_some_and(|at| at.elapsed() >= CALM);
        self.patience =
            if calm { PATIENCE } else { self.patience.saturating_mul(4).min(CALM * 360) };
        self.hang_ups = if calm { 1 } else { self.hang_ups.saturating_add(1) };
        if !self.reads {
            self.absence.pause_after_hang_up()?;
        } else if self.hang_ups > MOST_HANG_UPS {
            self.control.wait(BREATH);
            let _ = self.control.take_reopen();
        }
        let Some(line) = reading else { return Ok(None) };
        (0..line).for_each(|_| self.window.pop());
        if self.window.count_hang_up() < MOST_HANG_UPS {
            return Ok(None);
        }
        let subject = self.window.subject();
        if subject.is_none() {
            self.window.pop();
            // Once: a reader that hangs up at every line does so very often.
            if !mem::replace(&mut self.told, true) {
                self.control.warn("its reader hangs up at a line that tells what is missing");
            }
        }
        Ok(subject)
    }
}

impl Sink for Unix {
    fn write(&mut self, lines: Frames<'_>) -> io::Result<Written> {
        let mut next = 0;
        if mem::take(&mut self.replacing) {
            self.window.replace_front(lines);
            next = lines.len();
        }
        loop {
            let mut given_up = self.catch_up()?;
            if given_up.is_none() {
                let rest = lines.from(next);
                if rest.is_empty() {
                    return Ok(Written::All);
                }
                let sent;
                (sent, given_up) = self.send(rest)?;
                next += sent;
            }
            if let Some(subject) = given_up {
                self.replacing = true;
                return Ok(Written::GivenUp { subject, next });
            }
        }
    }

    fn reader_fd(&self) -> Option<OwnedFd> {
        self.connection.as_ref()?.try_clone().ok()
    }
}
