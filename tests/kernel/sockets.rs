//! What the tests ask of sockets that no library that they use offers.

#![allow(unsafe_code, clippy::cast_possible_truncation, reason = "system calls")]

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::SockFlag;

/// The states of a TCP socket: include/net/tcp_states.h.
#[derive(Clone, Copy, Debug)]
pub enum State {
    Established = 1,
    SynRecv = 3,
    FinWait1 = 4,
    FinWait2 = 5,
    Close = 7,
    CloseWait = 8,
    LastAck = 9,
    Closing = 11,
}

/// What the kernel tells of a TCP socket.
pub fn tcp_info(socket: &impl AsRawFd) -> libc::tcp_info {
    // SAFETY: plain numbers, for which zeroes are valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut size = size_of_val(&info) as libc::socklen_t;
    // SAFETY: the kernel writes no more than `size` bytes.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut size,
        )
    };
    assert_eq!(result, 0, "{}", io::Error::last_os_error());
    info
}

/// Calls accept(2) once.
pub fn accept(listener: &impl AsRawFd) -> Result<OwnedFd, Errno> {
    let accepted = nix::sys::socket::accept(listener.as_raw_fd())?;
    // SAFETY: it was just made.
    Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
}

/// Calls accept4(2) once.
pub fn accept4(listener: &impl AsRawFd, flags: SockFlag) -> Result<OwnedFd, Errno> {
    let accepted = nix::sys::socket::accept4(listener.as_raw_fd(), flags)?;
    // SAFETY: it was just made.
    Ok(unsafe { OwnedFd::from_raw_fd(accepted) })
}
