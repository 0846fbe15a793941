//! Resets on request: who sent which, and in what state.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::can_trace;
use crate::connecting::assert_caller;
use crate::endings::FIN_IS_ACKNOWLEDGED;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::pairs::Pair;
use crate::pairs::wait_for_state;
use crate::scene::Scene;
use crate::sockets::State;
use crate::tracer::Tracer;
use crate::tracer::is_end;
use crate::wire::ACK;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::Segment;
use crate::wire::THERE;

#[test]
fn a_syn_at_a_closed_port() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    for bound in [v4(), v6()] {
        let closed = TcpListener::bind(bound).unwrap().local_addr().unwrap();
        let tracer = Tracer::start(&["-e", "connect,reset"]);
        TcpStream::connect(closed).unwrap_err();
        let log = tracer.stop();
        let resets = log.events_of(namespace.netns, "reset");
        assert_eq!(resets.len(), 2, "{resets:#?}");
        // What answered: no socket, so nobody.
        let sent = resets[0];
        assert_eq!(sent["direction"], "sent", "{sent}");
        assert!(is_end(&sent["local"], closed), "{sent}");
        for field in ["state", "process", "conn", "attributed_to"] {
            assert!(sent.get(field).is_none(), "{sent}");
        }
        // What was answered.
        let received = resets[1];
        assert_eq!(received["direction"], "received", "{received}");
        assert_eq!(received["state"], "syn_sent", "{received}");
        assert!(is_end(&received["remote"], closed), "{received}");
        assert_eq!(received["local"], sent["remote"], "{received}");
        assert_caller(received);
        let connect = log.events_of(namespace.netns, "connect")[0];
        assert_eq!(connect["conn"], received["conn"], "{connect}");
        assert_eq!(connect["outcome"], "refused", "{connect}");
    }
}

#[test]
fn a_connection_that_is_reset() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "close,reset"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let (mut there, _) = listener.accept().unwrap();
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(stream);
    there.read(&mut [0]).unwrap_err();
    drop(there);
    let log = tracer.stop();
    let resets = log.events_of(namespace.netns, "reset");
    assert_eq!(resets.len(), 2, "{resets:#?}");
    for (direction, local, remote) in [("sent", client, server), ("received", server, client)] {
        let reset = log.event(namespace.netns, "reset", local, remote);
        assert_eq!(reset["direction"], direction, "{reset}");
        assert_caller(reset);
        let close = log.event(namespace.netns, "close", local, remote);
        assert_eq!(reset["conn"], close["conn"], "{reset}");
    }
    // The kernel lets go of a connection before it says so.
    let sent = log.event(namespace.netns, "reset", client, server);
    assert_eq!(sent["state"], "close", "{sent}");
    let received = log.event(namespace.netns, "reset", server, client);
    assert_eq!(received["state"], "established", "{received}");
}

/// The kernel ends a connection as if a reset had come when data comes for who does not want to receive any more; the
/// reset is its own.
#[test]
fn data_for_who_has_shut_down_both_directions() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "close,reset"]);
    let mut pair = Pair::new();
    let (client, server) = pair.ends();
    pair.client.shutdown(Shutdown::Both).unwrap();
    wait_for_state(&pair.client, State::FinWait2);
    pair.server.write_all(b"too late").unwrap();
    wait_for_state(&pair.server, State::Close);
    wait_for_state(&pair.client, State::Close);
    drop(pair);
    let log = tracer.stop();
    let resets = log.events_of(namespace.netns, "reset");
    assert_eq!(resets.len(), 2, "{resets:#?}");
    for (direction, local, remote) in [("sent", client, server), ("received", server, client)] {
        let reset = log.event(namespace.netns, "reset", local, remote);
        assert_eq!(reset["direction"], direction, "{reset}");
        assert_caller(reset);
        let close = log.event(namespace.netns, "close", local, remote);
        assert_eq!(reset["conn"], close["conn"], "{reset}");
        let closed_by = if direction == "sent" { "local_reset" } else { "remote_reset" };
        assert_eq!(close["closed_by"], closed_by, "{close}");
    }
}

/// What is left of a socket that nobody holds is smaller than one, and has no process.
#[test]
fn a_reset_from_time_wait() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "reset"]);
    let mut pair = Pair::new();
    let (client, server) = pair.ends();
    drop(pair.client);
    wait_for_state(&pair.server, State::CloseWait);
    thread::sleep(FIN_IS_ACKNOWLEDGED);
    pair.server.write_all(b"too late").unwrap();
    wait_for_state(&pair.server, State::Close);
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 2, "{:#?}", log.events(namespace.netns));
    let sent = log.event(namespace.netns, "reset", client, server);
    assert_eq!(sent["direction"], "sent", "{sent}");
    assert_eq!(sent["state"], "time_wait", "{sent}");
    for field in ["process", "conn", "attributed_to"] {
        assert!(sent.get(field).is_none(), "{sent}");
    }
    let received = log.event(namespace.netns, "reset", server, client);
    assert_eq!(received["direction"], "received", "{received}");
    assert_eq!(received["state"], "close_wait", "{received}");
    assert_caller(received);
}

/// A segment that belongs to no connection: the peer stands in it only.
#[test]
fn a_reset_by_a_listener() {
    let mut wire = None;
    let scene = Scene::with(&["-e", "reset"], || wire = Some(Peer::new()));
    let (Some(scene), Some(peer)) = (scene, wire) else { return };
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let SocketAddr::V4(server) = listener.local_addr().unwrap() else { unreachable!("IPv4") };
    let client = SocketAddrV4::new(THERE, 50_000);
    peer.send(&Segment { flags: ACK, ack: 7, ..Segment::syn(client, server) });
    assert_eq!(peer.receive_with(RST).from, server);
    let told = scene.end();
    let sent = told.log.event(told.netns, "reset", server.into(), client.into());
    assert_eq!(told.log.events(told.netns), [sent]);
    assert_eq!(sent["direction"], "sent", "{sent}");
    assert_eq!(sent["state"], "listen", "{sent}");
    assert_eq!(sent["attributed_to"], "listener", "{sent}");
    assert_caller(sent);
}
