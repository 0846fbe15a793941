//! A connection is judged once; its close follows.

use std::net::TcpListener;
use std::net::TcpStream;

use nix::sys::prctl::set_name;

use super::calls::filtered;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// This thread connects and accepts as `before`, and closes as `after`.
fn renamed(names: &str) -> Option<(Log, u64)> {
    if !can_trace() {
        return None;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&["--comm", names]);
    let listener = TcpListener::bind(v4()).unwrap();
    set_name(c"before").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = listener.accept().unwrap();
    set_name(c"after").unwrap();
    drop((stream, accepted));
    if matches!(names, "before" | "!after") {
        tracer.wait_for_events(namespace.netns, "close", 2);
    }
    wait_until_all_have_ended();
    Some((tracer.stop(), namespace.netns))
}

#[test]
fn the_close_follows_an_admission() {
    for names in ["before", "!after"] {
        let Some((log, netns)) = renamed(names) else { return };
        assert_eq!(log.events(netns).len(), 4, "{names}");
        assert_eq!(log.events_of(netns, "close").len(), 2, "{names}");
        for record in log.events(netns) {
            assert_eq!(record["process"]["comm"], "before", "{record}");
        }
    }
}

#[test]
fn the_close_follows_a_refusal() {
    for names in ["after", "!before"] {
        let Some((log, netns)) = renamed(names) else { return };
        assert_eq!(log.events(netns).len(), 0, "{names}");
        assert!(filtered(&log) >= 4, "{names}");
    }
}

/// Who is refused by the peer's port is not described either: that would take the room of what is wanted.
#[test]
fn those_who_are_refused_do_not_fill_the_ring() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let port = server.port().to_string();
    // Of this test's processes alone: others may come faster than so small a ring is drained.
    let name = "those-refused";
    set_name(c"those-refused").unwrap();
    let args = ["--ring-size", "4KiB", "-e", "connect", "--comm", name, "--remote-port", &port];
    let tracer = Tracer::start(&args);
    for _ in 0..200 {
        forked(|| drop(TcpStream::connect("127.0.0.1:1"))).wait();
    }
    let stream = TcpStream::connect(server).unwrap();
    let log = tracer.stop();
    drop(stream);
    assert_eq!(log.stop()["lost"], 0, "{}", log.stop());
    let connects = log.events(namespace.netns);
    assert_eq!(connects.len(), 1, "{connects:#?}");
    assert!(connects[0]["process"]["ppid"].is_u64(), "it is described: {}", connects[0]);
}

/// A refused connection costs what was asked for and nothing else.
#[test]
fn only_what_was_asked_for_is_counted_as_filtered() {
    for (events, count) in [("connect", 1), ("accept", 1), ("close", 2), ("connect,close", 3)] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let tracer = Tracer::start(&[
            "-e",
            events,
            "--netns",
            &namespace.netns.to_string(),
            "--comm",
            "nobody",
        ]);
        let listener = TcpListener::bind(v4()).unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), stream));
        wait_until_all_have_ended();
        let log = tracer.stop();
        assert_eq!(log.events(namespace.netns).len(), 0);
        assert!(filtered(&log) >= count, "{events}: {}", log.stop());
    }
}
