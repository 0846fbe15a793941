//! What was open when tracing began, and whose process had shut down both directions before: data that comes then is
//! answered with RST.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::TcpStream;
use std::thread;

use crate::can_trace;
use crate::endings::some_data;
use crate::namespace::Dropping;
use crate::namespace::Namespace;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::wait_for_state;
use crate::resets::fin_to;
use crate::sockets::State;
use crate::tracer::Tracer;
use crate::wire::ACK;
use crate::wire::FIN;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;
use crate::wire::Segment;

/// The client, with some data received, has shut down both directions and is in this state; then the tracer starts, and
/// data comes.
fn shut_down(state: State) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let mut pair = Pair::new();
    let (client, server) = pair.ends();
    some_data(&mut pair);
    let dropping = matches!(state, State::FinWait1).then(|| Dropping::incoming(&fin_to(server)));
    pair.client.shutdown(Shutdown::Both).unwrap();
    wait_for_state(&pair.client, state);
    let tracer = Tracer::start(&[]);
    pair.server.write_all(b"too late").unwrap();
    wait_for_state(&pair.server, State::Close);
    wait_for_state(&pair.client, State::Close);
    drop((pair, dropping));
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 4, "{:#?}", log.events(namespace.netns));
    log.event(namespace.netns, "open", client, server);
    log.event(namespace.netns, "open", server, client);
    let close = log.event(namespace.netns, "close", client, server);
    assert_eq!(close["closed_by"], "local_reset", "{close}");
    assert_bytes(close, 3, 5);
    let close = log.event(namespace.netns, "close", server, client);
    // A FIN that has come makes the kernel say EPIPE.
    let errno = if let State::FinWait1 = state { "ECONNRESET" } else { "EPIPE" };
    assert_ended(close, "remote_reset", errno);
    assert_bytes(close, 13, 3);
}

#[test]
fn data_in_fin_wait1() {
    shut_down(State::FinWait1);
}

#[test]
fn data_in_fin_wait2() {
    shut_down(State::FinWait2);
}

/// Data that had come before is no reason to reset: the peer only sends it again, and then resets itself.
#[test]
fn old_data_and_a_reset_in_fin_wait2() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let peer = Peer::new();
    let connecting = thread::spawn(|| TcpStream::connect(Peer::address()).unwrap());
    peer.send(&peer.receive_with(SYN).answer(SYN | ACK));
    let data = Segment { data: b"abc".to_vec(), ..peer.receive_with(ACK).answer(ACK) };
    peer.send(&data);
    let mut stream = connecting.join().unwrap();
    let client = stream.local_addr().unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    stream.shutdown(Shutdown::Both).unwrap();
    let next = peer.receive_with(FIN).answer(ACK);
    peer.send(&next);
    wait_for_state(&stream, State::FinWait2);
    let tracer = Tracer::start(&[]);
    peer.send(&Segment { ack: next.ack, ..data });
    assert_eq!(peer.receive().flags, ACK);
    peer.send(&Segment { flags: RST | ACK, ..next });
    wait_for_state(&stream, State::Close);
    drop(stream);
    let log = tracer.stop();
    assert_eq!(log.events(namespace.netns).len(), 2, "{:#?}", log.events(namespace.netns));
    log.event(namespace.netns, "open", client, Peer::address());
    let close = log.event(namespace.netns, "close", client, Peer::address());
    assert_eq!(close["closed_by"], "remote_reset", "{close}");
    assert_bytes(close, 0, 3);
}
