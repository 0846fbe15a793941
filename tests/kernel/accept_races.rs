//! What happens while an accept is on its way: it is told once, and its close names the same process.

#![allow(unsafe_code, reason = "io_uring takes pointers")]

use std::collections::HashMap;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::sync::Barrier;
use std::thread;

use io_uring::IoUring;
use io_uring::opcode::Accept;
use io_uring::types::Fd;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// Of each connection that was accepted before it was closed, both records are there once and name the same
/// process. Returns how many there were.
fn accepted_and_closed(log: &Log, netns: u64) -> usize {
    let mut accepts = HashMap::new();
    for accept in log.events_of(netns, "accept") {
        let twice = accepts.insert(accept["conn"].as_str().unwrap(), accept);
        assert!(twice.is_none(), "twice: {accept}");
    }
    let mut count = 0;
    for close in log.events_of(netns, "close") {
        let Some(accept) = accepts.remove(close["conn"].as_str().unwrap()) else {
            assert_eq!(close["opened_by"], "local", "no accept: {close}");
            continue;
        };
        if accept["seq"].as_u64() < close["seq"].as_u64() {
            assert_eq!(accept["process"]["pid"], close["process"]["pid"], "{accept}\n{close}");
            assert_eq!(accept["attributed_to"], close["attributed_to"], "{accept}\n{close}");
            count += 1;
        }
    }
    assert!(accepts.is_empty(), "no close: {accepts:#?}");
    count
}

#[test]
fn workers_whose_clients_close_at_once() {
    const CONNECTIONS: usize = 4000;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let tracer = Tracer::start(&["--ring-size", "32MiB"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let worker = forked(|| {
        for _ in 0..CONNECTIONS {
            drop(listener.accept().unwrap());
        }
    });
    for _ in 0..CONNECTIONS {
        // FIN follows the handshake while the worker's accept returns.
        drop(TcpStream::connect(server).unwrap());
    }
    worker.wait();
    tracer.wait_for_events(namespace.netns, "close", 2 * CONNECTIONS);
    let log = tracer.stop();
    let count = accepted_and_closed(&log, namespace.netns);
    assert!(count > CONNECTIONS / 2, "{count} were accepted before they were closed");
}

#[test]
fn two_threads_at_the_first_read_and_write() {
    const CONNECTIONS: usize = 500;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["--ring-size", "32MiB"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut ring = IoUring::new(4).unwrap();
    tracer.wait_until_it_follows_io();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(server).unwrap();
        client.write_all(b"?").unwrap();
        let null = std::ptr::null_mut();
        let request = Accept::new(Fd(listener.as_raw_fd()), null, null.cast()).build();
        // SAFETY: it points to nothing.
        unsafe { ring.submission().push(&request) }.unwrap();
        ring.submit_and_wait(1).unwrap();
        let accepted = ring.completion().next().unwrap().result();
        // SAFETY: a descriptor that nobody else owns.
        let stream = unsafe { TcpStream::from_raw_fd(accepted) };
        let together = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                together.wait();
                (&stream).read_exact(&mut [0]).unwrap();
            });
            scope.spawn(|| {
                together.wait();
                (&stream).write_all(b"!").unwrap();
            });
        });
    }
    tracer.wait_for_events(namespace.netns, "close", 2 * CONNECTIONS);
    let log = tracer.stop();
    assert_eq!(log.events_of(namespace.netns, "accept").len(), CONNECTIONS);
    assert_eq!(accepted_and_closed(&log, namespace.netns), CONNECTIONS);
}
