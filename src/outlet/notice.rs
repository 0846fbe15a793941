//! How an outlet's thread wakes the collector.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::EventfdFlags;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::time::Timespec;

/// Tells the collector that an outlet has room again, or has ended. One for all outlets.
#[derive(Debug)]
pub struct Notice(OwnedFd);

impl Notice {
    /// A notice that nobody has given yet.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        Ok(Self(rustix::event::eventfd(0, flags)?))
    }

    pub(super) fn give(&self) {
        // Fails only if the counter overflows: then it has not been read for 2^64 times, and is readable.
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    /// Waits until it is given, not longer than this, and takes it back.
    pub(super) fn wait(&self, longest: Duration) {
        let timeout = Timespec::try_from(longest).ok();
        // Interrupted, or without memory: its caller looks again either way.
        let _ = rustix::event::poll(&mut [PollFd::new(&self.0, PollFlags::IN)], timeout.as_ref());
        self.clear();
    }

    /// Takes the notice back, so that it can be given again.
    pub fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Notice {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
