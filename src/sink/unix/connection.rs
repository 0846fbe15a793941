//! One connection to a reader.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::net::SendFlags;
use rustix::net::SocketAddrUnix;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;

/// A connection. The socket does not block, so that an error is seen, and not swallowed by a part that was sent.
#[derive(Debug)]
pub struct Connection {
    socket: OwnedFd,
}

/// The reader has hung up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HangUp {
    /// So many bytes were sent before it was noticed.
    pub sent: usize,
    /// Whether the reader had read all that was sent to it.
    pub all_read: bool,
}

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

    #[expect(dead_code, reason = "the window of what is sent again is still to come")]
    /// The most that can have been sent and not read, bytes: the kernel takes something as long as there is room for
    /// one byte, and up to half of the send buffer at once.
    pub fn most_unread(&self) -> io::Result<usize> {
        let send_buffer = sockopt::socket_send_buffer_size(&self.socket)?;
        Ok(send_buffer + send_buffer / 2)
    }

    /// Another handle to it.
    pub fn try_clone(&self) -> io::Result<OwnedFd> {
        self.socket.try_clone()
    }

    /// Sends all of it. Waits while the reader does not read.
    pub fn send(&self, bytes: &[u8]) -> io::Result<Result<(), HangUp>> {
        let mut sent = 0;
        // The kernel tells once that the reader had not read all, and a part that was sent hides it.
        let mut in_parts = false;
        while sent < bytes.len() {
            match rustix::net::send(&self.socket, &bytes[sent..], SendFlags::NOSIGNAL) {
                Ok(now) => {
                    sent += now;
                    in_parts = sent < bytes.len();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN | Errno::NOBUFS | Errno::NOMEM) => self.wait_for_room()?,
                Err(Errno::PIPE) => {
                    let all_read = !in_parts && sockopt::socket_error(&self.socket)?.is_ok();
                    return Ok(Err(HangUp { sent, all_read }));
                }
                Err(_) => return Ok(Err(HangUp { sent, all_read: false })),
            }
        }
        Ok(Ok(()))
    }

    fn wait_for_room(&self) -> io::Result<()> {
        match rustix::event::poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], None) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(err) => Err(err.into()),
        }
    }
}
