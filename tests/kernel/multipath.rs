//! MPTCP: the application's connection is told, once; what it is made of only on request.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::thread;

use nix::errno::Errno;
use nix::libc;
use serde_json::Value;
use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::calls::Interruptible;
use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::is_multipath;
use crate::calls::local;
use crate::calls::send_fast;
use crate::calls::sent_data_in_syn;
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
use crate::tracer::is_end;
use crate::wire::Peer;

const REQUEST: usize = 100_000;
const ANSWER: usize = 300_000;

pub fn mptcp_for(address: SocketAddr) -> Socket {
    Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::MPTCP)).unwrap()
}

pub fn listen(socket: Socket, address: SocketAddr) -> Socket {
    socket.bind(&address.into()).unwrap();
    socket.listen(16).unwrap();
    socket
}

/// Sends a request and gets an answer. Returns the client. Both ends are MPTCP or neither is.
fn exchange(mut socket: Socket, listener: &Socket, multipath: bool) -> SocketAddr {
    let server = local(listener);
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    let (mut accepted, peer) = listener.accept().unwrap();
    assert_eq!(peer.as_socket(), Some(client));
    assert_eq!((is_multipath(&socket), is_multipath(&accepted)), (multipath, multipath));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut request = Vec::new();
            accepted.read_to_end(&mut request).unwrap();
            assert_eq!(request.len(), REQUEST);
            accepted.write_all(&vec![b'a'; ANSWER]).unwrap();
            drop(accepted);
        });
        socket.write_all(&vec![b'r'; REQUEST]).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap();
        assert_eq!(answer.len(), ANSWER);
    });
    client
}

/// What was exchanged is told, with these protocols at the two ends.
fn assert_exchanged(told: &Told, client: SocketAddr, server: SocketAddr, protocols: (&str, &str)) {
    let (connect, close) = told.connected(client, server);
    let accept = told.log.event(told.netns, "accept", server, client);
    let server_close = told.log.event(told.netns, "close", server, client);
    assert_eq!(accept["conn"], server_close["conn"], "{accept}");
    for record in [connect, close] {
        assert_eq!(record["protocol"], protocols.0, "{record}");
        assert_caller(record);
    }
    for record in [accept, server_close] {
        assert_eq!(record["protocol"], protocols.1, "{record}");
        assert_eq!(record["attributed_to"], "accept", "{record}");
        assert_caller(record);
    }
    for (close, sent, received, closed_by) in
        [(close, REQUEST, ANSWER, "local"), (server_close, ANSWER, REQUEST, "remote")]
    {
        assert_eq!(close["bytes_sent"], sent, "{close}");
        assert_eq!(close["bytes_received"], received, "{close}");
        assert_eq!(close["closed_by"], closed_by, "{close}");
    }
}

/// Two connections between such sockets.
fn exchanged(
    socket: fn(SocketAddr) -> Socket,
    listener: fn(SocketAddr) -> Socket,
    address: SocketAddr,
    protocols: (&str, &str),
) {
    let Some(scene) = Scene::set() else { return };
    let listener = listen(listener(address), address);
    let multipath = protocols == ("mptcp", "mptcp");
    let clients = [(); 2].map(|()| exchange(socket(address), &listener, multipath));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    for client in clients {
        assert_exchanged(&told, client, local(&listener), protocols);
    }
}

#[test]
fn between_mptcp_and_mptcp() {
    exchanged(mptcp_for, mptcp_for, v4(), ("mptcp", "mptcp"));
}

#[test]
fn between_mptcp_and_mptcp_over_ipv6() {
    exchanged(mptcp_for, mptcp_for, v6(), ("mptcp", "mptcp"));
}

#[test]
fn from_an_mptcp_client_to_a_tcp_listener() {
    exchanged(mptcp_for, tcp_for, v4(), ("mptcp", "tcp"));
}

#[test]
fn from_a_tcp_client_to_an_mptcp_listener() {
    exchanged(tcp_for, mptcp_for, v4(), ("tcp", "tcp"));
}

/// A second path: subflows from 127.0.0.2 too.
fn two_paths() {
    ip(&["addr", "add", "127.0.0.2/8", "dev", "lo"]);
    ip(&["mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2"]);
    ip(&["mptcp", "endpoint", "add", "127.0.0.2", "dev", "lo", "subflow"]);
}

/// Connects, and waits until there is a second subflow.
fn with_two_subflows(listener: &Socket) -> SocketAddr {
    let server = local(listener);
    let mut socket = mptcp_for(server);
    assert_eq!(connect(&socket, server), Ok(()));
    let client = local(&socket);
    let (mut accepted, _) = listener.accept().unwrap();
    // The connection is fully established, and may have more subflows, when data has been acknowledged.
    socket.write_all(b"data").unwrap();
    assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 4);
    while crate::calls::extra_subflows(&socket) < 1 {
        thread::yield_now();
    }
    client
}

#[test]
fn subflows_are_silent() {
    let Some(scene) = Scene::prepared(two_paths) else { return };
    let listener = listen(mptcp_for(v4()), v4());
    let client = with_two_subflows(&listener);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (connect, close) = told.connected(client, local(&listener));
    assert_eq!(connect["protocol"], "mptcp", "{connect}");
    assert_eq!(close["bytes_sent"], 4, "{close}");
}

#[test]
fn subflows_on_request() {
    let Some(scene) = Scene::with(&["--mptcp-subflows"], two_paths) else { return };
    let listener = listen(mptcp_for(v4()), v4());
    let client = with_two_subflows(&listener);
    scene.wait_for_closes(4);
    let told = scene.end();
    let (subflows, own): (Vec<&Value>, Vec<&Value>) =
        told.events().into_iter().partition(|record| record["mptcp_subflow"] == true);
    assert_eq!(own.len(), 4, "as without them: {own:#?}");
    assert!(own.iter().all(|record| record["protocol"] == "mptcp"), "{own:#?}");
    assert!(subflows.iter().all(|record| record["protocol"] == "tcp"), "{subflows:#?}");
    // The server's end has the same endpoints, and tries (in vain) to connect to the client's port too.
    let connects: Vec<&&Value> = subflows
        .iter()
        .filter(|record| record["event"] == "connect" && record["outcome"] == "established")
        .collect();
    assert_eq!(connects.len(), 2, "{subflows:#?}");
    assert_local(connects[0], client);
    assert_eq!(connects[1]["local"]["ip"], "127.0.0.2", "{connects:#?}");
}

#[test]
fn refused_with_mptcp() {
    let Some(scene) = Scene::set() else { return };
    let server = SocketAddr::new(v4().ip(), 50_000);
    assert_eq!(connect(mptcp_for(server), server), Err(Errno::ECONNREFUSED));
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_eq!(connect["protocol"], "mptcp");
    assert_remote(connect, server);
    assert_caller(connect);
}

#[test]
fn refused_with_mptcp_without_blocking() {
    let Some(scene) = Scene::set() else { return };
    let server = SocketAddr::new(v4().ip(), 50_000);
    let socket = mptcp_for(server);
    socket.set_nonblocking(true).unwrap();
    assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Err(Errno::ECONNREFUSED));
    drop(socket);
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_eq!(connect["protocol"], "mptcp");
    assert_remote(connect, server);
    assert_caller(connect);
}

#[test]
fn no_route_with_mptcp() {
    let Some(scene) = Scene::set() else { return };
    let remote = "198.51.100.7:80".parse().unwrap();
    assert_eq!(connect(mptcp_for(remote), remote), Err(Errno::ENETUNREACH));
    let told = scene.end();
    let connect = told.failed("unreachable", Errno::ENETUNREACH);
    assert_eq!(connect["protocol"], "mptcp");
    assert_remote(connect, remote);
    assert_caller(connect);
}

/// Its peer is known only when the call returns.
#[test]
fn no_route_with_mptcp_is_judged_by_its_peer() {
    let remote = "198.51.100.7:80".parse().unwrap();
    for (filter, admitted) in [
        (["--remote-port", "80"], true),
        (["--remote-port", "!80"], false),
        (["--remote-net", "198.51.100.0/24"], true),
        (["--remote-net", "!198.51.100.0/24"], false),
    ] {
        let Some(scene) = Scene::with(&filter, || ()) else { return };
        assert_eq!(connect(mptcp_for(remote), remote), Err(Errno::ENETUNREACH));
        let told = scene.end();
        told.assert_counts(usize::from(admitted), 0, 0);
    }
}

/// The connection and its first subflow fail in one call, and neither keeps an error: each is told all the same.
#[test]
fn no_free_port_with_mptcp() {
    let prepare = || sysctl("net.ipv4.ip_local_port_range", "40000 40001");
    let Some(scene) = Scene::with(&["--mptcp-subflows"], prepare) else { return };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 50_000)).unwrap();
    let server = listener.local_addr().unwrap();
    let streams = [tcp_for(server), tcp_for(server)];
    for stream in &streams {
        assert_eq!(connect(stream, server), Ok(()));
    }
    assert_eq!(connect(mptcp_for(server), server), Err(Errno::EADDRNOTAVAIL));
    drop((streams, listener));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(4, 0, 4);
    let connects = told.events_of("connect");
    for connect in &connects[2..] {
        assert_failed(connect, "failed", Errno::EADDRNOTAVAIL);
        assert_remote(connect, server);
    }
    let subflows = connects[2..].iter().filter(|connect| connect["mptcp_subflow"] == true);
    assert_eq!(subflows.count(), 1);
}

#[test]
fn given_up_with_mptcp() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = mptcp_for(Peer::address());
    socket.set_nonblocking(true).unwrap();
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = peer.receive();
    drop(socket);
    let told = scene.end();
    let connect = told.failed("aborted", None);
    assert_eq!(connect["protocol"], "mptcp");
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
    assert_caller(connect);
}

#[test]
fn timed_out_with_mptcp() {
    let Some((scene, peer)) = Scene::wired() else { return };
    sysctl("net.ipv4.tcp_syn_retries", "1");
    let socket = mptcp_for(Peer::address());
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::ETIMEDOUT));
    let syn = peer.receive();
    drop(socket);
    let told = scene.end();
    let connect = told.failed("timed_out", Errno::ETIMEDOUT);
    assert_eq!(connect["protocol"], "mptcp");
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
    assert_caller(connect);
}

#[test]
fn interrupted_with_mptcp_and_closed() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = mptcp_for(Peer::address());
    let here = Interruptible::here(false);
    let syn = thread::scope(|scope| {
        let syn = scope.spawn(|| {
            let syn = peer.receive();
            here.interrupt();
            syn
        });
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINTR));
        syn.join().unwrap()
    });
    drop(socket);
    let told = scene.end();
    let connect = told.failed("aborted", None);
    assert_eq!(connect["protocol"], "mptcp");
    assert_local(connect, syn.from.into());
    assert_caller(connect);
}

#[test]
fn an_ipv6_address_for_an_mptcp_socket_of_ipv4() {
    let Some(scene) = Scene::set() else { return };
    let remote = "[2001:db8::7]:80".parse().unwrap();
    assert_eq!(connect(mptcp_for(v4()), remote), Err(Errno::EAFNOSUPPORT));
    let told = scene.end();
    let connect = told.failed("failed", Errno::EAFNOSUPPORT);
    assert_eq!(connect["protocol"], "mptcp");
    assert!(is_end(&connect["remote"], remote), "{connect}");
    assert_caller(connect);
}

#[test]
fn disconnected_and_connected_again_with_mptcp() {
    let Some(scene) = Scene::set() else { return };
    let listener = listen(mptcp_for(v4()), v4());
    let server = local(&listener);
    let mut socket = mptcp_for(server);
    let clients = [1, 2].map(|bytes| {
        assert_eq!(disconnect(&socket), Ok(()));
        assert_eq!(connect(&socket, server), Ok(()));
        let client = local(&socket);
        socket.write_all(&vec![b'x'; bytes]).unwrap();
        let (mut accepted, _) = listener.accept().unwrap();
        assert_eq!(accepted.read(&mut [0; 8]).unwrap(), bytes);
        (client, accepted)
    });
    drop(socket);
    let clients = clients.map(|(client, _)| client);
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    for (i, client) in clients.into_iter().enumerate() {
        let (connect, close) = told.connected(client, server);
        assert_eq!(connect["protocol"], "mptcp", "{connect}");
        assert_eq!(close["bytes_sent"], i + 1, "counted anew: {close}");
    }
    let conns = told.events_of("connect");
    assert_ne!(conns[0]["conn"], conns[1]["conn"], "two connections");
}

/// The first fast open gets a cookie, the second one sends its data with the SYN.
fn fast_opens(count: usize) {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.tcp_fastopen", "3")) else { return };
    let listener = mptcp_for(v4());
    set_option(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 16);
    let listener = listen(listener, v4());
    let server = local(&listener);
    let exchange = |with_cookie| {
        let mut socket = mptcp_for(server);
        assert_eq!(send_fast(&socket, b"data", server), Ok(4));
        let (mut accepted, client) = listener.accept().unwrap();
        assert_eq!(accepted.read(&mut [0; 8]).unwrap(), 4);
        accepted.write_all(b"answer").unwrap();
        assert_eq!(socket.read(&mut [0; 8]).unwrap(), 6);
        assert_eq!(sent_data_in_syn(&socket), with_cookie, "data in the SYN");
        client.as_socket().unwrap()
    };
    let clients: Vec<SocketAddr> = (0..count).map(|i| exchange(i > 0)).collect();
    scene.wait_for_closes(2 * count);
    let told = scene.end();
    told.assert_counts(count, count, 2 * count);
    for client in clients {
        let (connect, close) = told.connected(client, server);
        assert_eq!(connect["protocol"], "mptcp", "{connect}");
        assert_caller(connect);
        assert_eq!(close["bytes_sent"], 4, "{close}");
        assert_eq!(close["bytes_received"], 6, "{close}");
    }
}

#[test]
fn fast_open_with_mptcp() {
    fast_opens(1);
}

/// Linux 6.18's own counter (MPTCP_INFO, `mptcpi_bytes_sent`) leaves out what went with the SYN.
#[test]
fn fast_open_with_mptcp_and_a_cookie() {
    fast_opens(2);
}
