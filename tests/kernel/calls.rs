//! System calls as they are, with their errno: the standard library hides what these tests are about.

#![allow(unsafe_code, reason = "calls that nobody wraps")]

use std::io::IoSlice;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::os::fd::RawFd;
use std::ptr;

use nix::errno::Errno;
use nix::libc;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::signal::SaFlags;
use nix::sys::signal::SigAction;
use nix::sys::signal::SigHandler;
use nix::sys::signal::SigSet;
use nix::sys::signal::Signal;
use socket2::Domain;
use socket2::MsgHdr;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

/// A TCP socket that can reach an address: an IPv6 one also for a v4-mapped address.
pub fn tcp_for(address: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap()
}

/// The same, which does not block.
pub fn nonblocking_for(address: SocketAddr) -> Socket {
    let socket = tcp_for(address);
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Calls connect(2) once.
pub fn connect(socket: impl AsFd, address: SocketAddr) -> Result<(), Errno> {
    let address = SockAddr::from(address);
    // SAFETY: the address lives and is as long as it says.
    let result = unsafe {
        libc::connect(socket.as_fd().as_raw_fd(), address.as_ptr().cast(), address.len())
    };
    Errno::result(result).map(drop)
}

/// Calls connect(2) with a sockaddr of these bytes.
pub fn connect_bytes(socket: impl AsFd, address: &[u8]) -> Result<(), Errno> {
    let length = u32::try_from(address.len()).unwrap();
    // SAFETY: the kernel reads so many bytes and no more.
    let result =
        unsafe { libc::connect(socket.as_fd().as_raw_fd(), address.as_ptr().cast(), length) };
    Errno::result(result).map(drop)
}

/// Calls connect(2) with an address that cannot be read.
pub fn connect_nowhere(socket: impl AsFd) -> Result<(), Errno> {
    // SAFETY: the kernel finds that there is nothing.
    let result = unsafe { libc::connect(socket.as_fd().as_raw_fd(), ptr::null(), 16) };
    Errno::result(result).map(drop)
}

/// Disconnects a socket: connect(2) with AF_UNSPEC.
pub fn disconnect(socket: impl AsFd) -> Result<(), Errno> {
    connect_bytes(socket, &[0; 16])
}

/// The bytes of a sockaddr.
pub fn bytes_of(address: SocketAddr) -> Vec<u8> {
    let address = SockAddr::from(address);
    // SAFETY: it is as long as it says.
    unsafe {
        std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.len() as usize).to_vec()
    }
}

/// Sets an option whose value is a number.
pub fn set_option(socket: impl AsFd, level: i32, name: i32, value: i32) {
    let length = u32::try_from(size_of::<i32>()).unwrap();
    // SAFETY: the kernel reads an i32.
    let result = unsafe {
        libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, (&raw const value).cast(), length)
    };
    Errno::result(result).expect("setsockopt");
}

/// An option of the kernel's that is a structure, as it fills it.
///
/// # Safety
/// Every value of `T`'s bytes is a `T`.
unsafe fn option<T>(socket: impl AsFd, level: i32, name: i32) -> Result<T, Errno> {
    // SAFETY: so the caller says.
    let mut value: T = unsafe { std::mem::zeroed() };
    let mut length = u32::try_from(size_of::<T>()).unwrap();
    // SAFETY: the kernel writes no more than the length.
    let result = unsafe {
        let value = (&raw mut value).cast();
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, value, &raw mut length)
    };
    Errno::result(result).map(|_| value)
}

/// Connects and sends in one call: sendto(2) with MSG_FASTOPEN.
pub fn send_fast(socket: &Socket, data: &[u8], address: SocketAddr) -> Result<usize, Errno> {
    let sent = socket.send_to_with_flags(data, &address.into(), libc::MSG_FASTOPEN);
    sent.map_err(|err| Errno::from_raw(err.raw_os_error().unwrap()))
}

/// The same by sendmsg(2).
pub fn send_message_fast(
    socket: &Socket,
    data: &[u8],
    address: SocketAddr,
) -> Result<usize, Errno> {
    let (address, data) = (SockAddr::from(address), [IoSlice::new(data)]);
    let message = MsgHdr::new().with_addr(&address).with_buffers(&data);
    let sent = socket.sendmsg(&message, libc::MSG_FASTOPEN);
    sent.map_err(|err| Errno::from_raw(err.raw_os_error().unwrap()))
}

/// Whether a socket's SYN carried data that the server took.
pub fn sent_data_in_syn(socket: &Socket) -> bool {
    const TCPI_OPT_SYN_DATA: u8 = 32;
    // SAFETY: it is made of numbers.
    let info: libc::tcp_info =
        unsafe { option(socket, libc::IPPROTO_TCP, libc::TCP_INFO) }.unwrap();
    info.tcpi_options & TCPI_OPT_SYN_DATA != 0
}

/// The beginning of struct mptcp_info, if this is a connection of MPTCP, and not one that fell back to TCP.
fn multipath_info(socket: &Socket) -> Option<[u32; 3]> {
    const SOL_MPTCP: i32 = 284;
    const MPTCP_INFO: i32 = 1;
    const MPTCP_INFO_FLAG_FALLBACK: u32 = 1;
    // SAFETY: numbers.
    let info: [u32; 3] = unsafe { option(socket, SOL_MPTCP, MPTCP_INFO) }.ok()?;
    (info[2] & MPTCP_INFO_FLAG_FALLBACK == 0).then_some(info)
}

/// Whether this is a connection of MPTCP at both ends.
pub fn is_multipath(socket: &Socket) -> bool {
    multipath_info(socket).is_some()
}

/// How many subflows it has beyond its first.
pub fn extra_subflows(socket: &Socket) -> u8 {
    multipath_info(socket).unwrap()[0].to_ne_bytes()[0]
}

/// The socket's error, as getsockopt(SO_ERROR) gives it once.
pub fn take_error(socket: &Socket) -> Result<(), Errno> {
    match socket.take_error().unwrap() {
        None => Ok(()),
        Some(err) => Err(Errno::from_raw(err.raw_os_error().unwrap())),
    }
}

/// Waits until a socket can be written to, or has failed.
pub fn wait_writable(socket: impl AsFd) {
    let mut poll = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    assert_eq!(nix::poll::poll(&mut poll, PollTimeout::from(10_000u16)), Ok(1), "poll");
}

/// The socket of a file descriptor that nobody else has.
pub fn adopt(fd: RawFd) -> Socket {
    // SAFETY: so the caller says.
    unsafe { Socket::from_raw_fd(fd) }
}

/// Puts another socket in the place of this one: dup2(2).
pub fn replace(socket: &Socket, other: &Socket) {
    // SAFETY: both are open.
    let result = unsafe { libc::dup2(other.as_raw_fd(), socket.as_raw_fd()) };
    Errno::result(result).expect("dup2");
}

/// Where a socket is.
pub fn local(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

/// A thread that can be interrupted in a call.
#[derive(Clone, Copy)]
pub struct Interruptible(libc::pthread_t);

impl Interruptible {
    /// The calling thread. Its calls are restarted after the interruption, or fail with EINTR.
    pub fn here(restart: bool) -> Self {
        extern "C" fn nothing(_: i32) {}
        let flags = if restart { SaFlags::SA_RESTART } else { SaFlags::empty() };
        let action = SigAction::new(SigHandler::Handler(nothing), flags, SigSet::empty());
        // SAFETY: the handler does nothing.
        unsafe { nix::sys::signal::sigaction(Signal::SIGUSR1, &action) }.unwrap();
        // SAFETY: asks who calls.
        Self(unsafe { libc::pthread_self() })
    }

    /// Interrupts the call that it is in.
    pub fn interrupt(self) {
        // SAFETY: the thread lives: it waits in a call.
        assert_eq!(unsafe { libc::pthread_kill(self.0, libc::SIGUSR1) }, 0);
    }
}
