//! Connects by io_uring: in the call that submits, in a worker of the process, or in the kernel's thread that
//! watches the ring.

#![allow(unsafe_code, reason = "io_uring")]

use std::fs;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::process;

use io_uring::IoUring;
use io_uring::opcode::Connect;
use io_uring::squeue::Flags;
use io_uring::types::Fd;
use nix::errno::Errno;
use serde_json::Value;
use socket2::SockAddr;
use socket2::Socket;

use crate::calls::local;
use crate::calls::tcp_for;
use crate::connecting::assert_caller;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::scene::assert_remote;

/// Who does the work.
#[derive(Clone, Copy)]
pub enum By {
    Caller,
    Worker,
    KernelThread,
}

impl By {
    /// Connects a socket.
    pub fn connect(self, socket: &Socket, address: SocketAddr) -> Result<(), Errno> {
        let mut builder = IoUring::builder();
        if matches!(self, Self::KernelThread) {
            builder.setup_sqpoll(1000);
        }
        let mut ring: IoUring = builder.build(4).unwrap();
        let address = SockAddr::from(address);
        let call = Connect::new(Fd(socket.as_raw_fd()), address.as_ptr().cast(), address.len());
        let flags = if matches!(self, Self::Worker) { Flags::ASYNC } else { Flags::empty() };
        // SAFETY: the address and the socket live until the call is complete.
        unsafe { ring.submission().push(&call.build().flags(flags)) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        let result = ring.completion().next().unwrap().result();
        if result == 0 { Ok(()) } else { Err(Errno::from_raw(-result)) }
    }

    /// A worker is a thread of the process, but its name is not the program's.
    fn assert_named(self, record: &Value) {
        if matches!(self, Self::Caller) {
            return assert_caller(record);
        }
        let comm = fs::read_to_string("/proc/self/comm").unwrap();
        assert_eq!(record["process"]["pid"], process::id(), "{record}");
        assert_eq!(record["process"]["comm"], comm.trim_end(), "{record}");
    }
}

fn established(by: By, address: SocketAddr) {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(address).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    assert_eq!(by.connect(&socket, server), Ok(()));
    let client = local(&socket);
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (connect, close) = told.connected(client, server);
    by.assert_named(connect);
    by.assert_named(close);
}

fn refused(by: By) {
    let Some(scene) = Scene::set() else { return };
    let server = SocketAddr::new(v4().ip(), 50_000);
    assert_eq!(by.connect(&tcp_for(server), server), Err(Errno::ECONNREFUSED));
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_remote(connect, server);
    by.assert_named(connect);
}

#[test]
fn by_the_caller() {
    established(By::Caller, v4());
}

#[test]
fn by_the_caller_over_ipv6() {
    established(By::Caller, v6());
}

#[test]
fn by_a_worker() {
    established(By::Worker, v4());
}

#[test]
fn by_the_kernels_thread() {
    established(By::KernelThread, v4());
}

#[test]
fn refused_by_the_caller() {
    refused(By::Caller);
}

#[test]
fn refused_by_a_worker() {
    refused(By::Worker);
}

#[test]
fn refused_by_the_kernels_thread() {
    refused(By::KernelThread);
}
