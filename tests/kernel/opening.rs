//! What is open when tracing begins is listed, once, whatever happens meanwhile.

use std::collections::HashSet;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::wait_for_state;
use crate::processes::forked;
use crate::sockets::State;
use crate::tracer::Log;
use crate::tracer::Tracer;
use crate::tracer::is_end;

/// A connection between two ends of this thread.
pub fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

pub fn ends(stream: &TcpStream) -> (SocketAddr, SocketAddr) {
    (stream.local_addr().unwrap(), stream.peer_addr().unwrap())
}

/// What this process held: the process is named, none of its threads.
fn assert_held_here(open: &Value) {
    let process = &open["process"];
    assert_eq!(process["pid"], std::process::id(), "{open}");
    assert_eq!(process["tid"], std::process::id(), "{open}");
    assert_eq!(process["ppid"], nix::unistd::getppid().as_raw(), "{open}");
    assert_eq!(open["attributed_to"], "holder", "{open}");
}

fn assert_listed_at_start(log: &Log) {
    let seq = |kind: &str| log.of_kind(kind).next().unwrap()["seq"].as_u64().unwrap();
    for open in log.of_kind("open") {
        let place = open["seq"].as_u64().unwrap();
        assert!(seq("start") < place && place < seq("ready"), "{open}");
    }
}

#[test]
fn connections_are_listed_with_their_state_and_their_holder() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    for (bound, family) in [(v4(), "ipv4"), (v6(), "ipv6")] {
        let listener = TcpListener::bind(bound).unwrap();
        let (client, server) = pair(&listener);
        let (half_closed, waiting) = pair(&listener);
        half_closed.shutdown(Shutdown::Write).unwrap();
        // FIN and its acknowledgement are there.
        assert_eq!((&waiting).read(&mut [0]).unwrap(), 0);
        thread::sleep(Duration::from_millis(100));
        let tracer = Tracer::start(&[]);
        let log = tracer.stop();
        assert_listed_at_start(&log);
        for (stream, state) in [
            (&client, "established"),
            (&server, "established"),
            (&half_closed, "fin_wait2"),
            (&waiting, "close_wait"),
        ] {
            let (local, remote) = ends(stream);
            let open = log.event(namespace.netns, "open", local, remote);
            assert_eq!(open["state"], state, "{open}");
            assert_eq!(open["family"], family, "{open}");
            assert!(open["conn"].is_string(), "{open}");
            assert_held_here(open);
        }
        assert_eq!(log.events(namespace.netns).len(), 4, "no listener: it was not asked for");
    }
}

#[test]
fn listeners_are_listed_on_request() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind("[::]:0").unwrap();
    let local = listener.local_addr().unwrap();
    let (client, _server) = pair(&TcpListener::bind(v4()).unwrap());
    let log = Tracer::start(&["-e", "listen"]).stop();
    assert_listed_at_start(&log);
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 1, "{events:#?}");
    assert_eq!(events[0]["event"], "open");
    assert_eq!(events[0]["state"], "listen");
    assert_eq!(events[0]["local"]["ip"], "::");
    assert_eq!(events[0]["local"]["port"], local.port());
    assert!(events[0].get("remote").is_none(), "{}", events[0]);
    assert_held_here(events[0]);
    // With both, both; and what begins to listen then is told as such, once.
    let tracer = Tracer::start(&["-e", "open,listen"]);
    let later = TcpListener::bind(v4()).unwrap();
    let log = tracer.stop();
    assert_eq!(log.events_of(namespace.netns, "open").len(), 3);
    let listens = log.events_of(namespace.netns, "listen");
    assert_eq!(listens.len(), 1, "{listens:#?}");
    assert_eq!(listens[0]["local"]["port"], later.local_addr().unwrap().port());
    drop(client);
}

#[test]
fn what_several_processes_hold_is_listed_once() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let (client, server) = pair(&TcpListener::bind(v4()).unwrap());
    let copy = client.try_clone().unwrap();
    let (wait, go) = nix::unistd::pipe().unwrap();
    let children: Vec<_> = (0..3)
        .map(|_| {
            forked(|| {
                let _ = nix::unistd::read(&wait, &mut [0]);
            })
        })
        .collect();
    let log = Tracer::start(&[]).stop();
    let lowest = children
        .iter()
        .map(crate::processes::Child::pid)
        .chain([nix::unistd::getpid().as_raw()])
        .min();
    nix::unistd::write(&go, &[0; 3]).unwrap();
    children.into_iter().for_each(crate::processes::Child::wait);
    assert_eq!(log.events_of(namespace.netns, "open").len(), 2);
    // The process with the lowest id of those that hold it, which is listed first.
    let (local, remote) = ends(&client);
    let open = log.event(namespace.netns, "open", local, remote);
    assert_eq!(open["process"]["pid"], lowest.unwrap(), "{open}");
    drop((copy, server));
}

#[test]
fn connections_of_every_namespace_are_listed() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let here = pair(&TcpListener::bind(v4()).unwrap());
    let elsewhere = thread::spawn(|| {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        crate::namespace::ip(&["link", "set", "lo", "up"]);
        let netns = std::os::unix::fs::MetadataExt::ino(
            &std::fs::metadata("/proc/thread-self/ns/net").unwrap(),
        );
        (netns, pair(&TcpListener::bind(v4()).unwrap()))
    });
    let (other, there) = elsewhere.join().unwrap();
    let log = Tracer::start(&[]).stop();
    for (netns, (client, server)) in [(namespace.netns, here), (other, there)] {
        assert_eq!(log.events_of(netns, "open").len(), 2);
        for stream in [client, server] {
            let (local, remote) = ends(&stream);
            assert_eq!(log.event(netns, "open", local, remote)["netns"], netns);
        }
    }
}

#[test]
fn what_nobody_holds_is_not_listed_and_its_close_is_right() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    // One waits to be accepted; of the other one, an end has no process any more.
    let queued = TcpStream::connect(server).unwrap();
    let queued_client = queued.local_addr().unwrap();
    let other = TcpListener::bind(v4()).unwrap();
    let (orphan, held) = pair(&other);
    crate::calls::set_option(&orphan, nix::libc::IPPROTO_TCP, nix::libc::TCP_LINGER2, 70);
    let (orphan_local, orphan_remote) = ends(&orphan);
    (&orphan).write_all(b"last words").unwrap();
    drop(orphan);
    thread::sleep(Duration::from_millis(100));
    let tracer = Tracer::start(&[]);
    drop(listener);
    (&held).read_exact(&mut [0; 10]).unwrap();
    drop((queued, held));
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    let opens = log.events_of(namespace.netns, "open");
    assert_eq!(opens.len(), 2, "the ends that this process held: {opens:#?}");
    let close = log.event(namespace.netns, "close", server, queued_client);
    assert_eq!(close["closed_by"], "local_reset", "its listener went away: {close}");
    let close = log.event(namespace.netns, "close", orphan_local, orphan_remote);
    assert_ended(close, "local", "");
    for unknown in ["process", "duration_us", "opened_by"] {
        assert!(close.get(unknown).is_none(), "{close}");
    }
    assert_bytes(close, 10, 0);
}

/// Whose FIN came first is known, though it came before tracing began and no `open` has told of it.
#[test]
fn ends_that_had_begun_before_are_told_without_an_open() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let (client, server) = pair(&listener);
    client.shutdown(Shutdown::Write).unwrap();
    wait_for_state(&server, State::CloseWait);
    let (local, remote) = ends(&client);
    let tracer = Tracer::start(&["-e", "close"]);
    drop(server);
    drop(client);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    assert_ended(log.event(namespace.netns, "close", local, remote), "local", "");
    assert_ended(log.event(namespace.netns, "close", remote, local), "remote", "");
}

/// Listeners, too, have a beginning, whatever ends while they are listed.
#[test]
fn listeners_that_end_while_tracing_begins() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listeners: Vec<_> = (0..3000).map(|_| TcpListener::bind(v4()).unwrap()).collect();
    let ending = thread::spawn(move || {
        for listener in listeners {
            drop(listener);
            thread::sleep(Duration::from_micros(150));
        }
    });
    let tracer = Tracer::start(&["-e", "listen"]);
    ending.join().unwrap();
    let log = tracer.stop();
    let begun: HashSet<&str> = log
        .events_of(namespace.netns, "open")
        .into_iter()
        .map(|open| open["conn"].as_str().unwrap())
        .collect();
    let ends = log.events_of(namespace.netns, "listen");
    assert!(!ends.is_empty(), "{}", log.stop());
    for end in &ends {
        assert_eq!(end["action"], "end", "{end}");
        assert!(begun.contains(end["conn"].as_str().unwrap()), "no beginning: {end}");
    }
    assert_eq!(ends.len(), begun.len(), "all of them have ended");
    assert_eq!(log.stop()["lost"], 0, "{}", log.stop());
}

#[test]
fn more_connections_than_the_ring_holds() {
    const PAIRS: usize = 3000;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let listener = TcpListener::bind(v4()).unwrap();
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair(&listener)).collect();
    // 4,096 records of 152 bytes between two looks: room for those of other tests, too.
    let log = Tracer::start(&["--ring-size", "1MiB"]).stop();
    assert_eq!(log.stop()["lost"], 0, "{}", log.stop());
    assert_eq!(log.events_of(namespace.netns, "open").len(), 2 * PAIRS);
    assert_listed_at_start(&log);
    drop(pairs);
}

#[test]
fn a_small_ring_is_drained_while_connections_are_listed() {
    const PAIRS: usize = 1500;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let listener = TcpListener::bind(v4()).unwrap();
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair(&listener)).collect();
    let args = ["--ring-size", "64KiB", "--netns", &namespace.netns.to_string()];
    let log = Tracer::start(&args).stop();
    assert_eq!(log.stop()["lost"], 0, "{}", log.stop());
    assert_eq!(log.events_of(namespace.netns, "open").len(), 2 * PAIRS);
    drop(pairs);
}

#[test]
fn what_was_open_is_closed_also_where_open_is_not_asked_for() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let (client, server) = pair(&TcpListener::bind(v4()).unwrap());
    let (local, remote) = ends(&client);
    let tracer = Tracer::start(&["-e", "close"]);
    drop((client, server));
    let log = tracer.stop();
    for (local, remote) in [(local, remote), (remote, local)] {
        let close = log.event(namespace.netns, "close", local, remote);
        assert_held_here(close);
    }
    assert_eq!(log.stop()["filtered"], 0, "{}", log.stop());
}

/// The tracer writes to a connection: its own end is not told, and ours is.
#[test]
fn the_tracers_own_connections_are_not_told() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let (reader, output) = pair(&listener);
    let (ours, theirs) = ends(&reader);
    let mut child = Command::new(env!("CARGO_BIN_EXE_connledger"))
        .args(["-q", "-e", "open,close", "--netns", &namespace.netns.to_string()])
        .stdout(OwnedFd::from(output))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(reader).lines().map(Result::unwrap);
    let mut opens = Vec::new();
    for line in lines.by_ref() {
        let record: Value = serde_json::from_str(&line).unwrap();
        match record["event"].as_str() {
            Some("open") => opens.push(record),
            Some("ready") => break,
            _ => {}
        }
    }
    assert_eq!(opens.len(), 1, "{opens:#?}");
    assert!(is_end(&opens[0]["local"], ours) && is_end(&opens[0]["remote"], theirs), "{opens:#?}");
    drop(lines);
    assert_eq!(child.wait().unwrap().code(), Some(0), "its reader has gone");
}
