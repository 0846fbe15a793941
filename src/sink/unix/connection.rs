//! One connection to a reader.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::time::Instant;

use nix::libc;
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::event::Timespec;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;

/// What the kernel tells of a socket's memory (`SO_MEMINFO`, since Linux 4.12), as far as it is wanted.
#[derive(Clone, Copy, Debug)]
struct Memory;

nix::getsockopt_impl!(
    Memory,
    libc::SOL_SOCKET,
    libc::SO_MEMINFO,
    [u32; UNREAD + 1],
    GetStruct<[u32; UNREAD + 1]>
);

/// The place there of what was sent and is not read (`SK_MEMINFO_WMEM_ALLOC`).
const UNREAD: usize = 2;

/// An attentive reader takes a line within this time.
const FIRST_LOOK: Duration = Duration::from_micros(20);

/// It is looked after one that takes its time so often.
const LAST_LOOK: Duration = Duration::from_millis(100);

/// A connection. The socket does not block: a call that did could swallow the error behind a part that was sent.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// The reader has hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HangUp {
    /// So many bytes were sent before it was noticed.
    pub sent: usize,
    /// Whether the reader had read all that was ever sent to it. The kernel says EPIPE then; if there was anything
    /// left, or the reader had not even accepted the connection, the socket's error is ECONNRESET.
    pub all_read: bool,
}

/// What became of a send, or a wait, if the socket works at all.
pub type Outcome<T> = io::Result<Result<T, HangUp>>;

impl Connection {
    /// Connects. `send_buffer` is for SO_SNDBUF.
    pub fn open(address: &SocketAddrUnix, send_buffer: Option<u32>) -> Result<Self, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        if let Some(bytes) = send_buffer {
            sockopt::set_socket_send_buffer_size(&socket, bytes as usize)?;
        }
        rustix::net::connect(&socket, address)?;
        Ok(Self { socket })
    }

    /// The most that can have been sent and not read, bytes: the kernel takes something as long as there is room for
    /// one byte, and up to half of the send buffer at once.
    pub fn most_unread(&self) -> io::Result<usize> {
        let send_buffer = sockopt::socket_send_buffer_size(&self.socket)?;
        Ok(send_buffer + send_buffer / 2)
    }

    /// At most so many bytes of what was sent are not read: the memory that they take. Also 0 if the reader has
    /// hung up.
    pub fn unread(&self) -> io::Result<usize> {
        Ok(getsockopt(&self.socket, Memory)?[UNREAD] as usize)
    }

    /// Another handle to it.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// Sends all of it. Waits while the reader does not read.
    pub fn send(&self, bytes: &[u8]) -> Outcome<()> {
        let mut sent = 0;
        while sent < bytes.len() {
            match rustix::net::send(&self.socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(now) => sent += now,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.poll(PollFlags::OUT, None)?;
                }
                // No memory: it may come back.
                Err(Errno::NOBUFS | Errno::NOMEM) => {
                    self.poll(PollFlags::empty(), Some(LAST_LOOK))?;
                }
                Err(err) => return Ok(Err(self.hang_up(sent, err == Errno::PIPE)?)),
            }
        }
        Ok(Ok(()))
    }

    /// `read`: what was heard of the reader until now does not say that it left something.
    fn hang_up(&self, sent: usize, read: bool) -> io::Result<HangUp> {
        // The error is told once: to the send, or here, and a part that was sent may have hidden it.
        let all_read = sockopt::socket_error(&self.socket)?.is_ok() && read && sent == 0;
        Ok(HangUp { sent, all_read })
    }

    /// Waits until everything is read. False if that is not so in time.
    pub fn wait_read(&self, until: Instant) -> Outcome<bool> {
        let mut pause = FIRST_LOOK;
        loop {
            // In this order: what a reader leaves behind does not count as unread.
            let unread = self.unread()?;
            if unread != 0 && Instant::now() >= until {
                return Ok(Ok(false));
            }
            let pause_now = if unread == 0 { Duration::ZERO } else { pause };
            if self.poll(PollFlags::RDHUP, Some(pause_now))? {
                return Ok(Err(self.hang_up(0, true)?));
            }
            if unread == 0 {
                return Ok(Ok(true));
            }
            pause = (2 * pause).min(LAST_LOOK);
        }
    }

    /// Whether it is so, or the reader has hung up.
    fn poll(&self, wanted: PollFlags, time: Option<Duration>) -> io::Result<bool> {
        let time = time.map(|time| Timespec {
            tv_sec: time.as_secs().cast_signed(),
            tv_nsec: time.subsec_nanos().into(),
        });
        match rustix::event::poll(&mut [PollFd::new(&self.socket, wanted)], time.as_ref()) {
            Ok(ready) => Ok(ready != 0),
            Err(Errno::INTR) => Ok(false),
            Err(err) => Err(err.into()),
        }
    }
}
