//! What was there before tracing began.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::process;

use serde_json::Value;

use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::local;
use crate::calls::tcp_for;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Tracer;

#[test]
fn a_server_that_listened_before_is_named() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let tracer = Tracer::start(&[]);
    // One is accepted, one is not.
    let accepted = TcpStream::connect(server).unwrap();
    let (there, _) = listener.accept().unwrap();
    let accepted_client = accepted.local_addr().unwrap();
    let waiting = TcpStream::connect(server).unwrap();
    let waiting_client = waiting.local_addr().unwrap();
    drop((there, accepted, listener, waiting));
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    let close = log.event(namespace.netns, "close", server, accepted_client);
    assert_eq!(close["process"]["pid"], process::id());
    assert_eq!(close["attributed_to"], "accept");
    let close = log.event(namespace.netns, "close", server, waiting_client);
    assert_eq!(close["process"]["pid"], process::id());
    assert_eq!(close["attributed_to"], "listener");
    assert_eq!(close["process"]["ppid"], nix::unistd::getppid().as_raw());
}

#[test]
fn a_connection_that_was_open_has_its_owner_at_its_close() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let (there, _) = listener.accept().unwrap();
    // The server's end is a child's only.
    let child = forked(|| {
        nix::unistd::close(stream.as_raw_fd()).unwrap();
        let mut there = &there;
        let _ = there.read(&mut [0; 8]);
        let _ = there.read(&mut [0; 8]);
    });
    drop(there);
    stream.write_all(b"before").unwrap();
    let tracer = Tracer::start(&[]);
    let child_pid = child.pid();
    drop(stream);
    child.wait();
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    for (local, remote, pid) in
        [(client, server, process::id()), (server, client, child_pid.unsigned_abs())]
    {
        let close = log.event(namespace.netns, "close", local, remote);
        assert_eq!(close["process"]["pid"], pid, "{close}");
        assert_eq!(close["attributed_to"], "holder", "{close}");
        assert!(close["process"]["ppid"].is_u64(), "{close}");
        assert!(close.get("duration_us").is_none(), "its beginning is not known: {close}");
        assert!(close.get("opened_by").is_none(), "{close}");
    }
    // The counters are the socket's: they tell of its whole life.
    assert_eq!(log.event(namespace.netns, "close", client, server)["bytes_sent"], 6);
}

/// The next connection of a socket has another name, though nobody saw the first one begin.
#[test]
fn a_connection_that_was_open_is_not_the_next_one_of_its_socket() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listeners = [(); 2].map(|()| TcpListener::bind(v4()).unwrap());
    let servers = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let socket = tcp_for(v4());
    assert_eq!(connect(&socket, servers[0]), Ok(()));
    let first = local(&socket);
    let _before = listeners[0].accept().unwrap();
    let tracer = Tracer::start(&[]);
    assert_eq!(disconnect(&socket), Ok(()));
    assert_eq!(connect(&socket, servers[1]), Ok(()));
    let second = local(&socket);
    drop((socket, listeners[1].accept().unwrap()));
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    let conn = |kind: &str, local, remote| {
        log.event(namespace.netns, kind, local, remote)["conn"].as_str().unwrap().to_owned()
    };
    let before = conn("open", first, servers[0]);
    let after = conn("connect", second, servers[1]);
    assert_ne!(before, after);
    assert_eq!(conn("close", first, servers[0]), before);
    assert_eq!(conn("close", second, servers[1]), after);
}

#[test]
fn a_connection_that_waited_before_is_attributed_when_it_is_accepted() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let tracer = Tracer::start(&[]);
    drop(listener.accept().unwrap());
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let accept: &Value = log.event(namespace.netns, "accept", server, client);
    assert_eq!(accept["process"]["pid"], process::id());
    assert!(accept.get("wait_us").is_none(), "not known");
    let close = log.event(namespace.netns, "close", server, client);
    assert_eq!(close["process"]["pid"], process::id());
    assert_eq!(close["attributed_to"], "accept");
}

#[test]
fn a_connection_that_waited_before_and_that_nobody_accepts_is_told() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    // It stands in no file table: nobody can be named. With no filter it must be told all the same.
    let tracer = Tracer::start(&[]);
    drop(listener);
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let close = log.event(namespace.netns, "close", server, client);
    assert!(close.get("process").is_none(), "{close}");
    assert_eq!(log.stop()["filtered"], 0);
}
