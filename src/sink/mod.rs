//! From bytes to the world: one file a kind of output.
//!
//! To add an output: one file here with a [`Sink`], one variant of
//! [`Destination`](crate::config::Destination), one arm in [`open`], one test.

mod stdout;

use std::io;
use std::os::fd::OwnedFd;

use crate::config::Destination;

/// Takes whole lines. It lives on its outlet's thread, which alone waits for it.
pub trait Sink: Send {
    /// Writes `lines`: one or more, each with its newline. Blocks while the reader does not read.
    ///
    /// # Errors
    /// `BrokenPipe` if the reader is gone, which is a clean end; anything else is a failure.
    fn write(&mut self, lines: &[u8]) -> io::Result<()>;

    /// A descriptor on which a poll for nothing reports a hang-up when the reader goes away; `None` if
    /// this kind of output cannot tell. It is asked for once, when the output is opened.
    fn hangup_fd(&self) -> Option<OwnedFd>;
}

/// Opens an output.
///
/// # Errors
/// If it cannot be written to.
pub fn open(destination: &Destination) -> io::Result<Box<dyn Sink>> {
    match destination {
        Destination::Stdout => Ok(Box::new(stdout::Stdout::open()?)),
    }
}
