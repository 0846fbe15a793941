//! Accepting by io_uring, which no system call shows.

#![allow(unsafe_code, reason = "io_uring takes pointers")]

use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;

use io_uring::IoUring;
use io_uring::opcode::Accept;
use io_uring::types::Fd;

/// Takes a connection that waits.
pub fn accept(ring: &mut IoUring, listener: &TcpListener) -> TcpStream {
    let null = std::ptr::null_mut();
    let request = Accept::new(Fd(listener.as_raw_fd()), null, null.cast()).build();
    // SAFETY: it points to nothing.
    unsafe { ring.submission().push(&request) }.expect("room");
    ring.submit_and_wait(1).expect("an accept");
    let accepted = ring.completion().next().expect("an accept").result();
    assert!(accepted >= 0, "{}", std::io::Error::from_raw_os_error(-accepted));
    // SAFETY: a descriptor that nobody else owns.
    unsafe { TcpStream::from_raw_fd(accepted) }
}
