//! What client and server have in common: where they meet, and an epoll set.

use std::io;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::OwnedFd;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::event::epoll::EventData;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::time::Timespec;

/// The server's port: below those that the kernel gives to clients, so that none of them has it.
pub const PORT: u16 = 7000;

/// Where the server listens.
pub fn address() -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, PORT))
}

/// An epoll set. What is watched is named by a number.
pub struct Epoll {
    set: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            set: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(256),
        })
    }

    /// Watches a socket until it is closed.
    pub fn add(&self, socket: impl AsFd, number: usize, flags: EventFlags) -> io::Result<()> {
        Ok(epoll::add(&self.set, socket, EventData::new_u64(number as u64), flags)?)
    }

    /// Waits for events, for `millis` at most; for ever if there are none.
    pub fn wait(&mut self, millis: Option<u16>) -> io::Result<()> {
        let timeout = millis.map(|millis| Timespec {
            tv_sec: i64::from(millis / 1000),
            tv_nsec: i64::from(millis % 1000) * 1_000_000,
        });
        self.events.clear();
        match epoll::wait(&self.set, spare_capacity(&mut self.events), timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }

    /// The number of the event at `index` of the last wait.
    pub fn event(&self, index: usize) -> Option<usize> {
        let data = self.events.get(index)?.data;
        usize::try_from(data.u64()).ok()
    }
}

/// What a non-blocking call gave: `None` if it would have to wait.
pub fn unless_it_waits<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(err) if err.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(err) => Err(err),
    }
}
