//! Reads and writes are followed only once there is a reason: a ring of io_uring, an accept that was not seen, or a
//! table that fills.
//!
//! Whatever makes a ring on the host would be a reason, so each test is alone.

#![allow(unsafe_code, reason = "system calls of another kind")]

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::thread;
use std::time::Duration;

use io_uring::IoUring;
use io_uring::opcode::Accept;
use io_uring::types::Fd;
use nix::sys::resource::Resource;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::pairs::told_once;
use crate::processes::forked;
use crate::skip::skip;
use crate::tracer::Tracer;

/// Whether nobody on the host has a ring. What has one would be a reason.
fn has_no_rings() -> bool {
    let rings = fs::read_dir("/proc").unwrap().filter_map(|process| {
        let descriptors = fs::read_dir(process.ok()?.path().join("fd")).ok()?;
        descriptors
            .filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok())
            .find(|target| target.as_os_str() == "anon_inode:[io_uring]")
    });
    let none = rings.count() == 0;
    if !none {
        skip("something on this host uses io_uring");
    }
    none
}

/// A test's namespace, if it can be alone.
fn alone() -> Option<Namespace> {
    if !can_trace() {
        return None;
    }
    let namespace = Namespace::enter_alone();
    has_no_rings().then_some(namespace)
}

/// A connection, of which the server reads a byte and then closes it. Returns its ends.
fn exchange(listener: &TcpListener) -> (SocketAddr, SocketAddr) {
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    stream.write_all(b"!").unwrap();
    let client = stream.local_addr().unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    (client, server)
}

/// The server's part.
fn take(mut stream: TcpStream) {
    stream.read_exact(&mut [0]).unwrap();
}

#[test]
fn not_for_accepts_by_system_calls() {
    let Some(namespace) = alone() else { return };
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let child = forked(|| (0..100).for_each(|_| take(listener.accept().unwrap().0)));
    let pid = child.pid();
    let ends: Vec<_> = (0..100).map(|_| exchange(&listener)).collect();
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 200);
    assert!(!tracer.follows_io());
    let log = tracer.stop();
    assert_eq!(log.records[0]["hooks"]["io"], "tp_btf/sock_recv_length");
    for ends in ends {
        let (_, close) = told_once(&log, namespace.netns, ends);
        assert_eq!(close["attributed_to"], "accept", "{close}");
        assert_eq!(close["process"]["pid"], pid, "{close}");
    }
}

#[test]
fn not_if_nobody_asks_who_accepts() {
    let Some(_namespace) = alone() else { return };
    let tracer = Tracer::start(&["-e", "connect"]);
    drop(IoUring::new(4).unwrap());
    thread::sleep(Duration::from_millis(200));
    assert!(!tracer.follows_io());
    assert!(tracer.stop().records[0]["hooks"].get("io").is_none());
}

#[test]
fn for_a_ring_that_was_there() {
    let Some(_namespace) = alone() else { return };
    // This thread's, and it is not the one that names the process: the listing meets its file.
    let _ring = IoUring::new(4).unwrap();
    let tracer = Tracer::start(&[]);
    assert!(tracer.follows_io());
    tracer.stop();
}

#[test]
fn for_a_ring_without_a_descriptor() {
    let Some(_namespace) = alone() else { return };
    let (mut said, mut ready) = std::io::pipe().unwrap();
    let child = forked(|| {
        let ring = IoUring::new(4).unwrap();
        nix::unistd::close(ring.as_raw_fd()).unwrap();
        ready.write_all(b".").unwrap();
        thread::sleep(Duration::from_secs(60));
    });
    said.read_exact(&mut [0]).unwrap();
    let tracer = Tracer::start(&[]);
    assert!(tracer.follows_io());
    tracer.stop();
    child.kill();
}

#[test]
fn for_a_ring_that_is_made() {
    let Some(namespace) = alone() else { return };
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    assert!(!tracer.follows_io());
    let child = forked(|| {
        let mut ring = IoUring::new(4).unwrap();
        tracer.wait_until_it_follows_io();
        let null = std::ptr::null_mut();
        let request = Accept::new(Fd(listener.as_raw_fd()), null, null.cast()).build();
        // SAFETY: it points to nothing.
        unsafe { ring.submission().push(&request) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        let accepted = ring.completion().next().unwrap().result();
        // SAFETY: a descriptor that nobody else owns.
        take(unsafe { TcpStream::from_raw_fd(accepted) });
    });
    let pid = child.pid();
    let ends = exchange(&listener);
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let (_, close) = told_once(&log, namespace.netns, ends);
    assert_eq!((&close["attributed_to"], &close["process"]["pid"]), (&"io".into(), &pid.into()));
}

/// The collector is asleep, awake, or falling asleep when the ring is made: it takes notice at once.
#[test]
fn for_a_ring_at_any_moment() {
    let Some(_namespace) = alone() else { return };
    for round in 0..20 {
        let tracer = Tracer::start(&["-e", "connect,accept", "--flush-interval", "1h"]);
        let nobody = SocketAddr::new(v4().ip(), 1);
        thread::scope(|scope| {
            scope.spawn(|| (0..round).for_each(|_| drop(TcpStream::connect(nobody).unwrap_err())));
            thread::sleep(Duration::from_micros(37 * round));
            drop(IoUring::new(4).unwrap());
        });
        tracer.wait_until_it_follows_io();
        tracer.stop();
    }
}

/// accept4(2) as a 32-bit program calls it, which the tracepoints on system calls do not show.
#[cfg(target_arch = "x86_64")]
fn compat_call(number: i32, first: i32) -> i32 {
    let result;
    // SAFETY: no pointers are passed; the kernel may clear the registers that 32-bit programs do not have.
    unsafe {
        std::arch::asm!(
            "xchg rbx, {first}",
            "int 0x80",
            "xchg rbx, {first}",
            first = inout(reg) i64::from(first) => _,
            inlateout("rax") i64::from(number) => result,
            in("rcx") 0_i64,
            in("rdx") 0_i64,
            in("rsi") 0_i64,
            in("rdi") 0_i64,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    let result: i64 = result;
    i32::try_from(result).unwrap()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn for_an_accept_that_was_not_seen() {
    const GETPID: i32 = 20;
    const ACCEPT4: i32 = 364;
    let Some(namespace) = alone() else { return };
    // A kernel without these calls kills who makes one.
    let child = forked(|| assert!(compat_call(GETPID, 0) > 0));
    if !child.succeeds() {
        return skip("the kernel runs no 32-bit programs");
    }
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let child = forked(|| {
        for round in 0..2 {
            if round == 1 {
                tracer.wait_until_it_follows_io();
            }
            let accepted = compat_call(ACCEPT4, listener.as_raw_fd());
            // SAFETY: a descriptor that nobody else owns.
            take(unsafe { TcpStream::from_raw_fd(accepted) });
        }
    });
    let pid = child.pid();
    assert!(!tracer.follows_io());
    let first = exchange(&listener);
    let second = exchange(&listener);
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    let (_, first) = told_once(&log, namespace.netns, first);
    let (_, second) = told_once(&log, namespace.netns, second);
    assert_eq!(first["attributed_to"], "listener", "{first}");
    assert_eq!(second["attributed_to"], "io", "{second}");
    assert_eq!(second["process"]["pid"], pid, "{second}");
}

/// Who accepts for another waits in a table until the connection is read or written, if that is followed.
#[test]
fn for_a_table_that_fills() {
    // As large as src/probe/load.rs makes it.
    let half = (connledger::host::online_cpus() as usize * 1024).max(16_384) / 2;
    let Some(namespace) = alone() else { return };
    let tracer = Tracer::start(&["-e", "accept", "--ring-size", "32MiB"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    // Not the listener's owner.
    let child = forked(|| {
        let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        nix::sys::resource::setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let mut open = Vec::new();
        let mut accept = |count| {
            for _ in 0..count {
                open.push((TcpStream::connect(server).unwrap(), listener.accept().unwrap()));
            }
        };
        accept(half - 100);
        thread::sleep(Duration::from_millis(500));
        assert!(!tracer.follows_io());
        accept(200);
        tracer.wait_until_it_follows_io();
    });
    child.wait();
    let log = tracer.stop();
    assert_eq!(log.events_of(namespace.netns, "accept").len(), half + 100);
    assert!(log.stop().get("incomplete").is_none());
}
