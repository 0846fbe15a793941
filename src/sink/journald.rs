//! The systemd journal: a datagram an entry, to the native socket of journald.
//!
//! The socket is connected: so the first datagram after journald has died is refused, however soon another one is
//! there, and it shows that what was in the dead one's queue is gone. That is sent again. Where systemd holds the socket
//! for journald, the queue outlives it, and nothing needs to be.

mod unread;

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::sockopt;

use self::unread::Unread;
use super::Sink;
use super::Written;
use super::absence::Absence;
use super::absence::explain;
use super::datagram;
use crate::config::JournaldOutput;
use crate::outlet::Control;
use crate::outlet::Frames;

/// The output.
#[derive(Debug)]
pub struct Journald {
    socket: OwnedFd,
    path: PathBuf,
    address: SocketAddrUnix,
    connected: bool,
    unread: Unread,
    control: Control,
    absence: Absence,
}

impl Journald {
    /// Makes the socket. Whether journald is there shows with the first datagram.
    ///
    /// # Errors
    /// If there is no socket to be had.
    pub fn open(output: &JournaldOutput, control: &Control) -> io::Result<Self> {
        let socket = datagram::socket()?;
        // The kernel lets no more than that wait of one sender.
        let most = sockopt::socket_send_buffer_size(&socket)?;
        let path = output.socket();
        Ok(Self {
            socket,
            address: SocketAddrUnix::new(&path)?,
            path,
            connected: false,
            unread: Unread::new(most),
            control: control.clone(),
            absence: Absence::new(control),
        })
    }

    /// Sends one datagram. False if it is too large.
    fn send(&mut self, datagram: &[u8]) -> io::Result<bool> {
        let mut tried_again = false;
        loop {
            match self.try_send(datagram) {
                Ok(()) => {
                    self.unread.push(datagram);
                    self.absence.end();
                    return Ok(true);
                }
                Err(Errno::MSGSIZE) => return Ok(false),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => datagram::sleep_on(&self.control, "journald does not read")?,
                // It has died, and another one may be there already.
                Err(_) if self.connected && !tried_again => {
                    self.connected = false;
                    tried_again = true;
                }
                Err(err) => {
                    self.connected = false;
                    let path = &self.path;
                    let why = || format!("{}: {}", path.display(), explain(err, path, "unix"));
                    self.absence.wait(err, why)?;
                }
            }
        }
    }

    /// Connects if need be, and sends what its predecessor may not have read, and the datagram.
    fn try_send(&mut self, datagram: &[u8]) -> Result<(), Errno> {
        if !self.connected {
            rustix::net::connect(&self.socket, &self.address)?;
            self.connected = true;
            self.unread.rewind();
        }
        while let Some(unread) = self.unread.next() {
            rustix::net::send(&self.socket, unread, SendFlags::NOSIGNAL)?;
            self.unread.advance();
            self.control.tally().add_resent(1);
        }
        rustix::net::send(&self.socket, datagram, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

impl Sink for Journald {
    fn write(&mut self, entries: Frames<'_>) -> io::Result<Written> {
        datagram::send_each(entries, |entry| self.send(entry))
    }
}
