//! A connection between two ends of the calling thread, and the whole story that the log must tell of it.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;
use socket2::SockRef;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::scene::Scene;
use crate::sockets;
use crate::sockets::State;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// The addresses of the client's and the server's end.
pub type Ends = (SocketAddr, SocketAddr);

/// Both ends of a connection.
pub struct Pair {
    pub client: TcpStream,
    pub server: TcpStream,
}

impl Pair {
    /// Over the loopback device.
    pub fn new() -> Self {
        Self::at(v4())
    }

    /// To a listener that is bound to this address.
    pub fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        Self { client, server }
    }

    pub fn ends(&self) -> Ends {
        (self.client.local_addr().unwrap(), self.server.local_addr().unwrap())
    }
}

/// Runs `work` under a tracer, and returns the two closes of the connection whose ends it returns: the
/// client's and the server's. It is the only connection, so these must be all the events that there are:
/// one connect, one accept, two closes, each end's about the same socket and process. What is told on request
/// comes along, and changes nothing of that.
pub fn traced(work: impl FnOnce() -> Ends) -> Option<(Value, Value)> {
    if !can_trace() {
        return None;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "all"]);
    let ends = work();
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    Some(only_story(&log, namespace.netns, ends))
}

/// The closes of the only connection in a log: the client's and the server's.
pub fn only_story(log: &Log, netns: u64, ends: Ends) -> (Value, Value) {
    let story = told_once(log, netns, ends);
    assert_eq!(log.default_events(netns).len(), 4, "{:#?}", log.events(netns));
    story
}

/// The closes of a connection whose every event is there once.
pub fn told_once(log: &Log, netns: u64, (client, server): Ends) -> (Value, Value) {
    let connect = log.event(netns, "connect", client, server);
    let accept = log.event(netns, "accept", server, client);
    let closes =
        (log.event(netns, "close", client, server), log.event(netns, "close", server, client));
    for (begin, close, opened_by) in [(connect, closes.0, "local"), (accept, closes.1, "remote")] {
        assert!(begin["conn"].is_string(), "{begin}");
        assert_eq!(close["conn"], begin["conn"], "one socket");
        assert_eq!(close["process"], begin["process"], "one process");
        assert!(close["process"]["pid"].is_u64(), "{close}");
        assert_eq!(close["opened_by"], opened_by, "{close}");
        assert_eq!(close["protocol"], begin["protocol"], "{close}");
    }
    assert_ne!(connect["conn"], accept["conn"], "two sockets");
    (closes.0.clone(), closes.1.clone())
}

/// Has `work` accept one connection from a listener, whose client it gets, and end it. Returns the accept and the
/// close, both by accept(2).
pub fn traced_accept(work: impl FnOnce(&TcpListener, TcpStream)) -> Option<(Value, Value)> {
    traced_accept_with(|| (), work)
}

/// The same in a namespace that `prepare` has given its settings.
pub fn traced_accept_with(
    prepare: impl FnOnce(),
    work: impl FnOnce(&TcpListener, TcpStream),
) -> Option<(Value, Value)> {
    let scene = Scene::prepared(prepare)?;
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    work(&listener, stream);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    let accept = told.events_of("accept")[0].clone();
    assert_eq!(accept["attributed_to"], "accept", "{accept}");
    Some((accept, close))
}

/// What a close must say about how it ended; `errno` is empty where there must be none.
pub fn assert_ended(close: &Value, closed_by: &str, errno: &str) {
    assert_eq!(close["closed_by"], closed_by, "{close}");
    assert_eq!(close["errno"].as_str().unwrap_or(""), errno, "{close}");
}

/// What a close must say about how much went each way.
pub fn assert_bytes(close: &Value, sent: usize, received: usize) {
    assert_eq!(
        (close["bytes_sent"].as_u64(), close["bytes_received"].as_u64()),
        (Some(sent as u64), Some(received as u64)),
        "{close}"
    );
}

/// Makes the next close send RST instead of FIN.
pub fn linger_zero(stream: &TcpStream) {
    SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until the kernel has brought a socket into a state.
pub fn wait_for_state(stream: &TcpStream, state: State) {
    wait_until(|| sockets::tcp_info(stream).tcpi_state == state as u8, &format!("{state:?}"));
}

/// Waits until `there` says so.
pub fn wait_until(there: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !there() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(1));
    }
}
