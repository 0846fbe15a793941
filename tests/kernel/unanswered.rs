//! Connects whose SYN is answered badly, or not at all.

use std::net::SocketAddr;
use std::process;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use serde_json::Value;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::local;
use crate::calls::nonblocking_for;
use crate::calls::set_option;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::connecting::assert_caller;
use crate::namespace::ip;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::scene::Told;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;
use crate::wire::ACK;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;
use crate::wire::Segment;

/// The one record there is, from HERE to the peer, by this thread.
fn assert_told<'a>(
    told: &'a Told,
    outcome: &str,
    errno: impl Into<Option<Errno>>,
    port: u16,
) -> &'a Value {
    let connect = told.failed(outcome, errno);
    assert_local(connect, (HERE, port).into());
    assert_remote(connect, Peer::address());
    assert_caller(connect);
    connect
}

/// A blocking connect whose SYN is answered so.
fn answered(answer: impl FnOnce(&Peer, &Segment) + Send, outcome: &str, errno: Errno) {
    let Some((scene, peer)) = Scene::wired() else { return };
    let (result, port) = thread::scope(|scope| {
        let port = scope.spawn(|| {
            let syn = peer.receive();
            assert_eq!(syn.flags & (SYN | ACK), SYN);
            answer(&peer, &syn);
            syn.from.port()
        });
        let result = connect(tcp_for(Peer::address()), Peer::address());
        (result, port.join().unwrap())
    });
    assert_eq!(result, Err(errno));
    let told = scene.end();
    assert_told(&told, outcome, errno, port);
}

#[test]
fn a_syn_that_is_reset() {
    answered(|peer, syn| peer.send(&syn.answer(RST | ACK)), "refused", Errno::ECONNREFUSED);
}

#[test]
fn a_simultaneous_open_that_is_reset() {
    answered(
        |peer, syn| {
            peer.send(&Segment::syn(syn.to, syn.from));
            let syn_ack = peer.receive();
            assert_eq!(syn_ack.flags, SYN | ACK);
            peer.send(&syn_ack.answer(RST | ACK));
        },
        "reset",
        Errno::ECONNRESET,
    );
}

/// A router says that there is no way.
fn unreachable(code: u8, outcome: &str, errno: Errno) {
    answered(|peer, syn| peer.send_unreachable(syn, code), outcome, errno);
}

#[test]
fn an_unreachable_network() {
    unreachable(0, "unreachable", Errno::ENETUNREACH);
}

#[test]
fn an_unreachable_host() {
    unreachable(1, "unreachable", Errno::EHOSTUNREACH);
}

#[test]
fn an_unreachable_protocol() {
    unreachable(2, "failed", Errno::ENOPROTOOPT);
}

#[test]
fn an_unreachable_port() {
    unreachable(3, "refused", Errno::ECONNREFUSED);
}

#[test]
fn prohibited_by_a_router() {
    unreachable(13, "unreachable", Errno::EHOSTUNREACH);
}

#[test]
fn an_unreachable_host_without_blocking() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = nonblocking_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = peer.receive();
    peer.send_unreachable(&syn, 1);
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::EHOSTUNREACH));
    drop(socket);
    let told = scene.end();
    assert_told(&told, "unreachable", Errno::EHOSTUNREACH, syn.from.port());
}

#[test]
fn nobody_answers() {
    let Some((scene, peer)) = Scene::wired() else { return };
    sysctl("net.ipv4.tcp_syn_retries", "1");
    let socket = tcp_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::ETIMEDOUT));
    let port = peer.receive().from.port();
    drop(socket);
    let told = scene.end();
    let connect = assert_told(&told, "timed_out", Errno::ETIMEDOUT, port);
    assert!(connect["latency_us"].as_u64().unwrap() > 1_000_000, "{connect}");
}

#[test]
fn nobody_answers_a_user_timeout() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = tcp_for(Peer::address());
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 500);
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::ETIMEDOUT));
    let port = peer.receive().from.port();
    drop(socket);
    let told = scene.end();
    assert_told(&told, "timed_out", Errno::ETIMEDOUT, port);
}

#[test]
fn nobody_answers_the_simultaneous_open() {
    let Some((scene, peer)) = Scene::wired() else { return };
    sysctl("net.ipv4.tcp_synack_retries", "1");
    sysctl("net.ipv4.tcp_syn_retries", "1");
    let socket = nonblocking_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = peer.receive();
    peer.send(&Segment::syn(syn.to, syn.from));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::ETIMEDOUT));
    drop(socket);
    let told = scene.end();
    assert_told(&told, "timed_out", Errno::ETIMEDOUT, syn.from.port());
}

/// Nobody answers ARP, or its like over IPv6, on this wire.
fn no_neighbour(here: &str, remote: SocketAddr) {
    let Some(scene) = Scene::prepared(|| {
        ip(&["link", "add", "wire0", "type", "veth", "peer", "name", "wire1"]);
        for wire in ["wire0", "wire1"] {
            ip(&["link", "set", wire, "up"]);
            for family in ["ipv4", "ipv6"] {
                sysctl(&format!("net.{family}.neigh.{wire}.retrans_time_ms"), "100");
            }
        }
        ip(&["addr", "add", here, "dev", "wire0", "nodad"]);
    }) else {
        return;
    };
    let socket = nonblocking_for(remote);
    assert_eq!(connect(&socket, remote), Err(Errno::EINPROGRESS));
    let client = local(&socket);
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::EHOSTUNREACH));
    drop(socket);
    assert_eq!(connect(tcp_for(remote), remote), Err(Errno::EHOSTUNREACH));
    let told = scene.end();
    told.assert_counts(2, 0, 0);
    for connect in told.events() {
        assert_failed(connect, "unreachable", Errno::EHOSTUNREACH);
        assert_remote(connect, remote);
        assert_caller(connect);
    }
    assert_local(told.events()[0], client);
}

#[test]
fn no_neighbour_answers_arp() {
    no_neighbour("192.0.2.1/24", "192.0.2.9:80".parse().unwrap());
}

#[test]
fn no_neighbour_answers_over_ipv6() {
    no_neighbour("2001:db8::1/64", "[2001:db8::9]:80".parse().unwrap());
}

/// A socket that listens, and is closed before anybody comes.
fn closed_port(address: SocketAddr) -> SocketAddr {
    let socket = tcp_for(address);
    socket.bind(&address.into()).unwrap();
    local(&socket)
}

/// Connects without blocking to where nobody listens, and looks at what became of it.
fn refused_without_blocking(address: SocketAddr) {
    let Some(scene) = Scene::set() else { return };
    let server = closed_port(address);
    let socket = nonblocking_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::ECONNREFUSED));
    assert_eq!(take_error(&socket), Ok(()), "it is told once");
    drop::<Socket>(socket);
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_remote(connect, server);
    assert!(connect["local"]["port"].is_u64(), "{connect}");
    assert_caller(connect);
}

#[test]
fn refused_without_blocking_over_ipv4() {
    refused_without_blocking(v4());
}

#[test]
fn refused_without_blocking_over_ipv6() {
    refused_without_blocking(v6());
}

#[test]
fn refused_over_ipv4_with_an_ipv6_socket() {
    refused_without_blocking("[::ffff:127.0.0.1]:0".parse().unwrap());
}

#[test]
fn answered_after_a_second_syn() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = nonblocking_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = peer.receive();
    let again = peer.receive();
    assert_eq!(again.seq, syn.seq);
    peer.send(&again.answer(SYN | ACK));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Ok(()));
    // Reset, so that the end is there at once.
    peer.send(&peer.receive().answer(RST | ACK));
    thread::sleep(Duration::from_millis(10));
    drop(socket);
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(1, 0, 1);
    let (connect, _) = told.connected((HERE, syn.from.port()).into(), Peer::address());
    assert!(connect["latency_us"].as_u64().unwrap() > 900_000, "{connect}");
    assert_caller(connect);
}

/// The connection is over before the caller wakes up, who may then hear only of its end.
#[test]
fn established_and_reset_at_once() {
    const TIMES: usize = 10;
    let Some((scene, peer)) = Scene::wired() else { return };
    let clients: Vec<_> = (0..TIMES)
        .map(|_| {
            thread::scope(|scope| {
                let client = scope.spawn(|| {
                    let syn = peer.receive_with(SYN);
                    let mut reset = syn.answer(RST | ACK);
                    reset.seq += 1;
                    peer.send(&syn.answer(SYN | ACK));
                    peer.send(&reset);
                    syn.from
                });
                let result = connect(tcp_for(Peer::address()), Peer::address());
                assert!(matches!(result, Ok(()) | Err(Errno::ECONNRESET)), "{result:?}");
                client.join().unwrap()
            })
        })
        .collect();
    scene.wait_for_closes(TIMES);
    let told = scene.end();
    told.assert_counts(TIMES, 0, TIMES);
    for client in clients {
        let (connect, close) = told.connected(client.into(), Peer::address());
        assert_caller(connect);
        assert_eq!(close["closed_by"], "remote_reset", "{close}");
    }
}

/// A socket has sent its SYN when tracing begins.
fn begun_before_the_tracer() -> Option<(Scene, Peer, Socket, Segment)> {
    let mut begun = None;
    let scene = Scene::prepared(|| {
        let peer = Peer::new();
        let socket = nonblocking_for(Peer::address());
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
        begun = Some((peer, socket));
    })?;
    let (peer, socket) = begun.unwrap();
    let syn = peer.receive();
    Some((scene, peer, socket, syn))
}

#[test]
fn begun_before_the_tracer_and_established() {
    let Some((scene, peer, socket, syn)) = begun_before_the_tracer() else { return };
    peer.send(&syn.answer(SYN | ACK));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Ok(()));
    peer.send(&peer.receive_with(ACK).answer(RST | ACK));
    drop(socket);
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(1, 0, 1);
    let ends = [syn.from.into(), Peer::address()];
    let [connect, close] =
        ["connect", "close"].map(|kind| told.log.event(told.netns, kind, ends[0], ends[1]));
    assert_eq!(connect["outcome"], "established", "{connect}");
    assert!(connect.get("latency_us").is_none(), "nobody saw when it began: {connect}");
    for record in [connect, close] {
        assert_eq!(record["process"]["pid"], process::id(), "{record}");
        assert_eq!(record["attributed_to"], "holder", "{record}");
        assert_eq!(record["conn"], connect["conn"], "{record}");
    }
}

#[test]
fn begun_before_the_tracer_and_refused() {
    let Some((scene, peer, socket, syn)) = begun_before_the_tracer() else { return };
    peer.send(&syn.answer(RST | ACK));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::ECONNREFUSED));
    drop(socket);
    let told = scene.end();
    told.assert_counts(1, 0, 0);
    let connect = told.events()[0];
    assert_eq!(connect["outcome"], "refused", "{connect}");
    assert_eq!(connect["errno"], "ECONNREFUSED", "{connect}");
    assert_eq!(connect["process"]["pid"], process::id(), "who holds it: {connect}");
    assert!(connect.get("latency_us").is_none(), "nobody saw when it began: {connect}");
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
}
