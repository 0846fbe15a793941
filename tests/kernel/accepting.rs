//! Accepting: who took the connection, and how long it had waited.

use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::can_trace;
use crate::connecting::assert_caller;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// The accept and the close of the server's end: the same connection, the same process.
fn server_end(log: &Log, netns: u64, server: SocketAddr, client: SocketAddr) -> &Value {
    let accept = log.event(netns, "accept", server, client);
    let close = log.event(netns, "close", server, client);
    assert_eq!(accept["conn"], close["conn"]);
    assert_eq!(accept["attributed_to"], "accept");
    assert_eq!(close["attributed_to"], "accept");
    assert_eq!(accept["process"], close["process"], "the thread and its name too");
    assert_eq!(close["opened_by"], "remote");
    let connect = log.event(netns, "connect", client, server);
    assert_ne!(connect["conn"], accept["conn"], "two sockets");
    accept
}

#[test]
fn accepts_in_the_same_process() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let (accepted, client) = listener.accept().unwrap();
    drop((stream, accepted));
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let accept = server_end(&log, namespace.netns, server, client);
    assert_caller(accept);
    assert!(accept["wait_us"].as_u64().unwrap() < 1_000_000);
}

#[test]
fn accepts_in_another_thread() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let acceptor = thread::Builder::new()
        .name("acceptor".to_owned())
        .spawn(move || {
            let (_, client) = listener.accept().unwrap();
            (nix::unistd::gettid(), client)
        })
        .unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let (tid, client) = acceptor.join().unwrap();
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let accept = server_end(&log, namespace.netns, server, client);
    assert_eq!(accept["process"]["pid"], process::id());
    assert_eq!(accept["process"]["tid"], tid.as_raw());
    assert_eq!(accept["process"]["comm"], "acceptor");
}

#[test]
fn accepts_in_a_forked_worker() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let worker = forked(|| drop(listener.accept()));
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let pid = worker.pid();
    worker.wait();
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    // Not the listener's owner, at the close either.
    let accept = server_end(&log, namespace.netns, server, client);
    assert_eq!(accept["process"]["pid"], pid);
    assert_eq!(accept["process"]["ppid"], process::id());
}

#[test]
fn accepts_tell_how_long_the_connection_waited() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    thread::sleep(Duration::from_millis(500));
    drop(listener.accept().unwrap());
    drop(stream);
    tracer.wait_for_events(namespace.netns, "accept", 1);
    let log = tracer.stop();
    let wait = log.events_of(namespace.netns, "accept")[0]["wait_us"].as_u64().unwrap();
    assert!((500_000..900_000).contains(&wait), "{wait} µs");
}

#[test]
fn a_thread_that_accepts_since_before_tracing_is_seen() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let acceptor =
        thread::spawn(move || (listener.accept().unwrap().1, nix::unistd::gettid().as_raw()));
    thread::sleep(Duration::from_millis(50));
    let tracer = Tracer::start(&[]);
    let stream = TcpStream::connect(server).unwrap();
    let (client, tid) = acceptor.join().unwrap();
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let accept = server_end(&log, namespace.netns, server, client);
    assert_eq!(accept["process"]["pid"], process::id());
    assert_eq!(accept["process"]["tid"], tid);
    assert!(accept["wait_us"].is_u64(), "{accept}");
    assert_eq!(log.events(namespace.netns).len(), 4);
}

#[test]
fn connections_that_nobody_accepts_are_the_listeners() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    drop(listener);
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    assert!(log.events_of(namespace.netns, "accept").is_empty());
    let close = log.event(namespace.netns, "close", server, client);
    assert_eq!(close["attributed_to"], "listener");
    assert_caller(close);
}

#[test]
fn a_peer_that_is_gone_before_the_accept() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let clients: Vec<SocketAddr> = [false, true]
        .into_iter()
        .map(|reset| {
            let stream = TcpStream::connect(server).unwrap();
            if reset {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
            }
            let client = stream.local_addr().unwrap();
            drop(stream);
            // FIN or RST is there before anybody accepts.
            let (accepted, peer) = listener.accept().unwrap();
            assert_eq!(peer, client);
            drop(accepted);
            client
        })
        .collect();
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    // After FIN the accept comes in time; after RST the close came before it, the listener's still.
    let finished = server_end(&log, namespace.netns, server, clients[0]);
    assert!(finished["wait_us"].is_u64());
    let accept = log.event(namespace.netns, "accept", server, clients[1]);
    let close = log.event(namespace.netns, "close", server, clients[1]);
    assert_eq!(accept["conn"], close["conn"]);
    assert!(accept["wait_us"].is_u64());
    assert_eq!(close["closed_by"], "remote_reset");
    assert_eq!(close["errno"], "ECONNRESET");
    assert_caller(close);
    assert!(close["seq"].as_u64() < accept["seq"].as_u64());
}

/// After a reset the close is the listener's owner's, for it came first. The accept is who accepted.
#[test]
fn a_peer_that_has_reset_before_a_worker_accepts() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    // The accept follows the verdict of the close, though not the same process is named.
    let tracer = Tracer::start(&["-p", &process::id().to_string()]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    let worker = forked(|| drop(listener.accept().unwrap()));
    let pid = worker.pid();
    worker.wait();
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 4);
    let accept = log.event(namespace.netns, "accept", server, client);
    let close = log.event(namespace.netns, "close", server, client);
    assert_eq!(accept["process"]["pid"], pid, "{accept}");
    assert_eq!(accept["process"]["ppid"], process::id(), "{accept}");
    assert_eq!(accept["attributed_to"], "accept", "{accept}");
    assert_eq!(close["conn"], accept["conn"], "{close}");
    assert_eq!(close["attributed_to"], "listener", "{close}");
    assert_caller(close);
}

#[test]
fn reuseport_servers_get_what_is_theirs() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let bind = |port| {
        let socket =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.set_reuse_port(true).unwrap();
        socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into()).unwrap();
        socket.listen(16).unwrap();
        TcpListener::from(socket)
    };
    let first = bind(0);
    let server = first.local_addr().unwrap();
    let worker = forked(move || {
        let second = bind(server.port());
        loop {
            drop(second.accept());
        }
    });
    thread::sleep(Duration::from_millis(100));
    first.set_nonblocking(true).unwrap();
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..32 {
        let stream = TcpStream::connect(server).unwrap();
        let client = stream.local_addr().unwrap();
        if first.accept().is_ok() { mine.push(client) } else { theirs.push(client) }
    }
    let pid = worker.pid();
    tracer.wait_for_events(namespace.netns, "accept", 32);
    tracer.wait_for_events(namespace.netns, "close", 64);
    worker.kill();
    let log = tracer.stop();
    assert!(!mine.is_empty() && !theirs.is_empty(), "the kernel spreads them");
    for client in mine {
        assert_eq!(
            server_end(&log, namespace.netns, server, client)["process"]["pid"],
            process::id()
        );
    }
    for client in theirs {
        assert_eq!(server_end(&log, namespace.netns, server, client)["process"]["pid"], pid);
    }
}
