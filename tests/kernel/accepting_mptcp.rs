//! Accepts by a listener for MPTCP, which takes connections of MPTCP and, from clients that know no better, of TCP.
//!
//! multipath.rs has what goes both ways between all kinds of them; this is about who accepts, and when.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::calls::connect;
use crate::calls::is_multipath;
use crate::calls::local;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::told_once;
use crate::processes::forked;
use crate::scene::Scene;
use crate::scene::Told;

const CLIENTS: [&str; 2] = ["mptcp", "tcp"];

fn socket(protocol: &str) -> Socket {
    let protocol = if protocol == "mptcp" { Protocol::MPTCP } else { Protocol::TCP };
    Socket::new(Domain::IPV4, Type::STREAM, Some(protocol)).unwrap()
}

fn listen() -> (Socket, SocketAddr) {
    let listener = socket("mptcp");
    listener.bind(&v4().into()).unwrap();
    listener.listen(16).unwrap();
    let address = local(&listener);
    (listener, address)
}

fn connected(protocol: &str, server: SocketAddr) -> (Socket, SocketAddr) {
    let socket = socket(protocol);
    connect(&socket, server).unwrap();
    assert_eq!(is_multipath(&socket), protocol == "mptcp");
    let client = local(&socket);
    (socket, client)
}

/// The accept and the close of the server's end, which both name this process and protocol.
fn accepted_by(
    told: &Told,
    protocol: &str,
    pid: u32,
    client: SocketAddr,
    server: SocketAddr,
) -> (Value, Value) {
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    let accept = told.log.event(told.netns, "accept", server, client).clone();
    for record in [&accept, &close] {
        assert_eq!(record["protocol"], protocol, "{record}");
        assert_eq!(record["attributed_to"], "accept", "{record}");
        assert_eq!(record["process"]["pid"], pid, "{record}");
    }
    (accept, close)
}

#[test]
fn waits_are_told() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let (stream, client) = connected(protocol, server);
        thread::sleep(Duration::from_millis(500));
        drop((listener.accept().unwrap(), stream));
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 1, 2);
        let (accept, _) = accepted_by(&told, protocol, process::id(), client, server);
        let wait = accept["wait_us"].as_u64().unwrap();
        assert!((500_000..900_000).contains(&wait), "{accept}");
    }
}

#[test]
fn workers_are_named() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let worker = forked(|| {
            let (mut accepted, _) = listener.accept().unwrap();
            accepted.write_all(b"hello").unwrap();
            accepted.shutdown(std::net::Shutdown::Write).unwrap();
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
        });
        let (mut stream, client) = connected(protocol, server);
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"hello");
        drop(stream);
        let pid = worker.pid().cast_unsigned();
        worker.wait();
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 1, 2);
        let (_, close) = accepted_by(&told, protocol, pid, client, server);
        assert_bytes(&close, 5, 0);
        assert_ended(&close, "local", "");
    }
}

#[test]
fn workers_that_are_killed() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let worker = forked(|| {
            let (mut accepted, _) = listener.accept().unwrap();
            accepted.write_all(b"hello").unwrap();
            thread::sleep(Duration::from_secs(30));
        });
        let (mut stream, client) = connected(protocol, server);
        stream.read_exact(&mut [0; 5]).unwrap();
        let pid = worker.pid().cast_unsigned();
        worker.kill();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        drop(stream);
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 1, 2);
        let (_, close) = accepted_by(&told, protocol, pid, client, server);
        assert_bytes(&close, 5, 0);
        assert_ended(&close, "local", "");
    }
}

#[test]
fn peers_that_have_gone_before_the_accept() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let (mut stream, client) = connected(protocol, server);
        stream.write_all(b"abc").unwrap();
        drop(stream);
        thread::sleep(Duration::from_millis(100));
        let (mut accepted, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"abc");
        drop(accepted);
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 1, 2);
        let (_, close) = accepted_by(&told, protocol, process::id(), client, server);
        assert_bytes(&close, 0, 3);
        assert_ended(&close, "remote", "");
    }
}

#[test]
fn connections_that_nobody_accepts() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let (stream, client) = connected(protocol, server);
        drop(listener);
        thread::sleep(Duration::from_millis(100));
        drop(stream);
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 0, 2);
        let close = told.log.event(told.netns, "close", server, client);
        assert_eq!(close["attributed_to"], "listener", "{close}");
        assert_eq!(close["process"]["pid"], process::id(), "{close}");
        assert_ended(close, "local_reset", "");
        // A connection of MPTCP outlives the reset of its subflow: then it is its process that gives it up.
        let closed_by = if protocol == "mptcp" { "local_reset" } else { "remote_reset" };
        let close = told.log.event(told.netns, "close", client, server);
        assert_eq!(close["closed_by"], closed_by, "{close}");
    }
}

#[test]
fn unread_data_at_close() {
    for protocol in CLIENTS {
        let Some(scene) = Scene::set() else { return };
        let (listener, server) = listen();
        let (mut stream, client) = connected(protocol, server);
        let (accepted, _) = listener.accept().unwrap();
        stream.write_all(b"unread").unwrap();
        assert_eq!(accepted.peek(&mut [std::mem::MaybeUninit::uninit(); 8]).unwrap(), 6);
        drop(accepted);
        stream.read(&mut [0]).unwrap_err();
        drop(stream);
        scene.wait_for_closes(2);
        let told = scene.end();
        told.assert_counts(1, 1, 2);
        let (_, close) = accepted_by(&told, protocol, process::id(), client, server);
        assert_ended(&close, "local_reset", "");
        assert_bytes(&close, 0, 6);
        let close = told.log.event(told.netns, "close", client, server);
        assert_ended(close, "remote_reset", "ECONNRESET");
        assert_bytes(close, 6, 0);
    }
}
