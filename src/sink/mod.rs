//! From bytes to the world: one file a kind of output.
//!
//! To add an output: one file here with a [`Sink`], one variant of [`Destination`](crate::config::Destination), one arm
//! in [`open`]; ARCHITECTURE.md has the rest of the list.

mod absence;
mod datagram;
mod file;
mod journald;
mod stdout;
mod unix;
mod unix_datagram;

use std::io;
use std::os::fd::OwnedFd;

use crate::config::Destination;
use crate::ledger::Cause;
use crate::outlet::Control;
use crate::outlet::Frames;
use crate::outlet::Subject;

/// Takes whole frames. It lives on its outlet's thread, which alone waits for it.
pub trait Sink: Send {
    /// Writes frames: lines, each with its newline, or datagrams. Each wholly, or not at all. Blocks while the reader
    /// does not read, is not there, or while there is no room.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone, which is a clean end; anything else is the end of this output, too, and a
    /// failure. What may mend itself is no error: it is said, and waited for, until the program ends.
    fn write(&mut self, frames: Frames<'_>) -> io::Result<Written>;

    /// Somebody has asked to open the file again (SIGHUP).
    ///
    /// # Errors
    /// As [`Sink::write`].
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// A descriptor on which a poll for nothing reports a hang-up when the reader goes away for good; `None` if
    /// this kind of output cannot tell, or waits for another reader. It is asked for once, when the output is opened.
    fn hangup_fd(&self) -> Option<OwnedFd> {
        None
    }

    /// A descriptor at whose other end the reader is, for those who want to know him when tracing begins; `None` if
    /// there is none yet.
    fn reader_fd(&self) -> Option<OwnedFd> {
        None
    }
}

/// What became of frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// All are written.
    All,
    /// Those before this one are written. It can never be, and those after it are still to come.
    Refused {
        /// Which one.
        frame: usize,
        /// Why.
        cause: Cause,
    },
    /// The reader hangs up at a record, maybe one of an earlier write. What is written next takes its place, before
    /// what followed it.
    GivenUp {
        /// Which one.
        subject: Subject,
        /// Those before this frame are written, or will be with what is written next; those from it on are still
        /// to come.
        next: usize,
    },
}

/// Opens an output.
///
/// # Errors
/// If it cannot be written to.
pub fn open(destination: &Destination, control: &Control) -> io::Result<Box<dyn Sink>> {
    match destination {
        Destination::Stdout => Ok(Box::new(stdout::Stdout::open()?)),
        Destination::File(file) => Ok(Box::new(file::LogFile::open(file, control)?)),
        Destination::Unix(socket) => Ok(Box::new(unix::Unix::open(socket, control)?)),
        Destination::UnixDatagram(socket) => {
            Ok(Box::new(unix_datagram::UnixDatagram::open(socket, control)?))
        }
        Destination::Journald(journal) => Ok(Box::new(journald::Journald::open(journal, control)?)),
    }
}
