//! What outputs of datagrams have in common: a socket that sleeps while its reader's queue is full, and a frame a
//! datagram.

use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::AddressFamily;
use rustix::net::SocketFlags;
use rustix::net::SocketType;
use rustix::net::sockopt;

use super::Written;
use crate::ledger::Cause;
use crate::outlet::Control;
use crate::outlet::Frames;

/// A sender that sleeps, because its reader does not read, looks so often whether the program ends.
const LOOK: Duration = Duration::from_secs(1);

/// A socket that is connected to nobody.
///
/// # Errors
/// If there is none to be had.
pub fn socket() -> io::Result<OwnedFd> {
    let (family, kind) = (AddressFamily::UNIX, SocketType::DGRAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Send, Some(LOOK))?;
    Ok(socket)
}

/// After EAGAIN, when it has slept already: whether to go on.
///
/// # Errors
/// If the program ends: this `fault`.
pub fn sleep_on(control: &Control, fault: &str) -> io::Result<()> {
    if control.is_closing() {
        return Err(io::Error::new(io::ErrorKind::TimedOut, fault));
    }
    Ok(())
}

/// Sends one frame after the other, by `send`, which says false of one that is too large.
///
/// # Errors
/// Those of `send`.
pub fn send_each(
    frames: Frames<'_>,
    mut send: impl FnMut(&[u8]) -> io::Result<bool>,
) -> io::Result<Written> {
    for (frame, datagram) in frames.iter().enumerate() {
        if !send(datagram)? {
            return Ok(Written::Refused { frame, cause: Cause::TooLarge });
        }
    }
    Ok(Written::All)
}
