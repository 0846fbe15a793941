//! Closing: how much went each way, how long it lasted, who ended it.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use socket2::SockRef;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// A connection between two ends of this thread.
struct Pair {
    client: TcpStream,
    server: TcpStream,
}

impl Pair {
    fn new() -> Self {
        let listener = TcpListener::bind(v4()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client, server }
    }

    fn ends(&self) -> (SocketAddr, SocketAddr) {
        (self.client.local_addr().unwrap(), self.server.local_addr().unwrap())
    }
}

/// The closes of the client's and the server's end.
fn closes(log: &Log, netns: u64, ends: (SocketAddr, SocketAddr)) -> (&Value, &Value) {
    let (client, server) = ends;
    (log.event(netns, "close", client, server), log.event(netns, "close", server, client))
}

/// Runs `work` under a tracer and returns the two closes of the connection whose ends it returns.
fn traced(work: impl FnOnce() -> (SocketAddr, SocketAddr)) -> Option<(Value, Value)> {
    if !can_trace() {
        return None;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let ends = work();
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let (client, server) = closes(&log, namespace.netns, ends);
    assert_eq!(client["opened_by"], "local");
    assert_eq!(server["opened_by"], "remote");
    Some((client.clone(), server.clone()))
}

fn bytes_are_exact(from_client: usize, from_server: usize) {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        let mut server = pair.server;
        let there = thread::spawn(move || {
            let mut received = Vec::new();
            server.read_to_end(&mut received).unwrap();
            assert_eq!(received.len(), from_client);
            server.write_all(&vec![b's'; from_server]).unwrap();
        });
        pair.client.write_all(&vec![b'c'; from_client]).unwrap();
        pair.client.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        pair.client.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), from_server);
        there.join().unwrap();
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["bytes_sent"], from_client, "{client}");
    assert_eq!(client["bytes_received"], from_server, "{client}");
    assert_eq!(server["bytes_sent"], from_server, "{server}");
    assert_eq!(server["bytes_received"], from_client, "{server}");
    assert_eq!(client["closed_by"], "local", "{client}");
    assert_eq!(server["closed_by"], "remote", "{server}");
    assert!(client["segments_sent"].as_u64().unwrap() >= 3, "{client}");
    assert!(client["rtt_us"].is_u64(), "{client}");
}

#[test]
fn no_bytes() {
    bytes_are_exact(0, 0);
}

#[test]
fn one_byte_each_way() {
    bytes_are_exact(1, 1);
}

#[test]
fn a_thousand_bytes_each_way() {
    bytes_are_exact(1000, 1000);
}

#[test]
fn ten_mebibytes_each_way() {
    bytes_are_exact(10 << 20, 10 << 20);
}

#[test]
fn many_bytes_one_way() {
    bytes_are_exact(10 << 20, 1);
}

#[test]
fn closed_by_the_server() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        drop(pair.server);
        assert_eq!(pair.client.read(&mut [0; 8]).unwrap(), 0);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "remote");
    assert_eq!(server["closed_by"], "local");
}

#[test]
fn reset_by_linger_zero() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        pair.client.write_all(b"abc").unwrap();
        SockRef::from(&pair.client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(pair.client);
        let mut received = Vec::new();
        pair.server.read_to_end(&mut received).unwrap_err();
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "local_reset");
    assert!(client.get("errno").is_none());
    assert_eq!(server["closed_by"], "remote_reset");
    assert_eq!(server["errno"], "ECONNRESET");
    assert_eq!(client["bytes_sent"], 3);
    assert_eq!(server["bytes_received"], 3);
}

#[test]
fn reset_by_unread_data() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        pair.client.write_all(b"unread").unwrap();
        // It must have arrived.
        assert_eq!(pair.server.peek(&mut [0; 8]).unwrap(), 6);
        drop(pair.server);
        pair.client.read(&mut [0; 8]).unwrap_err();
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "remote_reset");
    assert_eq!(server["closed_by"], "local_reset");
}

#[test]
fn durations_are_from_established_to_closed() {
    let closes = traced(|| {
        let pair = Pair::new();
        let ends = pair.ends();
        thread::sleep(Duration::from_millis(300));
        drop(pair);
        ends
    });
    let Some((client, server)) = closes else { return };
    for close in [client, server] {
        let duration = close["duration_us"].as_u64().unwrap();
        assert!((300_000..700_000).contains(&duration), "{close}");
    }
}
