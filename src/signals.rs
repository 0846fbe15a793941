//! SIGINT and SIGTERM ask to stop; a second one kills. SIGHUP asks the outputs to open their files again, if there
//! are any besides standard output; if not, the terminal is gone, which is a reason to stop.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;

use signal_hook::consts::SIGHUP;
use signal_hook::consts::SIGINT;
use signal_hook::consts::SIGTERM;
use signal_hook::consts::SIGXFSZ;
use signal_hook::flag;
use signal_hook::low_level::pipe;

use crate::ledger::StopReason;

/// Signals as a descriptor that becomes readable.
#[derive(Debug)]
pub struct Signals {
    readable: UnixStream,
    last: Arc<AtomicUsize>,
    reopen: Arc<AtomicBool>,
}

impl Signals {
    /// Takes the signals over from their default action. SIGHUP asks to reopen if there `is_anything_to_reopen`.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn register(is_anything_to_reopen: bool) -> io::Result<Self> {
        let (readable, written) = UnixStream::pair()?;
        readable.set_nonblocking(true)?;
        let last = Arc::new(AtomicUsize::new(0));
        let reopen = Arc::new(AtomicBool::new(false));
        if is_anything_to_reopen {
            flag::register(SIGHUP, Arc::clone(&reopen))?;
        } else {
            flag::register_usize(SIGHUP, Arc::clone(&last), usize::try_from(SIGTERM).unwrap_or(0))?;
        }
        pipe::register(SIGHUP, written.try_clone()?)?;
        // A file that may not grow (RLIMIT_FSIZE) is an error of the write, and no reason to die: its output waits.
        flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
        let again = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // The handlers run in this order: at the first signal `again` is false still.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&again))?;
            flag::register(signal, Arc::clone(&again))?;
            flag::register_usize(signal, Arc::clone(&last), usize::try_from(signal).unwrap_or(0))?;
            pipe::register(signal, written.try_clone()?)?;
        }
        Ok(Self { readable, last, reopen })
    }

    /// Takes the wake-up back: to be called before it is asked what was signalled.
    pub fn clear(&self) {
        // Whatever is left wakes again.
        let _ = rustix::io::read(&self.readable, &mut [0; 64]);
    }

    /// Whether SIGHUP has come since the last call.
    #[must_use]
    pub fn take_reopen(&self) -> bool {
        self.reopen.swap(false, Ordering::SeqCst)
    }

    /// Why to stop, if a signal has come.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match i32::try_from(self.last.load(Ordering::SeqCst)) {
            Ok(SIGINT) => Some(StopReason::Interrupted),
            Ok(SIGTERM) => Some(StopReason::Terminated),
            _ => None,
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.readable.as_fd()
    }
}
