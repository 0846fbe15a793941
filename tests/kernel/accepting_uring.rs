//! Accepting by io_uring: no system call says who took the connection. The first that reads or writes is named,
//! or else the listener's owner.
//!
//! The server is a forked child, which is not the listener's owner: so each record says which of the two it names.

#![allow(unsafe_code, reason = "io_uring takes pointers")]

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::os::fd::BorrowedFd;
use std::os::fd::FromRawFd as _;
use std::os::fd::RawFd;
use std::process;
use std::thread;
use std::time::Duration;

use io_uring::IoUring;
use io_uring::opcode;
use io_uring::squeue::Entry;
use io_uring::types::DestinationSlot;
use io_uring::types::Fd;
use io_uring::types::Fixed;
use serde_json::Value;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::only_story;
use crate::pairs::told_once;
use crate::pairs::wait_for_state;
use crate::processes::forked;
use crate::sockets::State;
use crate::tracer::Tracer;

/// How the server accepts.
#[derive(Clone, Copy)]
pub enum Accepting {
    Plain,
    /// By a thread of the kernel's, which belongs to the process.
    Sqpoll,
    /// One request for every connection to come.
    Multishot,
    /// Into a table of the ring's, where it has no descriptor.
    Direct,
    MultishotDirect,
}

/// What the server does then.
#[derive(Clone, Copy, PartialEq)]
pub enum Doing {
    /// read(2), and the same by io_uring
    Read,
    Recv,
    /// write(2), and the same by io_uring
    Write,
    Send,
    /// No more than to close it.
    Nothing,
    /// No more than to wait until the peer has closed it.
    Waiting,
}

/// Submits one request, and waits for its result.
fn run(ring: &mut IoUring, request: &Entry) -> i32 {
    // SAFETY: what the request points to lives until its result is there.
    unsafe { ring.submission().push(request) }.unwrap();
    ring.submit_and_wait(1).unwrap();
    let result = ring.completion().next().unwrap().result();
    assert!(result >= 0, "{}", std::io::Error::from_raw_os_error(-result));
    result
}

/// Accepts one connection by a ring that the tracer had the time to notice, and does something with it.
pub fn serve(listener: &TcpListener, accepting: Accepting, doing: Doing, tracer: &Tracer) {
    let mut builder = IoUring::builder();
    if let Accepting::Sqpoll = accepting {
        builder.setup_sqpoll(1000);
    }
    let mut ring = builder.build(8).unwrap();
    tracer.wait_until_it_follows_io();
    ring.submitter().register_files_sparse(4).unwrap();
    let null = std::ptr::null_mut();
    let listener = Fd(listener.as_raw_fd());
    let request = match accepting {
        Accepting::Plain | Accepting::Sqpoll => {
            opcode::Accept::new(listener, null, null.cast()).build()
        }
        Accepting::Multishot => opcode::AcceptMulti::new(listener).build(),
        Accepting::Direct => opcode::Accept::new(listener, null, null.cast())
            .file_index(Some(DestinationSlot::auto_target()))
            .build(),
        Accepting::MultishotDirect => {
            opcode::AcceptMulti::new(listener).allocate_file_index(true).build()
        }
    };
    let accepted = run(&mut ring, &request);
    let direct = matches!(accepting, Accepting::Direct | Accepting::MultishotDirect);
    let (descriptor, slot) = (Fd(accepted), Fixed(accepted.cast_unsigned()));
    let mut buffer = *b"hello";
    let (pointer, length) = (buffer.as_mut_ptr(), 5);
    match (doing, direct) {
        (Doing::Read, _) => assert_eq!(nix::unistd::read(borrowed(accepted), &mut buffer), Ok(5)),
        (Doing::Write, _) => assert_eq!(nix::unistd::write(borrowed(accepted), &buffer), Ok(5)),
        (Doing::Recv, false) => {
            assert_eq!(run(&mut ring, &opcode::Recv::new(descriptor, pointer, length).build()), 5);
        }
        (Doing::Recv, true) => {
            assert_eq!(run(&mut ring, &opcode::Recv::new(slot, pointer, length).build()), 5);
        }
        (Doing::Send, false) => {
            assert_eq!(run(&mut ring, &opcode::Send::new(descriptor, pointer, length).build()), 5);
        }
        (Doing::Send, true) => {
            assert_eq!(run(&mut ring, &opcode::Send::new(slot, pointer, length).build()), 5);
        }
        (Doing::Nothing, _) => (),
        (Doing::Waiting, _) => thread::sleep(Duration::from_millis(300)),
    }
    // Exits: the kernel closes the connection.
}

fn borrowed(descriptor: RawFd) -> BorrowedFd<'static> {
    // SAFETY: it is never closed.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

/// One connection to such a server. Returns the close of the server's end, which its accept agrees with, and the accept.
fn accepted(accepting: Accepting, doing: Doing, wait: Duration) -> Option<(Value, Value)> {
    if !can_trace() {
        return None;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let address = listener.local_addr().unwrap();
    let child = forked(|| {
        thread::sleep(wait);
        serve(&listener, accepting, doing, &tracer);
    });
    let pid = child.pid();
    let mut stream = TcpStream::connect(address).unwrap();
    let client = stream.local_addr().unwrap();
    let (mut sent, mut received) = (0, Vec::new());
    if let Doing::Read | Doing::Recv = doing {
        stream.write_all(b"abcde").unwrap();
        sent = 5;
    }
    if doing == Doing::Waiting {
        thread::sleep(Duration::from_millis(100));
        drop(stream);
    } else {
        stream.read_to_end(&mut received).unwrap();
        wait_for_state(&stream, State::CloseWait);
        drop(stream);
    }
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 2);
    tracer.wait_for_events(namespace.netns, "accept", 1);
    let log = tracer.stop();

    let (_, close) = only_story(&log, namespace.netns, (client, address));
    let accept = log.event(namespace.netns, "accept", address, client);
    assert_ended(&close, if doing == Doing::Waiting { "remote" } else { "local" }, "");
    assert_bytes(&close, received.len(), sent);
    let named = if let Doing::Nothing | Doing::Waiting = doing {
        ("listener", process::id())
    } else {
        ("io", pid.try_into().unwrap())
    };
    for record in [accept, &close] {
        let process = &record["process"];
        assert_eq!(record["attributed_to"], named.0, "{record}");
        assert_eq!(process["pid"], named.1, "{record}");
        let comm = process["comm"].as_str().unwrap();
        assert!(!comm.starts_with("iou-"), "not the kernel's thread: {record}");
    }
    Some((accept.clone(), close))
}

fn accepts(accepting: Accepting, doing: Doing) {
    accepted(accepting, doing, Duration::ZERO);
}

#[test]
fn plain_then_read() {
    accepts(Accepting::Plain, Doing::Read);
}

#[test]
fn plain_then_write() {
    accepts(Accepting::Plain, Doing::Write);
}

#[test]
fn plain_then_recv() {
    accepts(Accepting::Plain, Doing::Recv);
}

#[test]
fn plain_then_send() {
    accepts(Accepting::Plain, Doing::Send);
}

#[test]
fn plain_then_nothing() {
    accepts(Accepting::Plain, Doing::Nothing);
}

#[test]
fn plain_until_the_peer_closes() {
    accepts(Accepting::Plain, Doing::Waiting);
}

#[test]
fn sqpoll_then_read() {
    accepts(Accepting::Sqpoll, Doing::Read);
}

#[test]
fn sqpoll_then_write() {
    accepts(Accepting::Sqpoll, Doing::Write);
}

#[test]
fn sqpoll_then_recv() {
    accepts(Accepting::Sqpoll, Doing::Recv);
}

#[test]
fn sqpoll_then_send() {
    accepts(Accepting::Sqpoll, Doing::Send);
}

#[test]
fn sqpoll_then_nothing() {
    accepts(Accepting::Sqpoll, Doing::Nothing);
}

#[test]
fn sqpoll_until_the_peer_closes() {
    accepts(Accepting::Sqpoll, Doing::Waiting);
}

#[test]
fn multishot_then_read() {
    accepts(Accepting::Multishot, Doing::Read);
}

#[test]
fn multishot_then_write() {
    accepts(Accepting::Multishot, Doing::Write);
}

#[test]
fn multishot_then_recv() {
    accepts(Accepting::Multishot, Doing::Recv);
}

#[test]
fn multishot_then_send() {
    accepts(Accepting::Multishot, Doing::Send);
}

#[test]
fn multishot_then_nothing() {
    accepts(Accepting::Multishot, Doing::Nothing);
}

#[test]
fn multishot_until_the_peer_closes() {
    accepts(Accepting::Multishot, Doing::Waiting);
}

#[test]
fn direct_then_recv() {
    accepts(Accepting::Direct, Doing::Recv);
}

#[test]
fn direct_then_send() {
    accepts(Accepting::Direct, Doing::Send);
}

#[test]
fn direct_then_nothing() {
    accepts(Accepting::Direct, Doing::Nothing);
}

#[test]
fn direct_until_the_peer_closes() {
    accepts(Accepting::Direct, Doing::Waiting);
}

#[test]
fn multishot_direct_then_recv() {
    accepts(Accepting::MultishotDirect, Doing::Recv);
}

#[test]
fn multishot_direct_then_send() {
    accepts(Accepting::MultishotDirect, Doing::Send);
}

#[test]
fn multishot_direct_then_nothing() {
    accepts(Accepting::MultishotDirect, Doing::Nothing);
}

#[test]
fn multishot_direct_until_the_peer_closes() {
    accepts(Accepting::MultishotDirect, Doing::Waiting);
}

#[test]
fn waits_are_until_the_first_io() {
    let wait = Duration::from_millis(500);
    let Some((accept, _)) = accepted(Accepting::Plain, Doing::Read, wait) else { return };
    let wait = accept["wait_us"].as_u64().unwrap();
    assert!((450_000..900_000).contains(&wait), "{accept}");
}

#[test]
fn many_connections_by_one_multishot_request() {
    const CONNECTIONS: usize = 20;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let address = listener.local_addr().unwrap();
    let child = forked(|| {
        let mut ring = IoUring::new(64).unwrap();
        tracer.wait_until_it_follows_io();
        let request = opcode::AcceptMulti::new(Fd(listener.as_raw_fd())).build();
        // SAFETY: the request points to nothing.
        unsafe { ring.submission().push(&request) }.unwrap();
        let mut count = 0;
        while count < CONNECTIONS {
            ring.submit_and_wait(1).unwrap();
            while let Some(result) = ring.completion().next() {
                // SAFETY: the descriptor was just made, and is nobody else's.
                let mut stream = unsafe { TcpStream::from_raw_fd(result.result()) };
                stream.write_all(b"hello").unwrap();
                count += 1;
            }
        }
    });
    let pid = child.pid();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = TcpStream::connect(address).unwrap();
        clients.push(stream.local_addr().unwrap());
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"hello");
    }
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 2 * CONNECTIONS);
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 4 * CONNECTIONS);
    for client in clients {
        let (_, close) = told_once(&log, namespace.netns, (client, address));
        assert_eq!(close["attributed_to"], "io", "{close}");
        assert_eq!(close["process"]["pid"], pid, "{close}");
        assert_bytes(&close, 5, 0);
    }
}

/// Nothing but the ring knows of it: it has no descriptor, and is in no table of a process.
#[test]
fn what_only_a_ring_holds_is_not_listed_and_its_close_is_right() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let [(accepted, has_accepted), (end, may_end)] = [(); 2].map(|()| nix::unistd::pipe().unwrap());
    let child = forked(|| {
        let mut ring = IoUring::new(8).unwrap();
        ring.submitter().register_files_sparse(4).unwrap();
        let (null, listener) = (std::ptr::null_mut(), Fd(listener.as_raw_fd()));
        let accept = opcode::Accept::new(listener, null, null.cast());
        run(&mut ring, &accept.file_index(Some(DestinationSlot::auto_target())).build());
        nix::unistd::write(&has_accepted, &[0]).unwrap();
        nix::unistd::read(&end, &mut [0]).unwrap();
    });
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    nix::unistd::read(&accepted, &mut [0]).unwrap();
    let tracer = Tracer::start(&[]);
    nix::unistd::write(&may_end, &[0]).unwrap();
    child.wait();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 3, "{:#?}", log.events(namespace.netns));
    log.event(namespace.netns, "open", client, server);
    let close = log.event(namespace.netns, "close", server, client);
    assert_ended(close, "local", "");
    assert_bytes(close, 0, 0);
    for unknown in ["process", "duration_us", "opened_by"] {
        assert!(close.get(unknown).is_none(), "{close}");
    }
}
