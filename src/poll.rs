//! The one place where the collector waits: an epoll set.

use std::io;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::time::Timespec;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wakeup {
    /// The kernel side woke the consumer of the ring.
    Ring,
    /// A signal came.
    Signal,
    /// An outlet has room, or has ended.
    Outlet,
    /// The reader of the output with this index went away.
    HangUp(usize),
}

const RING: u64 = 0;
const SIGNAL: u64 = 1;
const OUTLET: u64 = 2;
const HANG_UP: u64 = 3;

/// The epoll set.
pub struct Poller {
    epoll: OwnedFd,
    hangups: Vec<(usize, OwnedFd)>,
    events: Vec<epoll::Event>,
    /// What the last wait brought. Kept with the set: waiting allocates nothing.
    wakeups: Vec<Wakeup>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// If the system has no descriptors left.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            hangups: Vec::new(),
            events: Vec::with_capacity(16),
            wakeups: Vec::with_capacity(16),
        })
    }

    /// Watches the ring. Edge-triggered: only a wake-up counts, not that there is something in it.
    ///
    /// # Errors
    /// If epoll refuses it.
    pub fn watch_ring(&self, ring: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(
            &self.epoll,
            ring,
            EventData::new_u64(RING),
            EventFlags::IN | EventFlags::ET,
        )?)
    }

    /// Watches for signals.
    ///
    /// # Errors
    /// If epoll refuses it.
    pub fn watch_signals(&self, signals: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, signals, EventData::new_u64(SIGNAL), EventFlags::IN)?)
    }

    /// Watches the outlets' notice.
    ///
    /// # Errors
    /// If epoll refuses it.
    pub fn watch_outlets(&self, notice: impl AsFd) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, notice, EventData::new_u64(OUTLET), EventFlags::IN)?)
    }

    /// Watches whether the reader of output `index` goes away: hang-ups are reported unasked.
    ///
    /// # Errors
    /// If epoll refuses it.
    pub fn watch_hangup(&mut self, index: usize, output: OwnedFd) -> io::Result<()> {
        let data = EventData::new_u64(HANG_UP + index as u64);
        epoll::add(&self.epoll, &output, data, EventFlags::empty())?;
        self.hangups.push((index, output));
        Ok(())
    }

    /// Waits until something happens or `timeout` is over; for ever without one.
    ///
    /// # Errors
    /// If epoll fails.
    pub fn wait(&mut self, timeout: Option<Duration>) -> io::Result<&[Wakeup]> {
        let timeout = timeout.map(round_up_to_millis);
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(err) => return Err(err.into()),
        }
        self.wakeups.clear();
        for event in &self.events {
            let data = event.data;
            self.wakeups.push(match data.u64() {
                RING => Wakeup::Ring,
                SIGNAL => Wakeup::Signal,
                OUTLET => Wakeup::Outlet,
                other => Wakeup::HangUp(usize::try_from(other - HANG_UP).unwrap_or(usize::MAX)),
            });
        }
        for wakeup in &self.wakeups {
            if let Wakeup::HangUp(index) = wakeup {
                // Told once: it stays hung up.
                self.hangups.retain(|(watched, output)| {
                    *watched != *index || epoll::delete(&self.epoll, output).is_err()
                });
            }
        }
        Ok(&self.wakeups)
    }
}

/// epoll counts milliseconds; rounding down would make it spin through the last one.
fn round_up_to_millis(timeout: Duration) -> Timespec {
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    let millis = i64::try_from(millis).unwrap_or(i64::MAX);
    Timespec { tv_sec: millis / 1000, tv_nsec: millis % 1000 * 1_000_000 }
}
