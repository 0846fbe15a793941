//! Deaths: processes that are killed with their sockets open.

use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::processes::forked;
use crate::sockets::State;
use crate::sockets::tcp_info;
use crate::tracer::Tracer;

/// A client that is killed once it has sent three bytes; before, it is sent `unread`, which it does not read.
fn killed_client(unread: &[u8]) -> Option<(Value, Value)> {
    traced(|| {
        let listener = TcpListener::bind(v4()).unwrap();
        let address = listener.local_addr().unwrap();
        let child = forked(|| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(b"abc").unwrap();
            thread::sleep(Duration::from_secs(30));
        });
        let (mut server, client) = listener.accept().unwrap();
        server.read_exact(&mut [0; 3]).unwrap();
        server.write_all(unread).unwrap();
        wait_until(|| tcp_info(&server).tcpi_unacked == 0, "the acknowledgement");
        let pid = child.pid();
        child.kill();
        wait_until(|| tcp_info(&server).tcpi_state != 1, "the end");
        assert_ne!(pid, 0);
        (client, address)
    })
}

#[test]
fn client_killed() {
    let Some((client, server)) = killed_client(b"") else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 0);
    assert_bytes(&server, 0, 3);
    assert_eq!(client["process"]["ppid"], process::id(), "the child's: {client}");
    assert_eq!(server["process"]["pid"], process::id(), "{server}");
}

#[test]
fn client_killed_with_unread_data() {
    let Some((client, server)) = killed_client(b"unread") else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 6);
    assert_bytes(&server, 6, 3);
    assert_eq!(client["process"]["ppid"], process::id(), "the child's: {client}");
}

#[test]
fn server_killed() {
    let mut pid = 0;
    let closes = traced(|| {
        let listener = TcpListener::bind(v4()).unwrap();
        let address = listener.local_addr().unwrap();
        let child = forked(|| {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(b"hello").unwrap();
            thread::sleep(Duration::from_secs(30));
        });
        pid = child.pid();
        let mut client = TcpStream::connect(address).unwrap();
        client.read_exact(&mut [0; 5]).unwrap();
        child.kill();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        (client.local_addr().unwrap(), address)
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 0, 5);
    assert_bytes(&server, 5, 0);
    assert_eq!(server["process"]["pid"], pid, "{server}");
    assert_eq!(server["attributed_to"], "accept", "{server}");
}

/// Three connections in the queue of a listener whose process is killed: one that said nothing, one that sent data,
/// one whose peer has closed.
#[test]
fn listener_killed_with_connections_in_its_queue() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    let child = forked(|| {
        let listener = TcpListener::bind(v4()).unwrap();
        writer.write_all(&listener.local_addr().unwrap().port().to_ne_bytes()).unwrap();
        thread::sleep(Duration::from_secs(30));
    });
    let pid = child.pid();
    let mut port = [0; 2];
    reader.read_exact(&mut port).unwrap();
    let mut address = v4();
    address.set_port(u16::from_ne_bytes(port));

    let silent = TcpStream::connect(address).unwrap();
    let mut talking = TcpStream::connect(address).unwrap();
    talking.write_all(b"abc").unwrap();
    wait_until(|| tcp_info(&talking).tcpi_unacked == 0, "the acknowledgement");
    let leaving = TcpStream::connect(address).unwrap();
    leaving.shutdown(std::net::Shutdown::Write).unwrap();
    wait_for_state(&leaving, State::FinWait2);
    let clients = [&silent, &talking, &leaving].map(|stream| stream.local_addr().unwrap());
    child.kill();
    for stream in [&silent, &talking, &leaving] {
        wait_for_state(stream, State::Close);
    }
    drop((silent, talking, leaving));
    tracer.wait_for_events(namespace.netns, "close", 6);
    let log = tracer.stop();

    assert!(log.events_of(namespace.netns, "accept").is_empty());
    assert_eq!(log.events(namespace.netns).len(), 3 + 6, "{:#?}", log.events(namespace.netns));
    for (client, sent) in clients.into_iter().zip([0, 3, 0]) {
        let close = log.event(namespace.netns, "close", address, client);
        assert_ended(close, "local_reset", "");
        assert_bytes(close, 0, sent);
        assert_eq!(close["attributed_to"], "listener", "{close}");
        assert_eq!(close["process"]["pid"], pid, "{close}");
        let close = log.event(namespace.netns, "close", client, address);
        assert_ended(close, "remote_reset", "ECONNRESET");
        assert_bytes(close, sent, 0);
        assert_eq!(close["process"]["pid"], process::id(), "{close}");
    }
}
