//! Accepts in SYN_RECV: with fast open a connection whose SYN brought data can be accepted, read and answered before the
//! handshake is over. It is over when the client's ACK arrives, which these tests hold back.
//!
//! The acceptor is a forked child, so that it is not the listener's owner.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nix::libc;
use nix::sys::socket::SockFlag;
use serde_json::Value;

use crate::calls::send_fast;
use crate::calls::set_option;
use crate::calls::tcp_for;
use crate::connecting::assert_caller;
use crate::namespace::Dropping;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::told_once;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::processes::forked;
use crate::scene::Scene;
use crate::sockets::State;
use crate::sockets::accept4;
use crate::sockets::tcp_info;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::Segment;
use crate::wire::THERE;

/// Fast open for clients and servers, of every socket, without cookies.
pub fn fast_open() {
    sysctl("net.ipv4.tcp_fastopen", "1543");
}

/// Connects with three bytes in the SYN. The ACK that would end the handshake is dropped, until what it returns goes.
fn begin(server: SocketAddr) -> (TcpStream, Dropping) {
    begin_with(server, b"abc")
}

pub fn begin_with(server: SocketAddr, data: &[u8]) -> (TcpStream, Dropping) {
    let port = server.port();
    let dropping = Dropping::incoming(&format!("tcp dport {port} tcp flags & syn == 0"));
    let socket = tcp_for(server);
    assert_eq!(send_fast(&socket, data, server), Ok(data.len()));
    (TcpStream::from(socket), dropping)
}

/// Accepts, and reads what the SYN brought.
fn take(listener: &TcpListener) -> TcpStream {
    let mut accepted = TcpStream::from(accept4(listener, SockFlag::empty()).unwrap());
    assert_eq!(tcp_info(&accepted).tcpi_state, State::SynRecv as u8);
    accepted.read_exact(&mut [0; 3]).unwrap();
    accepted
}

/// One connection, which `serve` takes in a child before the handshake is over; `then` has the client, and lets its
/// packets pass when it likes. Returns the accept, the client's close, and the server's. What is told on request comes
/// along, and changes nothing of that.
fn early(
    serve: impl FnOnce(&TcpListener),
    then: impl FnOnce(TcpStream, Dropping),
) -> Option<(Value, Value, Value)> {
    let scene = Scene::with(&["-e", "all"], fast_open)?;
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let child = forked(|| serve(&listener));
    let pid = child.pid();
    let (stream, dropping) = begin(server);
    let client = stream.local_addr().unwrap();
    then(stream, dropping);
    child.wait();
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (client_close, close) = told_once(&told.log, told.netns, (client, server));
    let accept = told.events_of("accept")[0];
    for record in [accept, &close] {
        assert_eq!(record["process"]["pid"], pid, "{record}");
        assert_eq!(record["attributed_to"], "accept", "{record}");
    }
    Some((accept.clone(), client_close, close))
}

#[test]
fn answered_when_the_handshake_is_over() {
    let told = early(
        |listener| {
            let mut accepted = take(listener);
            wait_for_state(&accepted, State::Established);
            accepted.write_all(b"hello").unwrap();
        },
        |mut stream, dropping| {
            thread::sleep(Duration::from_millis(100));
            drop(dropping);
            stream.read_exact(&mut [0; 5]).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        },
    );
    let Some((accept, client, server)) = told else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
    assert!(accept["wait_us"].as_u64().is_none_or(|wait| wait < 100_000), "{accept}");
}

#[test]
fn answered_before_the_handshake_is_over() {
    let told = early(
        |listener| {
            let mut accepted = take(listener);
            accepted.write_all(b"hello").unwrap();
            assert_eq!(tcp_info(&accepted).tcpi_state, State::SynRecv as u8);
            assert_eq!(accepted.read(&mut [0]).unwrap(), 0);
        },
        |mut stream, dropping| {
            stream.read_exact(&mut [0; 5]).unwrap();
            drop(dropping);
        },
    );
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn closed_before_the_handshake_is_over() {
    let told = early(
        |listener| drop(take(listener)),
        |mut stream, dropping| {
            thread::sleep(Duration::from_millis(100));
            drop(dropping);
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        },
    );
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 3, 0);
    assert_bytes(&server, 0, 3);
}

#[test]
fn half_closed_before_the_handshake_is_over() {
    let told = early(
        |listener| {
            let mut accepted = take(listener);
            accepted.write_all(b"hello").unwrap();
            accepted.shutdown(Shutdown::Write).unwrap();
            let mut received = Vec::new();
            accepted.read_to_end(&mut received).unwrap();
            assert_eq!(received, b"def");
        },
        |mut stream, dropping| {
            thread::sleep(Duration::from_millis(100));
            drop(dropping);
            let mut received = Vec::new();
            stream.read_to_end(&mut received).unwrap();
            assert_eq!(received, b"hello");
            stream.write_all(b"def").unwrap();
        },
    );
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 6, 5);
    assert_bytes(&server, 5, 6);
}

#[test]
fn closed_with_unread_data_before_the_handshake_is_over() {
    let told = early(
        |listener| {
            let accepted = TcpStream::from(accept4(listener, SockFlag::empty()).unwrap());
            assert_eq!(tcp_info(&accepted).tcpi_state, State::SynRecv as u8);
        },
        |stream, dropping| {
            wait_for_state(&stream, State::Close);
            drop(dropping);
        },
    );
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 0);
    assert_bytes(&server, 0, 3);
}

#[test]
fn reset_before_the_handshake_is_over() {
    let told = early(
        |listener| {
            let mut accepted = take(listener);
            let err = accepted.read(&mut [0]).unwrap_err();
            assert_eq!(err.raw_os_error(), Some(libc::ECONNRESET));
        },
        |stream, dropping| {
            thread::sleep(Duration::from_millis(100));
            drop(dropping);
            linger_zero(&stream);
        },
    );
    let Some((_, client, server)) = told else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 0);
    assert_bytes(&server, 0, 3);
    // For its process it began with the accept.
    let duration = server["duration_us"].as_u64().unwrap();
    assert!((20_000..600_000).contains(&duration), "{server}");
}

/// The answer to the SYN is sent again by what has been accepted already.
#[test]
fn answer_that_is_sent_again_before_the_handshake_is_over() {
    let told = early(
        |listener| {
            let mut accepted = take(listener);
            wait_for_state(&accepted, State::Established);
            thread::sleep(Duration::from_millis(200));
            accepted.write_all(b"hello").unwrap();
        },
        |mut stream, dropping| {
            thread::sleep(Duration::from_millis(1400));
            drop(dropping);
            // Not only the next answer, which comes after 3 s, has an acknowledgement.
            stream.write_all(b"def").unwrap();
            stream.read_exact(&mut [0; 5]).unwrap();
            stream.read(&mut [0]).unwrap_err();
        },
    );
    let Some((_, client, server)) = told else { return };
    assert!(server["retransmits"].as_u64().unwrap() >= 1, "{server}");
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 6, 5);
    assert_bytes(&server, 5, 6);
    let duration = server["duration_us"].as_u64().unwrap();
    assert!((200_000..900_000).contains(&duration), "since the handshake was over: {server}");
}

/// The client never says more than its SYN. (It cannot say FIN in it: the kernel drops SYN with FIN.)
#[test]
fn handshake_that_is_never_over() {
    let mut wire = None;
    let scene = Scene::prepared(|| {
        fast_open();
        sysctl("net.ipv4.tcp_synack_retries", "1");
        wire = Some(Peer::new());
    });
    let (Some(scene), Some(peer)) = (scene, wire) else { return };
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let server = listener.local_addr().unwrap();
    let SocketAddr::V4(to) = server else { unreachable!("bound to IPv4") };
    let client = SocketAddrV4::new(THERE, 50_000);
    peer.send(&Segment { data: b"abc".to_vec(), ..Segment::syn(client, to) });
    assert_eq!(peer.receive().ack, 1000 + 1 + 3);
    let mut accepted = take(&listener);
    let err = accepted.read(&mut [0]).unwrap_err();
    assert_eq!(err.raw_os_error(), Some(libc::ETIMEDOUT));
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(0, 1, 1);
    let accept = told.log.event(told.netns, "accept", server, client.into());
    let close = told.log.event(told.netns, "close", server, client.into());
    assert_eq!(accept["conn"], close["conn"], "{close}");
    assert_caller(accept);
    assert_caller(close);
    assert_ended(close, "timeout", "ETIMEDOUT");
    assert_bytes(close, 0, 3);
}

/// The listener has gone before the handshake is over, and nobody has accepted: there was no connection.
#[test]
fn listener_closed_before_the_handshake_is_over() {
    let Some(scene) = Scene::prepared(fast_open) else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let (stream, dropping) = begin(listener.local_addr().unwrap());
    drop(listener);
    wait_until(|| tcp_info(&stream).tcpi_state == State::Close as u8, "the reset");
    drop((stream, dropping));
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(1, 0, 1);
    assert_ended(told.events_of("close")[0], "remote_reset", "ECONNRESET");
}

/// The handshake is over only when data comes: there is nothing to accept before.
#[test]
fn deferred_until_there_is_data() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    set_option(&listener, libc::IPPROTO_TCP, libc::TCP_DEFER_ACCEPT, 5);
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    thread::sleep(Duration::from_millis(500));
    stream.write_all(b"hello").unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    accepted.read_exact(&mut [0; 5]).unwrap();
    drop((stream, accepted));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (client, server) = told_once(&told.log, told.netns, (client, server));
    assert_bytes(&client, 5, 0);
    assert_bytes(&server, 0, 5);
    assert!(client["duration_us"].as_u64().unwrap() >= 500_000, "{client}");
    assert!(server["duration_us"].as_u64().unwrap() < 400_000, "{server}");
    assert!(told.events_of("accept")[0]["wait_us"].as_u64().unwrap() < 400_000);
}
