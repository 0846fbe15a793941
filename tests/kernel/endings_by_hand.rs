//! Endings whose order no kernel can be relied upon for: the peer is made by hand, segment by segment. The kernel's end
//! is a server's.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::wait_for_state;
use crate::scene::Scene;
use crate::sockets::State;
use crate::wire::ACK;
use crate::wire::FIN;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;
use crate::wire::Segment;
use crate::wire::THERE;

/// The peer's end.
struct Hand {
    peer: Peer,
    /// What it sends next, without flags and data.
    next: Segment,
}

impl Hand {
    /// Sends the next segment.
    fn send(&mut self, flags: u8, data: &[u8]) {
        self.peer.send(&Segment { flags, data: data.to_vec(), ..self.next.clone() });
        let length = data.len() + usize::from(flags & FIN != 0);
        self.next.seq = self.next.seq.wrapping_add(u32::try_from(length).unwrap());
    }

    /// Sends once more what it has just sent.
    fn send_again(&self, data: &[u8]) {
        let seq = self.next.seq.wrapping_sub(u32::try_from(data.len()).unwrap());
        self.peer.send(&Segment { flags: ACK, seq, data: data.to_vec(), ..self.next.clone() });
    }

    /// Nothing but what was sent again comes after that.
    fn assert_silence_after(&self, end: impl FnOnce()) {
        end();
        while let Some(segment) = self.peer.receive_within(Duration::from_millis(50)) {
            assert_eq!(segment.flags & RST, 0, "a reset");
        }
    }

    /// Takes segments up to the kernel's FIN, which it will acknowledge with the next segment if `acknowledge`.
    fn receive_fin(&mut self, acknowledge: bool) {
        let fin = self.peer.receive_with(FIN);
        let length = u32::try_from(fin.data.len()).unwrap() + u32::from(acknowledge);
        self.next.ack = fin.seq.wrapping_add(length);
    }
}

/// One connection, over which three bytes came and five went; `end` ends it. Returns the close of the kernel's end.
fn ended(end: impl FnOnce(TcpStream, &mut Hand)) -> Option<Value> {
    let (scene, peer) = Scene::wired()?;
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let SocketAddr::V4(server) = listener.local_addr().unwrap() else { unreachable!("IPv4") };
    let client = SocketAddrV4::new(THERE, 50_000);
    peer.send(&Segment::syn(client, server));
    let next = peer.receive_with(SYN).answer(ACK);
    let mut hand = Hand { peer, next };
    hand.send(ACK, b"abc");
    let (mut stream, _) = listener.accept().unwrap();
    stream.read_exact(&mut [0; 3]).unwrap();
    stream.write_all(b"defgh").unwrap();
    while hand.peer.receive().data != b"defgh" {}
    hand.next.ack += 5;
    hand.send(ACK, b"");
    end(stream, &mut hand);
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(0, 1, 1);
    let accept = told.log.event(told.netns, "accept", server.into(), client.into());
    let close = told.log.event(told.netns, "close", server.into(), client.into());
    assert_eq!(accept["conn"], close["conn"], "{close}");
    assert_eq!(accept["process"], close["process"], "{close}");
    Some(close.clone())
}

#[test]
fn fins_that_cross() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.send(FIN | ACK, b"");
        wait_for_state(&stream, State::Closing);
        hand.next.ack += 1;
        hand.send(ACK, b"");
        wait_for_state(&stream, State::Close);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn fins_that_cross_when_nobody_holds_the_socket() {
    let close = ended(|stream, hand| {
        drop(stream);
        hand.receive_fin(false);
        hand.send(FIN | ACK, b"");
        hand.next.ack += 1;
        hand.send(ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn reset_in_closing() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.send(FIN | ACK, b"");
        wait_for_state(&stream, State::Closing);
        hand.send(RST | ACK, b"");
        wait_for_state(&stream, State::Close);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 5, 3);
}

#[test]
fn unread_data_in_closing() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.send(FIN | ACK, b"unread");
        wait_for_state(&stream, State::Closing);
        drop(stream);
        hand.peer.receive_with(RST);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local_reset", "");
    assert_bytes(&close, 5, 9);
}

#[test]
fn reset_in_last_ack() {
    let close = ended(|stream, hand| {
        hand.send(FIN | ACK, b"");
        wait_for_state(&stream, State::CloseWait);
        drop(stream);
        hand.receive_fin(false);
        hand.send(RST | ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 5, 3);
}

/// Nobody hears of it: both directions have their FIN.
#[test]
fn linger_zero_in_closing() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.send(FIN | ACK, b"");
        wait_for_state(&stream, State::Closing);
        hand.assert_silence_after(|| {
            linger_zero(&stream);
            drop(stream);
        });
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn linger_zero_in_last_ack() {
    let close = ended(|stream, hand| {
        hand.send(FIN | ACK, b"");
        wait_for_state(&stream, State::CloseWait);
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.assert_silence_after(|| {
            linger_zero(&stream);
            drop(stream);
        });
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn linger_zero_in_fin_wait1() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        linger_zero(&stream);
        drop(stream);
        hand.peer.receive_with(RST);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local_reset", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn fin_with_the_last_data() {
    let close = ended(|mut stream, hand| {
        hand.send(FIN | ACK, b"the end");
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"the end");
        drop(stream);
        hand.receive_fin(true);
        hand.send(ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote", "");
    assert_bytes(&close, 5, 10);
}

#[test]
fn fin_that_is_sent_again() {
    let close = ended(|stream, hand| {
        drop(stream);
        hand.peer.receive_with(FIN);
        hand.receive_fin(true);
        hand.send(FIN | ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
    assert_eq!(close["retransmits"], 1, "{close}");
}

/// The FIN is in the queue behind data for which the peer's window has no room: neither has been sent.
#[test]
fn fin_that_is_never_sent() {
    let close = ended(|mut stream, hand| {
        hand.next.window = 0;
        hand.send(ACK, b"");
        stream.write_all(b"never sent").unwrap();
        drop(stream);
        hand.send(RST | ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 5, 3);
}

#[test]
fn half_closed_and_closed_before_the_peer() {
    let close = ended(|stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(true);
        hand.send(ACK, b"");
        wait_for_state(&stream, State::FinWait2);
        drop(stream);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
}

#[test]
fn half_closed_with_data_and_closed_before_the_peer() {
    let close = ended(|mut stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(true);
        hand.send(ACK, b"more");
        stream.read_exact(&mut [0; 4]).unwrap();
        drop(stream);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 7);
}

#[test]
fn data_for_an_orphan() {
    let close = ended(|stream, hand| {
        drop(stream);
        hand.receive_fin(false);
        hand.send(ACK, b"too late");
        hand.peer.receive_with(RST);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local_reset", "");
    assert_bytes(&close, 5, 3);
}

/// The kernel resets, but nothing that it keeps tells this apart from a reset by the peer: there was data after
/// our FIN that was no reason to reset. A limit that the README names.
#[test]
fn data_for_an_orphan_that_had_been_half_closed() {
    let close = ended(|mut stream, hand| {
        stream.shutdown(Shutdown::Write).unwrap();
        hand.receive_fin(false);
        hand.send(ACK, b"in time");
        stream.read_exact(&mut [0; 7]).unwrap();
        drop(stream);
        hand.send(ACK, b"too late");
        hand.peer.receive_with(RST);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 5, 10);
}

/// The peer has not seen that its data arrived: what it sends again is not new, and no reason to reset.
#[test]
fn old_data_for_an_orphan() {
    let close = ended(|stream, hand| {
        drop(stream);
        hand.receive_fin(true);
        hand.next.ack -= 1;
        hand.send_again(b"abc");
        hand.next.ack += 1;
        hand.send(ACK, b"");
        assert!(
            hand.peer
                .receive_within(Duration::from_millis(100))
                .is_none_or(|answer| answer.flags & RST == 0)
        );
        hand.send(FIN | ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 3);
}

/// The same, then the peer resets.
#[test]
fn old_data_for_an_orphan_and_a_reset() {
    let close = ended(|stream, hand| {
        drop(stream);
        hand.receive_fin(false);
        hand.send_again(b"abc");
        thread::sleep(Duration::from_millis(20));
        hand.send(RST | ACK, b"");
    });
    let Some(close) = close else { return };
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 5, 3);
}

#[test]
fn linger_zero_while_data_is_under_way() {
    let close = ended(|mut stream, hand| {
        stream.write_all(b"on its way").unwrap();
        linger_zero(&stream);
        drop(stream);
        hand.peer.receive_with(RST);
    });
    let Some(close) = close else { return };
    assert_ended(&close, "local_reset", "");
    assert_bytes(&close, 15, 3);
}

/// From established to closed: the handshake took longer than all that came after it.
#[test]
fn durations_do_not_count_the_handshake() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let connecting = thread::spawn(|| TcpStream::connect(Peer::address()).unwrap());
    let syn = peer.receive_with(SYN);
    thread::sleep(Duration::from_millis(800));
    let syn_ack = syn.answer(SYN | ACK);
    peer.send(&syn_ack);
    let stream = connecting.join().unwrap();
    let client = stream.local_addr().unwrap();
    thread::sleep(Duration::from_millis(300));
    linger_zero(&stream);
    drop(stream);
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(1, 0, 1);
    let (connect, close) = told.connected(client, Peer::address());
    assert!(connect["latency_us"].as_u64().unwrap() >= 800_000, "{connect}");
    let duration = close["duration_us"].as_u64().unwrap();
    assert!((300_000..700_000).contains(&duration), "{close}");
    assert_ended(close, "local_reset", "");
}
