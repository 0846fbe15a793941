//! Connects from an address or a port of the caller's choice, to itself, and to who connects as well.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;

use nix::errno::Errno;
use nix::libc;

use crate::calls::connect;
use crate::calls::local;
use crate::calls::nonblocking_for;
use crate::calls::set_option;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::connecting::assert_caller;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::wire::ACK;
use crate::wire::FIN;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::SYN;
use crate::wire::Segment;

/// Connects from `address`; if its port is 0 the kernel chooses one, when it is bound or later.
fn from(address: &str, server: SocketAddr, port_later: bool) {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(server).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    if port_later {
        set_option(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
    }
    let address: SocketAddr = address.parse().unwrap();
    socket.bind(&address.into()).unwrap();
    assert_eq!(local(&socket).port() == 0, port_later);
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    assert_eq!(client.ip(), address.ip());
    assert!(address.port() == 0 || client == address);
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    assert_caller(told.connected(client, server).0);
    told.log.event(told.netns, "accept", server, client);
}

#[test]
fn from_a_bound_port() {
    from("127.0.0.1:40000", v4(), false);
}

/// There is a port, but no address yet that could go with it.
#[test]
fn no_route_from_a_bound_port_of_any_address() {
    let Some(scene) = Scene::set() else { return };
    let server: SocketAddr = "198.51.100.7:80".parse().unwrap();
    let socket = tcp_for(server);
    socket.bind(&"0.0.0.0:40000".parse::<SocketAddr>().unwrap().into()).unwrap();
    assert_eq!(connect(&socket, server), Err(Errno::ENETUNREACH));
    let told = scene.end();
    let connect = told.failed("unreachable", Errno::ENETUNREACH);
    assert!(connect.get("local").is_none(), "{connect}");
    assert_caller(connect);
}

#[test]
fn from_a_bound_port_over_ipv6() {
    from("[::1]:40000", v6(), false);
}

#[test]
fn from_a_bound_address() {
    from("127.0.0.5:0", v4(), false);
}

#[test]
fn from_a_bound_address_and_a_port_that_is_chosen_later() {
    from("127.0.0.5:0", v4(), true);
}

#[test]
fn to_two_servers_from_one_port() {
    let Some(scene) = Scene::set() else { return };
    let listeners = [TcpListener::bind(v4()).unwrap(), TcpListener::bind(v4()).unwrap()];
    let servers = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let client = "127.0.0.5:40000".parse::<SocketAddr>().unwrap();
    let sockets = servers.map(|server| {
        let socket = tcp_for(server);
        socket.set_reuse_address(true).unwrap();
        socket.bind(&client.into()).unwrap();
        socket
    });
    for (socket, server) in sockets.iter().zip(servers) {
        assert_eq!(connect(socket, server), Ok(()));
        assert_eq!(local(socket), client);
    }
    let accepted = listeners.each_ref().map(|listener| listener.accept().unwrap());
    drop((sockets, accepted));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    for server in servers {
        assert_caller(told.connected(client, server).0);
    }
}

#[test]
fn to_itself() {
    let Some(scene) = Scene::set() else { return };
    let address = "127.0.0.1:40000".parse::<SocketAddr>().unwrap();
    let socket = tcp_for(address);
    socket.bind(&address.into()).unwrap();
    assert_eq!(connect(&socket, address), Ok(()));
    (&socket).write_all(b"to myself").unwrap();
    let mut received = [0; 16];
    assert_eq!((&socket).read(&mut received).unwrap(), 9);
    drop(socket);
    scene.wait_for_closes(1);
    let told = scene.end();
    // One socket: one connection, which nobody accepted.
    told.assert_counts(1, 0, 1);
    let (connect, close) = told.connected(address, address);
    assert_caller(connect);
    assert_eq!(close["bytes_sent"], 9, "{close}");
    assert_eq!(close["bytes_received"], 9, "{close}");
}

#[test]
fn to_who_connects_as_well() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = nonblocking_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = peer.receive();
    peer.send(&Segment::syn(syn.to, syn.from));
    let syn_ack = peer.receive();
    assert_eq!(syn_ack.flags, SYN | ACK, "the kernel is in SYN_RECV");
    peer.send(&syn_ack.answer(ACK));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Ok(()));
    // The peer closes first, and all is in order.
    peer.send(&syn_ack.answer(FIN | ACK));
    assert_eq!((&socket).read(&mut [0; 8]).unwrap(), 0);
    drop(socket);
    let fin = peer.receive_with(FIN);
    peer.send(&fin.answer(ACK));
    scene.wait_for_closes(1);
    let told = scene.end();
    told.assert_counts(1, 0, 1);
    let (connect, close) = told.connected((HERE, syn.from.port()).into(), Peer::address());
    assert_caller(connect);
    assert_eq!(close["closed_by"], "remote", "{close}");
    assert_eq!((&close["bytes_sent"], &close["bytes_received"]), (&0.into(), &0.into()), "{close}");
}
