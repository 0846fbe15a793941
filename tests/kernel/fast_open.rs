//! Fast open: the SYN goes with the first data, in sendto() or in the first write() after a connect() that
//! did nothing yet; without a cookie from the server the data follows the handshake.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;

use nix::errno::Errno;
use nix::libc;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::local;
use crate::calls::nonblocking_for;
use crate::calls::send_fast;
use crate::calls::sent_data_in_syn;
use crate::calls::set_option;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::connecting::assert_caller;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_remote;

const REQUEST: &[u8] = b"a request";
const REST: &[u8] = b", the rest of it";
const ANSWER: &[u8] = b"an answer";

/// A server that takes data with a SYN.
fn serve(address: SocketAddr) -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind(address).unwrap();
    set_option(&listener, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, 16);
    let server = listener.local_addr().unwrap();
    (listener, server)
}

fn scene() -> Option<Scene> {
    Scene::prepared(|| sysctl("net.ipv4.tcp_fastopen", "3"))
}

/// sendto() with MSG_FASTOPEN, which connects.
fn by_sendto(socket: &Socket, server: SocketAddr) {
    assert_eq!(send_fast(socket, REQUEST, server), Ok(REQUEST.len()));
}

/// connect() of a socket with TCP_FASTOPEN_CONNECT, which leaves the connecting to write() if it can.
fn by_write(socket: &Socket, server: SocketAddr) {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
    assert_eq!(connect(socket, server), Ok(()));
    assert_eq!({ socket }.write(REQUEST).unwrap(), REQUEST.len());
}

/// Sends a request in two parts and gets an answer. Returns the client.
fn exchange(
    listener: &TcpListener,
    open: fn(&Socket, SocketAddr),
    with_cookie: bool,
) -> SocketAddr {
    let server = listener.local_addr().unwrap();
    let mut socket = tcp_for(server);
    open(&socket, server);
    let (mut accepted, client) = listener.accept().unwrap();
    socket.write_all(REST).unwrap();
    assert_eq!(local(&socket), client);
    assert_eq!(sent_data_in_syn(&socket), with_cookie, "data in the SYN");
    socket.shutdown(std::net::Shutdown::Write).unwrap();
    let mut received = Vec::new();
    accepted.read_to_end(&mut received).unwrap();
    assert_eq!(received, [REQUEST, REST].concat());
    accepted.write_all(ANSWER).unwrap();
    drop(accepted);
    received.clear();
    socket.read_to_end(&mut received).unwrap();
    assert_eq!(received, ANSWER);
    client
}

/// The first connection gets a cookie, the second one uses it. Both are told to the byte.
fn opens(open: fn(&Socket, SocketAddr), address: SocketAddr) {
    let Some(scene) = scene() else { return };
    let (listener, server) = serve(address);
    let clients = [false, true].map(|with_cookie| exchange(&listener, open, with_cookie));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    let request = REQUEST.len() + REST.len();
    for client in clients {
        let (connect, close) = told.connected(client, server);
        assert_caller(connect);
        assert_eq!(close["bytes_sent"], request, "{close}");
        assert_eq!(close["bytes_received"], ANSWER.len(), "{close}");
        assert_eq!(close["closed_by"], "local", "{close}");
        let accept = told.log.event(told.netns, "accept", server, client);
        assert_caller(accept);
        assert_eq!(accept["attributed_to"], "accept", "{accept}");
        assert!(accept["wait_us"].is_u64(), "{accept}");
        let close = told.log.event(told.netns, "close", server, client);
        assert_eq!(close["bytes_sent"], ANSWER.len(), "{close}");
        assert_eq!(close["bytes_received"], request, "{close}");
        assert_eq!(close["closed_by"], "remote", "{close}");
        assert_eq!(close["conn"], accept["conn"], "{close}");
        assert_eq!(close["process"], accept["process"], "{close}");
    }
}

#[test]
fn with_msg_fastopen() {
    opens(by_sendto, v4());
}

#[test]
fn with_msg_fastopen_over_ipv6() {
    opens(by_sendto, v6());
}

#[test]
fn with_tcp_fastopen_connect() {
    opens(by_write, v4());
}

#[test]
fn with_tcp_fastopen_connect_over_ipv6() {
    opens(by_write, v6());
}

/// A connection that gets a cookie, after which the server is gone. Returns where it was.
fn cookie_and_no_server(scene: &Scene) -> SocketAddr {
    let (listener, server) = serve(v4());
    exchange(&listener, by_sendto, false);
    drop(listener);
    scene.wait_for_closes(2);
    server
}

#[test]
fn refused_with_msg_fastopen() {
    let Some(scene) = scene() else { return };
    let socket = tcp_for(v4());
    let server = SocketAddr::new(v4().ip(), 50_000);
    assert_eq!(send_fast(&socket, REQUEST, server), Err(Errno::ECONNREFUSED));
    drop(socket);
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_remote(connect, server);
    assert_caller(connect);
}

/// After the exchange that got the cookie there is one connect more, which was refused.
fn assert_refused(scene: Scene, server: SocketAddr) {
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    let refused = told.events_of("connect")[1];
    assert_failed(refused, "refused", Errno::ECONNREFUSED);
    assert_remote(refused, server);
    assert_caller(refused);
}

#[test]
fn refused_with_msg_fastopen_and_a_cookie() {
    let Some(scene) = scene() else { return };
    let server = cookie_and_no_server(&scene);
    let socket = tcp_for(server);
    assert_eq!(send_fast(&socket, REQUEST, server), Err(Errno::ECONNREFUSED));
    drop(socket);
    assert_refused(scene, server);
}

#[test]
fn refused_with_tcp_fastopen_connect_and_a_cookie() {
    let Some(scene) = scene() else { return };
    let server = cookie_and_no_server(&scene);
    let mut socket = tcp_for(server);
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
    // Nothing was sent yet.
    assert_eq!(connect(&socket, server), Ok(()));
    let err = socket.write(REQUEST).unwrap_err();
    assert_eq!(err.raw_os_error(), Some(Errno::ECONNREFUSED as i32));
    wait_writable(&socket);
    drop(socket);
    assert_refused(scene, server);
}

#[test]
fn closed_before_the_write_that_connects() {
    let Some(scene) = scene() else { return };
    let server = cookie_and_no_server(&scene);
    let socket = tcp_for(server);
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
    assert_eq!(connect(&socket, server), Ok(()));
    drop(socket);
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    let aborted = told.events_of("connect")[1];
    assert_failed(aborted, "aborted", None);
    assert_remote(aborted, server);
    assert_caller(aborted);
}

#[test]
fn disconnected_and_closed_before_the_write_that_connects() {
    let Some(scene) = scene() else { return };
    let server = cookie_and_no_server(&scene);
    let listener = TcpListener::bind(v4()).unwrap();
    let other = listener.local_addr().unwrap();
    let socket = tcp_for(server);
    assert_eq!(connect(&socket, other), Ok(()));
    // The kernel leaves ECONNRESET behind at the socket, which is none of the next attempt's.
    assert_eq!(disconnect(&socket), Ok(()));
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
    assert_eq!(connect(&socket, server), Ok(()));
    drop((socket, listener.accept().unwrap()));
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(3, 2, 4);
    let aborted = told.events_of("connect")[2];
    assert_failed(aborted, "aborted", None);
    assert_remote(aborted, server);
    assert_caller(aborted);
}

#[test]
fn without_a_port() {
    let Some(scene) = scene() else { return };
    sysctl("net.ipv4.ip_local_port_range", "40000 40000");
    let (listener, server) = serve(SocketAddr::new(v4().ip(), 50_000));
    let [first, second] = [tcp_for(server), tcp_for(server)];
    by_sendto(&first, server);
    let client = local(&first);
    assert_eq!(send_fast(&second, REQUEST, server), Err(Errno::EADDRNOTAVAIL));
    drop((first, second, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    told.connected(client, server);
    let failed = told.events_of("connect")[1];
    assert_failed(failed, "failed", Errno::EADDRNOTAVAIL);
    assert_remote(failed, server);
    assert!(failed["local"].get("port").is_none(), "{failed}");
    assert_caller(failed);
}

/// Without a cookie the call returns before the answer; with one the data has gone.
#[test]
fn without_blocking() {
    let Some(scene) = scene() else { return };
    let (listener, server) = serve(v4());
    let clients = [Err(Errno::EINPROGRESS), Ok(REQUEST.len())].map(|sent| {
        let socket = nonblocking_for(server);
        assert_eq!(send_fast(&socket, REQUEST, server), sent);
        wait_writable(&socket);
        assert_eq!(take_error(&socket), Ok(()));
        assert_eq!(sent_data_in_syn(&socket), sent.is_ok());
        let client = local(&socket);
        drop(socket);
        let mut received = Vec::new();
        listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
        assert_eq!(received.len(), sent.unwrap_or(0));
        client
    });
    scene.wait_for_closes(4);
    let told = scene.end();
    told.assert_counts(2, 2, 4);
    for (client, sent) in clients.into_iter().zip([0, REQUEST.len()]) {
        let (connect, close) = told.connected(client, server);
        assert_caller(connect);
        assert_eq!(close["bytes_sent"], sent, "{close}");
    }
}

#[test]
fn refused_without_blocking() {
    let Some(scene) = scene() else { return };
    let server = cookie_and_no_server(&scene);
    let socket = nonblocking_for(server);
    // Over loopback the RST is there before the call returns, or not.
    let sent = send_fast(&socket, REQUEST, server);
    assert!(matches!(sent, Ok(_) | Err(Errno::ECONNREFUSED)), "{sent:?}");
    wait_writable(&socket);
    drop(socket);
    assert_refused(scene, server);
}
