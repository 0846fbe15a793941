//! connect() called more than once on one socket: which calls are attempts, and which only ask.

use std::collections::HashSet;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;

use nix::errno::Errno;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::local;
use crate::calls::nonblocking_for;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::connecting::assert_caller;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::scene::Scene;
use crate::scene::Told;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;

/// A port at which nobody listens, until `listen` is called.
fn reserved() -> (Socket, SocketAddr) {
    let socket = tcp_for(v4());
    socket.set_reuse_address(true).unwrap();
    socket.bind(&v4().into()).unwrap();
    let address = local(&socket);
    (socket, address)
}

/// So many connects were refused by this server, and there was nothing else.
fn assert_refused(told: &Told, count: usize, server: SocketAddr) {
    told.assert_counts(count, 0, 0);
    for connect in told.events() {
        assert_failed(connect, "refused", Errno::ECONNREFUSED);
        assert_remote(connect, server);
        assert_caller(connect);
    }
}

#[test]
fn refused_each_time() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, server) = reserved();
    let socket = tcp_for(server);
    for _ in 0..3 {
        assert_eq!(connect(&socket, server), Err(Errno::ECONNREFUSED));
    }
    drop(socket);
    assert_refused(&scene.end(), 3, server);
}

#[test]
fn the_second_call_only_collects() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, server) = reserved();
    let socket = nonblocking_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    wait_writable(&socket);
    assert_eq!(connect(&socket, server), Err(Errno::ECONNREFUSED));
    drop(socket);
    assert_refused(&scene.end(), 1, server);
}

#[test]
fn the_second_call_finds_the_error_collected() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, server) = reserved();
    let socket = nonblocking_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::ECONNREFUSED));
    // The kernel no longer knows how it ended, but that it ended.
    assert_eq!(connect(&socket, server), Err(Errno::ECONNABORTED));
    drop(socket);
    assert_refused(&scene.end(), 1, server);
}

#[test]
fn the_third_call_is_a_new_attempt() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, server) = reserved();
    let socket = nonblocking_for(server);
    for _ in 0..2 {
        assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
        wait_writable(&socket);
        assert_eq!(connect(&socket, server), Err(Errno::ECONNREFUSED));
    }
    drop(socket);
    assert_refused(&scene.end(), 2, server);
}

#[test]
fn refused_first_and_established_then() {
    let Some(scene) = Scene::set() else { return };
    let (reserved, server) = reserved();
    let socket = tcp_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::ECONNREFUSED));
    reserved.listen(1).unwrap();
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    drop((socket, reserved.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    let refused = told.events_of("connect")[0];
    assert_failed(refused, "refused", Errno::ECONNREFUSED);
    assert_remote(refused, server);
    let (connect, _) = told.connected(client, server);
    assert_ne!(connect["conn"], refused["conn"], "two attempts");
    assert_caller(connect);
}

#[test]
fn asked_while_it_is_in_progress() {
    let Some(scene) = Scene::set() else { return };
    // A queue for one connection, which nobody accepts: the kernel drops every further SYN.
    let (listener, server) = reserved();
    listener.listen(0).unwrap();
    let waiting = tcp_for(server);
    assert_eq!(connect(&waiting, server), Ok(()));
    let socket = nonblocking_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    for _ in 0..3 {
        assert_eq!(connect(&socket, server), Err(Errno::EALREADY));
    }
    let ends = (local(&waiting), local(&socket));
    drop((socket, waiting, listener));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 0, 2);
    told.connected(ends.0, server);
    let aborted = told.log.event(told.netns, "connect", ends.1, server);
    assert_failed(aborted, "aborted", None);
    assert_caller(aborted);
}

#[test]
fn asked_when_it_is_connected() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = nonblocking_for(server);
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    wait_writable(&socket);
    // Once it says so, and then that there is nothing more to do, wherever one wants to go.
    assert_eq!(connect(&socket, server), Ok(()));
    assert_eq!(connect(&socket, server), Err(Errno::EISCONN));
    assert_eq!(connect(&socket, "198.51.100.7:80".parse().unwrap()), Err(Errno::EISCONN));
    let client = local(&socket);
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    assert_caller(told.connected(client, server).0);
}

#[test]
fn asked_when_the_peer_has_gone() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    let (accepted, _) = listener.accept().unwrap();
    socket2::SockRef::from(&accepted).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(accepted);
    scene.wait_for_closes(2);
    // The socket is closed, yet connected: only AF_UNSPEC frees it.
    assert_eq!(connect(&socket, server), Err(Errno::EISCONN));
    assert_eq!(disconnect(&socket), Ok(()));
    assert_eq!(connect(&socket, server), Ok(()));
    let second = local(&socket);
    drop((socket, listener.accept().unwrap()));
    let told = {
        scene.wait_for_closes(4);
        scene.end()
    };
    told.assert_counts(2, 2, 4);
    let first = told.connected(client, server).0;
    assert_ne!(first["conn"], told.connected(second, server).0["conn"]);
}

/// Connects one socket to one server after another. `end` ends each connection but the last.
fn several_connections_of_one_socket(end: impl Fn(&Socket)) {
    let Some(scene) = Scene::set() else { return };
    let listeners = [(); 3].map(|()| TcpListener::bind(v4()).unwrap());
    let servers = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    let socket = tcp_for(v4());
    let clients = [0, 1, 2].map(|i| {
        if i > 0 {
            end(&socket);
        }
        assert_eq!(connect(&socket, servers[i]), Ok(()));
        (&socket).write_all(&vec![b'x'; i + 1]).unwrap();
        local(&socket)
    });
    drop(socket);
    for listener in &listeners {
        // What came before the end is read, or closing would reset the last one too.
        let _ = listener.accept().unwrap().0.read_to_end(&mut Vec::new());
    }
    scene.wait_for_closes(6);
    let told = scene.end();
    told.assert_counts(3, 3, 6);
    let mut conns = HashSet::new();
    for (i, (client, server)) in clients.into_iter().zip(servers).enumerate() {
        let (connect, close) = told.connected(client, server);
        assert_caller(connect);
        assert!(conns.insert(connect["conn"].as_str().unwrap()), "{connect}");
        assert_eq!(close["bytes_sent"], i + 1, "counted anew: {close}");
        let closed_by = if i < 2 { "local_reset" } else { "local" };
        assert_eq!(close["closed_by"], closed_by, "{close}");
    }
}

#[test]
fn disconnected_and_connected_again() {
    several_connections_of_one_socket(|socket| assert_eq!(disconnect(socket), Ok(())));
}

#[test]
fn disconnected_and_refused() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, nobody) = reserved();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    assert_eq!(disconnect(&socket), Ok(()));
    assert_eq!(connect(&socket, nobody), Err(Errno::ECONNREFUSED));
    assert_eq!(connect(&socket, "198.51.100.7:80".parse().unwrap()), Err(Errno::ENETUNREACH));
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(3, 1, 2);
    told.connected(client, server);
    let connects = told.events_of("connect");
    assert_failed(connects[1], "refused", Errno::ECONNREFUSED);
    assert_remote(connects[1], nobody);
    assert_failed(connects[2], "unreachable", Errno::ENETUNREACH);
    assert_ne!(connects[0]["conn"], connects[1]["conn"]);
}

#[test]
fn refused_and_then_without_a_route() {
    let Some(scene) = Scene::set() else { return };
    let (_reserved, nobody) = reserved();
    let far = "198.51.100.7:80".parse().unwrap();
    let socket = tcp_for(nobody);
    assert_eq!(connect(&socket, nobody), Err(Errno::ECONNREFUSED));
    // getsockname() still tells the port, but it was given back with the address.
    assert!(local(&socket).ip().is_unspecified());
    assert_eq!(connect(&socket, far), Err(Errno::ENETUNREACH));
    drop(socket);
    let told = scene.end();
    told.assert_counts(2, 0, 0);
    let connects = told.events();
    assert_failed(connects[0], "refused", Errno::ECONNREFUSED);
    assert!(connects[0]["local"]["port"].is_u64(), "{}", connects[0]);
    assert_failed(connects[1], "unreachable", Errno::ENETUNREACH);
    assert_remote(connects[1], far);
    assert!(connects[1].get("local").is_none(), "{}", connects[1]);
}

#[test]
fn refused_and_then_without_a_port() {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.ip_local_port_range", "40000 40000"))
    else {
        return;
    };
    let [server, nobody] = [50_000, 50_001].map(|port| SocketAddr::new(v4().ip(), port));
    let listener = TcpListener::bind(server).unwrap();
    let (socket, other) = (tcp_for(server), tcp_for(server));
    assert_eq!(connect(&socket, nobody), Err(Errno::ECONNREFUSED));
    assert_eq!(connect(&other, server), Ok(()));
    // Neither has it a port now, though the kernel still remembers which it had.
    assert_eq!(connect(&socket, server), Err(Errno::EADDRNOTAVAIL));
    let client = local(&other);
    drop((socket, other, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(3, 1, 2);
    told.connected(client, server);
    let connects = told.events_of("connect");
    assert_failed(connects[0], "refused", Errno::ECONNREFUSED);
    assert_eq!(connects[0]["local"]["port"], 40_000, "{}", connects[0]);
    assert_failed(connects[2], "failed", Errno::EADDRNOTAVAIL);
    assert_remote(connects[2], server);
    assert!(connects[2]["local"].get("port").is_none(), "{}", connects[2]);
}

#[test]
fn disconnected_and_then_without_a_port() {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.ip_local_port_range", "40000 40000"))
    else {
        return;
    };
    let listener = TcpListener::bind(SocketAddr::new(v4().ip(), 50_000)).unwrap();
    let server = listener.local_addr().unwrap();
    let [socket, other] = [tcp_for(server), tcp_for(server)];
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    // The kernel leaves ECONNRESET behind at the socket, which is none of the next attempt's.
    assert_eq!(disconnect(&socket), Ok(()));
    drop(listener.accept().unwrap());
    assert_eq!(connect(&other, server), Ok(()));
    assert_eq!(connect(&socket, server), Err(Errno::EADDRNOTAVAIL));
    drop((socket, other, listener.accept().unwrap()));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(3, 2, 4);
    let connects = told.events_of("connect");
    for connect in &connects[..2] {
        assert_eq!(connect["outcome"], "established", "{connect}");
        assert_local(connect, client);
    }
    assert_failed(connects[2], "failed", Errno::EADDRNOTAVAIL);
    assert_remote(connects[2], server);
    assert!(connects[2]["local"].get("port").is_none(), "{}", connects[2]);
    assert_caller(connects[2]);
}

/// An IPv6 socket takes IPv4 too, one after the other. (But not IPv6 again after that: up to 6.18 at least
/// the kernel sends such SYNs nowhere.)
#[test]
fn disconnected_and_connected_over_the_other_family() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let servers = ["::1", "::ffff:127.0.0.1"].map(|ip| SocketAddr::new(ip.parse().unwrap(), port));
    let socket = tcp_for(servers[0]);
    let clients = servers.map(|server| {
        assert_eq!(disconnect(&socket), Ok(()));
        assert_eq!(connect(&socket, server), Ok(()));
        local(&socket)
    });
    drop(socket);
    for _ in servers {
        drop(listener.accept().unwrap());
    }
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    for (client, server) in clients.into_iter().zip(servers) {
        let (connect, close) = told.connected(client, server);
        assert_remote(connect, server);
        assert_remote(close, server);
        let mapped = server.ip().to_canonical().is_ipv4();
        assert_eq!(connect["v4_mapped"] == true, mapped, "{connect}");
        assert_eq!(close["v4_mapped"] == true, mapped, "{close}");
    }
}
