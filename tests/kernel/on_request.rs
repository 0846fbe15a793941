//! Events on request: listening, and segments that are sent again. resets_on_request.rs has the resets.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::calls::local;
use crate::can_trace;
use crate::connecting::assert_caller;
use crate::multipath::listen;
use crate::multipath::mptcp_for;
use crate::namespace::Dropping;
use crate::namespace::Namespace;
use crate::namespace::nft;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::pairs::linger_zero;
use crate::processes::forked;
use crate::tracer::Tracer;
use crate::tracer::is_end;

#[test]
fn listening_begins_and_ends() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    sysctl("net.core.somaxconn", "100");
    let tracer = Tracer::start(&["-e", "listen"]);
    let mut locals = Vec::new();
    for (bound, backlog, told) in [(v4(), 16, 16), (v6(), 0, 0), (v4(), 5000, 100)] {
        let socket = Socket::new(Domain::for_address(bound), Type::STREAM, None).unwrap();
        socket.bind(&bound.into()).unwrap();
        socket.listen(backlog).unwrap();
        locals.push((socket.local_addr().unwrap().as_socket().unwrap(), told));
    }
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 6, "{events:#?}");
    for (pair, (local, backlog)) in events.chunks(2).zip(locals) {
        for (event, action) in pair.iter().zip(["begin", "end"]) {
            assert_eq!(event["event"], "listen", "{event}");
            assert_eq!(event["action"], action, "{event}");
            assert_eq!(event["backlog"], backlog, "as the kernel limits it: {event}");
            assert!(is_end(&event["local"], local), "{event}");
            assert!(event.get("remote").is_none(), "{event}");
            assert_eq!(event["conn"], pair[0]["conn"], "{event}");
            assert_caller(event);
        }
    }
}

#[test]
fn listening_with_mptcp() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "listen"]);
    let listener = listen(mptcp_for(v4()), v4());
    let at = local(&listener);
    drop(listener);
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 2, "{events:#?}");
    for (event, action) in events.iter().zip(["begin", "end"]) {
        assert_eq!(event["event"], "listen", "{event}");
        assert_eq!(event["action"], action, "{event}");
        assert_eq!(event["protocol"], "mptcp", "{event}");
        assert_eq!(event["conn"], events[0]["conn"], "{event}");
        assert!(is_end(&event["local"], at), "{event}");
        assert_caller(event);
    }
}

#[test]
fn what_listened_and_then_connects_has_another_name() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let server = TcpListener::bind(v4()).unwrap();
    let tracer = Tracer::start(&["-e", "listen,connect"]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    for _ in 0..2 {
        socket.listen(1).unwrap();
        socket.shutdown(Shutdown::Read).unwrap();
    }
    socket.connect(&server.local_addr().unwrap().into()).unwrap();
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    let begun = events.iter().filter(|event| event["event"] != "open");
    let conns: Vec<&str> = begun.map(|event| event["conn"].as_str().unwrap()).collect();
    let [first, first_end, second, second_end, connect] = conns[..] else { panic!("{events:#?}") };
    assert_eq!((first, second), (first_end, second_end));
    assert!(first != second && second != connect && connect != first, "{conns:?}");
}

#[test]
fn a_listener_is_its_owners_whoever_closes_it() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "listen"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let (wait, go) = nix::unistd::pipe().unwrap();
    let child = forked(|| {
        let _ = nix::unistd::read(&wait, &mut [0]);
    });
    drop(listener);
    // The child's exit is what ends it.
    nix::unistd::write(&go, &[0]).unwrap();
    child.wait();
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 2, "{events:#?}");
    assert_eq!(events[1]["action"], "end");
    assert_caller(events[1]);
    assert_eq!(events[1]["attributed_to"], "listener");
}

/// The retransmissions of a namespace, from `local` to `remote`.
fn retransmits(log: &crate::tracer::Log, netns: u64, ends: (SocketAddr, SocketAddr)) -> Vec<Value> {
    let sent =
        |record: &&Value| is_end(&record["local"], ends.0) && is_end(&record["remote"], ends.1);
    log.events_of(netns, "retransmit").into_iter().filter(sent).cloned().collect()
}

/// What fails within this host was not sent.
#[test]
fn data_that_cannot_be_sent_again() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "retransmit"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    let data = format!("tcp dport {} tcp flags & psh == psh", server.port());
    let lost = Dropping::incoming(&data);
    stream.write_all(b"once").unwrap();
    nft(&format!(
        "table inet out {{ chain c {{ type filter hook output priority 0; {data} drop; }}; }}"
    ));
    let since = format!("{:.9}", Timestamp::now());
    thread::sleep(Duration::from_millis(900));
    // It is given up before it could be sent after all.
    linger_zero(&stream);
    drop((stream, lost));
    let log = tracer.stop();
    for record in log.events_of(namespace.netns, "retransmit") {
        assert!(record["time"].as_str().unwrap() < since.as_str(), "since {since}: {record}");
    }
}

#[test]
fn data_that_is_sent_again() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "close,retransmit"]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let (mut there, _) = listener.accept().unwrap();
    let dropping =
        Dropping::incoming(&format!("tcp dport {} tcp flags & psh == psh", server.port()));
    stream.write_all(b"once more").unwrap();
    thread::sleep(Duration::from_millis(700));
    drop(dropping);
    there.read_exact(&mut [0; 9]).unwrap();
    drop(there);
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let again = retransmits(&log, namespace.netns, (client, server));
    assert!(!again.is_empty(), "{:#?}", log.events(namespace.netns));
    let close = log.event(namespace.netns, "close", client, server);
    assert_eq!(close["retransmits"], again.len(), "{close}");
    for record in &again {
        assert_eq!(record["state"], "established", "{record}");
        assert_eq!(record["conn"], close["conn"], "{record}");
        assert_caller(record);
    }
    assert_eq!(close["bytes_sent"], 9, "{close}");
}

#[test]
fn handshakes_that_are_sent_again() {
    handshakes(|| TcpListener::bind(v4()).unwrap());
}

/// Its plain clients speak plain TCP: a server of Go's listens so.
#[test]
fn handshakes_with_a_listener_of_mptcp_that_are_sent_again() {
    handshakes(|| TcpListener::from(listen(mptcp_for(v4()), v4())));
}

fn handshakes(listen: impl FnOnce() -> TcpListener) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["-e", "retransmit,accept"]);
    let listener = listen();
    let server = listener.local_addr().unwrap();
    // The SYN is lost once.
    let dropping =
        Dropping::incoming(&format!("tcp dport {} tcp flags & (syn|ack) == syn", server.port()));
    let first = thread::spawn(move || TcpStream::connect(server).unwrap());
    thread::sleep(Duration::from_millis(500));
    drop(dropping);
    let first = first.join().unwrap();
    // The answer to the SYN is lost once.
    let dropping = Dropping::incoming(&format!(
        "tcp sport {} tcp flags & (syn|ack) == (syn|ack)",
        server.port()
    ));
    let second = thread::spawn(move || TcpStream::connect(server).unwrap());
    thread::sleep(Duration::from_millis(500));
    drop(dropping);
    let second = second.join().unwrap();
    let log = tracer.stop();
    let syns = retransmits(&log, namespace.netns, (first.local_addr().unwrap(), server));
    assert!(!syns.is_empty(), "{:#?}", log.events(namespace.netns));
    for syn in &syns {
        assert_eq!(syn["state"], "syn_sent", "{syn}");
        assert_eq!(syn["process"]["pid"], std::process::id(), "{syn}");
        assert!(syn.get("attributed_to").is_none(), "{syn}");
    }
    // Nobody's socket yet: the listener's owner's.
    let answers = retransmits(&log, namespace.netns, (server, second.local_addr().unwrap()));
    assert!(!answers.is_empty(), "{:#?}", log.events(namespace.netns));
    for answer in &answers {
        assert_eq!(answer["state"], "syn_recv", "{answer}");
        assert_eq!(answer["attributed_to"], "listener", "{answer}");
        assert!(answer.get("conn").is_none(), "{answer}");
        assert_eq!(answer["protocol"], "tcp", "{answer}");
        assert_caller(answer);
    }
}

#[test]
fn filters_judge_what_is_on_request_too() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let closed = TcpListener::bind(v4()).unwrap().local_addr().unwrap();
    let me = std::process::id().to_string();
    for (args, told) in [
        (["-p", me.as_str()], 2), // the listen, and the reset that it received
        (["--remote-net", "!127.0.0.0/8"], 1), // a listener has no remote end
        (["--local-net", "192.0.2.0/24"], 0),
        (["-p", "!1"], 3), // nobody is not process 1
    ] {
        let tracer = Tracer::start(&["-e", "listen,reset", args[0], args[1]]);
        let listener = TcpListener::bind(v4()).unwrap();
        TcpStream::connect(closed).unwrap_err();
        let log = tracer.stop();
        let events = log.events(namespace.netns);
        assert_eq!(events.len(), told, "{args:?}: {events:#?}");
        assert!(log.stop()["filtered"].as_u64().unwrap() >= 3 - told as u64, "{}", log.stop());
        drop(listener);
    }
}
