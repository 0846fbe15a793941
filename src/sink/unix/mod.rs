//! A UNIX stream socket at which a reader listens.

mod absence;
mod connection;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::SocketAddrUnix;

pub use self::absence::Absence;
pub use self::absence::explain;
use self::connection::Connection;
use super::Sink;
use super::Written;
use crate::config::SocketOutput;
use crate::outlet::Control;
use crate::outlet::Frames;
use crate::privileges;

/// Bytes in a send. With more at once a reader is not faster, with a line each it is eight times slower.
const SEND: usize = 64 << 10;

/// The output.
#[derive(Debug)]
pub struct Unix {
    path: PathBuf,
    address: SocketAddrUnix,
    send_buffer: Option<u32>,
    absence: Absence,
    connection: Option<Connection>,
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
            absence: Absence::new(control),
            connection: None,
        };
        match privileges::without(|| sink.connect()).map_err(io::Error::other)? {
            Ok(connection) => sink.connection = Some(connection),
            Err(err) => sink.absence.tell(err, || explain(err, &sink.path, "unix-dgram")),
        }
        Ok(sink)
    }

    fn connect(&self) -> Result<Connection, Errno> {
        Connection::open(&self.address, self.send_buffer)
    }

    /// The connection; waits for somebody to connect to.
    fn connected(&mut self) -> io::Result<&Connection> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => loop {
                match self.connect() {
                    Ok(connection) => {
                        self.absence.end();
                        break connection;
                    }
                    Err(err) => {
                        self.absence.wait(err, || explain(err, &self.path, "unix-dgram"))?;
                    }
                }
            },
        };
        Ok(self.connection.insert(connection))
    }
}

impl Sink for Unix {
    fn write(&mut self, mut lines: Frames<'_>) -> io::Result<Written> {
        while !lines.is_empty() {
            let now = lines.that_fit(SEND);
            let bytes = lines.slice(0..now).bytes();
            match self.connected()?.send(bytes)? {
                Ok(()) => lines = lines.from(now),
                Err(hang_up) => {
                    self.connection = None;
                    // The one that was sent in part comes again.
                    let begun = lines.that_fit(hang_up.sent);
                    let torn = usize::from(lines.end_of(begun) > hang_up.sent);
                    lines = lines.from(begun - torn);
                }
            }
        }
        Ok(Written::All)
    }

    fn reader_fd(&self) -> Option<OwnedFd> {
        self.connection.as_ref()?.try_clone().ok()
    }
}
