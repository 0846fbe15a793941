//! Connects that fail before anything is sent: no state of the socket changes, or none that tells why.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::UdpSocket;
use std::os::unix::net::UnixStream;

use nix::errno::Errno;
use nix::libc;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::calls::bytes_of;
use crate::calls::connect;
use crate::calls::connect_bytes;
use crate::calls::connect_nowhere;
use crate::calls::local;
use crate::calls::set_option;
use crate::calls::tcp_for;
use crate::connecting::assert_caller;
use crate::namespace::ip;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;

/// An address (RFC 5737) to which there is no route but the one that a test makes.
fn far_v4() -> SocketAddr {
    "198.51.100.7:80".parse().unwrap()
}

fn far_v6() -> SocketAddr {
    "[2001:db8::7]:80".parse().unwrap()
}

/// A route of this type makes a connect to this address fail so; the socket never got an address.
fn fails_by_route(route: Option<&str>, remote: SocketAddr, outcome: &str, errno: Errno) {
    let Some(scene) = Scene::prepared(|| {
        if let Some(route) = route {
            ip(&["route", "add", route, &remote.ip().to_canonical().to_string()]);
        }
    }) else {
        return;
    };
    assert_eq!(connect(tcp_for(remote), remote), Err(errno));
    let told = scene.end();
    let connect = told.failed(outcome, errno);
    assert_remote(connect, remote);
    assert!(connect.get("local").is_none(), "{connect}");
    assert_eq!(connect["protocol"], "tcp");
    assert_caller(connect);
}

#[test]
fn no_route() {
    fails_by_route(None, far_v4(), "unreachable", Errno::ENETUNREACH);
}

#[test]
fn no_route_over_ipv6() {
    fails_by_route(None, far_v6(), "unreachable", Errno::ENETUNREACH);
}

#[test]
fn no_route_from_an_ipv6_socket_over_ipv4() {
    let mapped = "[::ffff:198.51.100.7]:80".parse().unwrap();
    fails_by_route(None, mapped, "unreachable", Errno::ENETUNREACH);
}

#[test]
fn an_unreachable_route() {
    fails_by_route(Some("unreachable"), far_v4(), "unreachable", Errno::EHOSTUNREACH);
}

#[test]
fn an_unreachable_route_over_ipv6() {
    fails_by_route(Some("unreachable"), far_v6(), "unreachable", Errno::EHOSTUNREACH);
}

#[test]
fn a_prohibit_route() {
    fails_by_route(Some("prohibit"), far_v4(), "failed", Errno::EACCES);
}

#[test]
fn a_prohibit_route_over_ipv6() {
    fails_by_route(Some("prohibit"), far_v6(), "failed", Errno::EACCES);
}

#[test]
fn a_blackhole_route() {
    fails_by_route(Some("blackhole"), far_v4(), "failed", Errno::EINVAL);
}

#[test]
fn a_blackhole_route_over_ipv6() {
    fails_by_route(Some("blackhole"), far_v6(), "failed", Errno::EINVAL);
}

#[test]
fn a_link_local_address_without_its_link() {
    fails_by_route(None, "[fe80::7]:80".parse().unwrap(), "failed", Errno::EINVAL);
}

#[test]
fn a_broadcast_address() {
    let Some(scene) = Scene::prepared(|| {
        ip(&["link", "add", "wire0", "type", "veth", "peer", "name", "wire1"]);
        ip(&["link", "set", "wire0", "up"]);
        ip(&["addr", "add", "192.0.2.1/24", "dev", "wire0"]);
    }) else {
        return;
    };
    let remote = "192.0.2.255:80".parse().unwrap();
    assert_eq!(connect(tcp_for(remote), remote), Err(Errno::ENETUNREACH));
    let told = scene.end();
    assert_remote(told.failed("unreachable", Errno::ENETUNREACH), remote);
}

/// A socket that was bound before keeps its address and port in the record.
fn fails_when_bound(address: SocketAddr, remote: SocketAddr) {
    let Some(scene) = Scene::set() else { return };
    let socket = tcp_for(remote);
    socket.bind(&address.into()).unwrap();
    let client = local(&socket);
    assert_eq!(connect(&socket, remote), Err(Errno::ENETUNREACH));
    drop(socket);
    let told = scene.end();
    let connect = told.failed("unreachable", Errno::ENETUNREACH);
    assert_local(connect, client);
    assert_remote(connect, remote);
    assert_caller(connect);
}

#[test]
fn no_route_from_a_bound_address() {
    fails_when_bound(v4(), far_v4());
}

#[test]
fn no_route_from_a_bound_address_over_ipv6() {
    fails_when_bound(v6(), far_v6());
}

#[test]
fn every_attempt_is_told_and_the_one_that_works() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    for _ in 0..3 {
        assert_eq!(connect(&socket, far_v4()), Err(Errno::ENETUNREACH));
    }
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(4, 1, 2);
    let connects = told.events_of("connect");
    for connect in &connects[..3] {
        assert_failed(connect, "unreachable", Errno::ENETUNREACH);
        assert_remote(connect, far_v4());
        assert_caller(connect);
    }
    assert_caller(told.connected(client, server).0);
}

/// A server at a port that is not taken from those for clients.
fn server_at(address: SocketAddr) -> TcpListener {
    TcpListener::bind(SocketAddr::new(address.ip(), 50_000)).unwrap()
}

fn ports_used_up(address: SocketAddr) {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.ip_local_port_range", "40000 40001"))
    else {
        return;
    };
    let listener = server_at(address);
    let server = listener.local_addr().unwrap();
    let streams = [tcp_for(server), tcp_for(server)];
    for stream in &streams {
        assert_eq!(connect(stream, server), Ok(()));
    }
    assert_eq!(connect(tcp_for(server), server), Err(Errno::EADDRNOTAVAIL));
    let clients = streams.each_ref().map(local);
    drop((streams, listener));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(3, 0, 4);
    let connects = told.events_of("connect");
    assert_failed(connects[2], "failed", Errno::EADDRNOTAVAIL);
    assert_remote(connects[2], server);
    assert!(connects[2]["local"].get("port").is_none(), "{}", connects[2]);
    assert_caller(connects[2]);
    for client in clients {
        told.connected(client, server);
    }
}

#[test]
fn ports_that_are_used_up() {
    ports_used_up(v4());
}

#[test]
fn ports_that_are_used_up_over_ipv6() {
    ports_used_up(v6());
}

#[test]
fn ports_that_are_used_up_for_a_bound_address() {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.ip_local_port_range", "40000 40000"))
    else {
        return;
    };
    let listener = server_at(v4());
    let server = listener.local_addr().unwrap();
    let bound = || {
        let socket = tcp_for(server);
        set_option(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        socket.bind(&"127.0.0.5:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket
    };
    let first = bound();
    assert_eq!(connect(&first, server), Ok(()));
    let client = local(&first);
    assert_eq!(connect(bound(), server), Err(Errno::EADDRNOTAVAIL));
    drop((first, listener));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 0, 2);
    told.connected(client, server);
    let failed = told.events_of("connect")[1];
    assert_failed(failed, "failed", Errno::EADDRNOTAVAIL);
    assert_eq!(failed["local"]["ip"], "127.0.0.5", "{failed}");
    assert!(failed["local"].get("port").is_none(), "{failed}");
    assert_remote(failed, server);
}

#[test]
fn a_bound_port_that_is_connected_there_already() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let bound = || {
        let socket = tcp_for(server);
        socket.set_reuse_address(true).unwrap();
        socket.bind(&"127.0.0.5:40000".parse::<SocketAddr>().unwrap().into()).unwrap();
        socket
    };
    let (first, second) = (bound(), bound());
    assert_eq!(connect(&first, server), Ok(()));
    let client = local(&first);
    assert_eq!(connect(&second, server), Err(Errno::EADDRNOTAVAIL));
    drop((first, second, listener));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 0, 2);
    let failed = told.events_of("connect")[1];
    assert_failed(failed, "failed", Errno::EADDRNOTAVAIL);
    assert_local(failed, client);
    assert_remote(failed, server);
    assert_caller(failed);
}

/// A sockaddr that a socket cannot take.
fn bad_sockaddr(
    socket: impl FnOnce() -> Socket,
    sockaddr: &[u8],
    remote: Option<SocketAddr>,
    errno: Errno,
) {
    let Some(scene) = Scene::set() else { return };
    assert_eq!(connect_bytes(socket(), sockaddr), Err(errno));
    let told = scene.end();
    let connect = told.failed("failed", errno);
    match remote {
        Some(remote) => assert!(crate::tracer::is_end(&connect["remote"], remote), "{connect}"),
        None => assert!(connect.get("remote").is_none(), "{connect}"),
    }
    assert!(connect.get("local").is_none(), "{connect}");
    assert_caller(connect);
}

#[test]
fn an_ipv6_address_for_an_ipv4_socket() {
    bad_sockaddr(|| tcp_for(v4()), &bytes_of(far_v6()), Some(far_v6()), Errno::EAFNOSUPPORT);
}

#[test]
fn an_ipv4_address_for_an_ipv6_socket() {
    // Filled up to the length of an IPv6 address, without which it is EINVAL.
    let mut sockaddr = bytes_of(far_v4());
    sockaddr.resize(28, 0);
    bad_sockaddr(|| tcp_for(v6()), &sockaddr, Some(far_v4()), Errno::EAFNOSUPPORT);
}

#[test]
fn an_address_of_no_known_family() {
    let sockaddr = [&99u16.to_ne_bytes()[..], &[7; 14]].concat();
    bad_sockaddr(|| tcp_for(v4()), &sockaddr, None, Errno::EAFNOSUPPORT);
}

#[test]
fn an_address_of_no_known_family_over_ipv6() {
    let sockaddr = [&99u16.to_ne_bytes()[..], &[7; 26]].concat();
    bad_sockaddr(|| tcp_for(v6()), &sockaddr, None, Errno::EAFNOSUPPORT);
}

#[test]
fn an_address_that_is_cut_short() {
    bad_sockaddr(|| tcp_for(v4()), &bytes_of(far_v4())[..8], None, Errno::EINVAL);
}

#[test]
fn an_address_that_is_cut_short_over_ipv6() {
    bad_sockaddr(|| tcp_for(v6()), &bytes_of(far_v6())[..20], None, Errno::EINVAL);
}

#[test]
fn an_address_of_one_byte() {
    bad_sockaddr(|| tcp_for(v4()), &[2], None, Errno::EINVAL);
}

#[test]
fn an_address_that_is_too_long() {
    bad_sockaddr(|| tcp_for(v4()), &[2; 200], None, Errno::EINVAL);
}

/// What fails, but is no attempt of TCP, leaves nothing.
fn leaves_nothing(work: impl FnOnce()) {
    let Some(scene) = Scene::set() else { return };
    work();
    scene.end().assert_counts(0, 0, 0);
}

#[test]
fn addresses_that_cannot_be_read_are_no_attempt() {
    leaves_nothing(|| assert_eq!(connect_nowhere(tcp_for(v4())), Err(Errno::EFAULT)));
}

#[test]
fn a_socket_that_was_never_connected_leaves_nothing() {
    leaves_nothing(|| {
        let socket = tcp_for(v4());
        socket.bind(&v4().into()).unwrap();
        drop((socket, tcp_for(v6())));
    });
}

#[test]
fn other_protocols_are_not_told() {
    leaves_nothing(|| {
        let udp = UdpSocket::bind(v4()).unwrap();
        assert_eq!(connect(&udp, far_v4()), Err(Errno::ENETUNREACH));
        let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::TCP)).unwrap();
        assert_eq!(connect(&raw, far_v4()), Err(Errno::ENETUNREACH));
        UnixStream::connect("/nonexistent").unwrap_err();
        UnixStream::connect("").unwrap_err();
    });
}

#[test]
fn what_is_no_socket_is_not_told() {
    leaves_nothing(|| {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(connect(file, far_v4()), Err(Errno::ENOTSOCK));
    });
}

#[test]
fn connecting_a_listener_is_no_attempt() {
    leaves_nothing(|| {
        let listener = TcpListener::bind(v4()).unwrap();
        assert_eq!(connect(&listener, far_v4()), Err(Errno::EISCONN));
    });
}

#[test]
fn disconnecting_what_is_not_connected_is_no_attempt() {
    leaves_nothing(|| assert_eq!(crate::calls::disconnect(tcp_for(v4())), Ok(())));
}
