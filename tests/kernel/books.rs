//! The books: nothing doubled, nothing missing, and what was lost is told to the record.

use std::collections::HashMap;
use std::io::Read as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use nix::sys::signal::Signal;
use serde_json::Value;
use socket2::SockRef;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::processes::Child;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// A child that connects to `server` so often, one connection after the other: each lasts until it was
/// accepted and closed there. Then it closes with RST, so that no port stays in TIME_WAIT.
fn client(server: SocketAddr, connections: usize) -> Child {
    forked(move || {
        for _ in 0..connections {
            let mut stream = TcpStream::connect(server).unwrap();
            assert_eq!(stream.read(&mut [0]).unwrap(), 0);
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    })
}

/// A thread that accepts so many connections.
fn acceptor(listener: TcpListener, connections: usize) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        for _ in 0..connections {
            drop(listener.accept().unwrap());
        }
    })
}

fn listener() -> TcpListener {
    let listener = TcpListener::bind(v4()).unwrap();
    SockRef::from(&listener).listen(4096).unwrap();
    listener
}

#[test]
fn every_connection_of_many_processes_is_found_exactly_once() {
    const PROCESSES: usize = 50;
    const EACH: usize = 400;
    const ALL: usize = PROCESSES * EACH;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    sysctl("net.core.somaxconn", "4096");
    // Completeness is asked for here, not speed: room for all of it, however slow the reader is.
    let tracer = Tracer::start(&["--ring-size", "32MiB"]);
    let listener = listener();
    let server = listener.local_addr().unwrap();
    let server_thread = acceptor(listener, ALL);
    let clients: Vec<Child> = (0..PROCESSES).map(|_| client(server, EACH)).collect();
    let pids: Vec<i32> = clients.iter().map(Child::pid).collect();
    for client in clients {
        client.wait();
    }
    server_thread.join().unwrap();
    tracer.wait_for_events(namespace.netns, "close", 2 * ALL);
    let log = tracer.stop();
    assert_eq!(log.stop()["lost"], 0);

    let connections = count_by(&log, namespace.netns, |record| {
        let kind = record["event"].as_str().unwrap();
        format!("{kind} {}", record["conn"].as_str().unwrap())
    });
    assert!(connections.values().all(|&count| count == 1), "doubled");
    let kinds = count_by(&log, namespace.netns, |record| record["event"].to_string());
    assert_eq!(kinds["\"connect\""], ALL);
    assert_eq!(kinds["\"accept\""], ALL);
    assert_eq!(kinds["\"close\""], 2 * ALL);
    // A connect and a close of each socket that connected, an accept and a close of each other one.
    for (key, _) in connections.iter().filter(|(key, _)| !key.starts_with("close")) {
        let conn = key.split(' ').nth(1).unwrap();
        assert!(connections.contains_key(&format!("close {conn}")), "{key} has no close");
    }
    let by_process = count_by(&log, namespace.netns, |record| {
        assert!(record["process"]["ppid"].is_u64(), "{record}");
        format!("{} {}", record["event"].as_str().unwrap(), record["process"]["pid"])
    });
    for pid in pids {
        assert_eq!(by_process[&format!("connect {pid}")], EACH);
        assert_eq!(by_process[&format!("close {pid}")], EACH);
    }
    assert_eq!(by_process[&format!("accept {}", std::process::id())], ALL);
}

/// Packets on the loopback device are handled by softirqs of the first two CPUs: they interrupt the programs.
fn steer_packets() {
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let nothing = None::<&str>;
    nix::mount::mount(nothing, "/", nothing, MsFlags::MS_PRIVATE | MsFlags::MS_REC, nothing)
        .unwrap();
    // The devices of this namespace.
    nix::mount::mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), nothing).unwrap();
    let cpus = if thread::available_parallelism().unwrap().get() > 1 { "3" } else { "1" };
    std::fs::write("/sys/class/net/lo/queues/rx-0/rps_cpus", cpus).unwrap();
}

#[test]
fn what_interrupts_a_program_is_recovered() {
    const PROCESSES: usize = 4;
    const EACH: usize = 1500;
    const ALL: usize = PROCESSES * EACH;
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    steer_packets();
    sysctl("net.core.somaxconn", "4096");
    let tracer = Tracer::start(&["--ring-size", "32MiB"]);
    let listener = listener();
    let server = listener.local_addr().unwrap();
    let server_thread = acceptor(listener, ALL);
    let clients: Vec<Child> = (0..PROCESSES).map(|_| client(server, EACH)).collect();
    clients.into_iter().for_each(Child::wait);
    server_thread.join().unwrap();
    let log = tracer.stop();
    let stop = log.stop();
    // Only the second program saw these, and told them; nothing is doubled by it.
    assert!(stop["recovered"].as_u64().is_some_and(|recovered| recovered > 0), "{stop}");
    let told = count_by(&log, namespace.netns, |record| {
        assert!(record["process"]["pid"].is_u64(), "{record}");
        format!("{} {}", record["event"].as_str().unwrap(), record["conn"].as_str().unwrap_or("?"))
    });
    let doubled: Vec<_> =
        told.iter().filter(|(key, count)| **count > 1 && !key.ends_with('?')).collect();
    assert!(doubled.is_empty(), "{doubled:?} of {stop}");
    // Softirqs on other CPUs interrupt whoever is there, also a task during which this kernel runs no program at
    // all, if it has such (see witness.rs): a hundredth is allowed for it, not for us.
    let found = told.values().sum::<usize>() as u64 + stop["lost"].as_u64().unwrap();
    assert!(found > 4 * ALL as u64 * 99 / 100, "{found} of {}: {stop}", 4 * ALL);
}

fn count_by(log: &Log, netns: u64, key: impl Fn(&Value) -> String) -> HashMap<String, usize> {
    let mut counts = HashMap::new();
    for record in log.events(netns) {
        *counts.entry(key(record)).or_default() += 1;
    }
    counts
}

#[test]
fn the_books_balance_under_overload() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    sysctl("net.core.somaxconn", "4096");
    let tracer = Tracer::start(&["--ring-size", "4KiB", "--heartbeat", "1"]);
    let listener = listener();
    let server = listener.local_addr().unwrap();
    thread::spawn(move || {
        loop {
            drop(listener.accept());
        }
    });
    let load = forked(move || {
        loop {
            if let Ok(stream) = TcpStream::connect(server) {
                let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            }
        }
    });
    thread::sleep(Duration::from_millis(500));
    tracer.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_secs(2));
    tracer.signal(Signal::SIGCONT);
    thread::sleep(Duration::from_millis(500));
    // Stopped in the middle of it. The check of the books is in the stop.
    let log = tracer.stop();
    load.kill();
    let lost = log.stop()["lost"].as_u64().unwrap();
    assert!(lost > 1000, "a ring of 4 KiB cannot hold two seconds: {}", log.stop());
    assert_eq!(log.stop()["causes"]["ring_full"], lost);
    assert!(!log.events(namespace.netns).is_empty());
    for heartbeat in log.of_kind("heartbeat") {
        let figure = |name: &str| heartbeat[name].as_u64().expect(name);
        assert_eq!(
            figure("observed"),
            figure("written") + figure("lost") + figure("filtered") + figure("in_flight"),
            "{heartbeat}"
        );
    }
}

#[test]
fn what_comes_after_the_last_event_is_filtered() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let mut tracer = Tracer::start(&["-n", "10", "-p", &std::process::id().to_string()]);
    let listener = listener();
    let server = listener.local_addr().unwrap();
    for _ in 0..20 {
        let stream = TcpStream::connect(server).unwrap();
        drop((listener.accept().unwrap(), stream));
    }
    let log = tracer.finish();
    assert_eq!(log.stop()["reason"], "max_events");
    assert_eq!(log.stop()["written"], 10);
    assert!(log.events(namespace.netns).len() <= 10);
}

#[test]
fn the_first_event_after_a_pause_comes_at_once() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    // A long interval: what is written earlier was woken for.
    let me = std::process::id().to_string();
    let tracer = Tracer::start(&["--flush-interval", "2s", "-p", &me]);
    thread::sleep(Duration::from_millis(2500));
    let begun = Instant::now();
    let listener = TcpListener::bind(v4()).unwrap();
    let _stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    tracer.wait_for_events(namespace.netns, "connect", 1);
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    tracer.stop();
}

#[test]
fn an_idle_tracer_sleeps() {
    if !can_trace() {
        return;
    }
    let _namespace = Namespace::enter_alone();
    // Nobody else's connections wake it.
    let tracer = Tracer::start(&["-p", "1"]);
    thread::sleep(Duration::from_millis(300));
    let switches = || -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", tracer.pid())).unwrap();
        let line = status.lines().find(|l| l.starts_with("voluntary_ctxt_switches")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let before = switches();
    thread::sleep(Duration::from_secs(3));
    assert_eq!(switches() - before, 0, "woken without a reason");
    tracer.stop();
}

#[test]
fn heartbeats_carry_the_figures() {
    if !can_trace() {
        return;
    }
    let _namespace = Namespace::enter();
    let tracer = Tracer::start(&["--heartbeat", "1"]);
    let heartbeat = tracer.wait_for("heartbeat", |record| record["event"] == "heartbeat");
    assert!(heartbeat["observed"].is_u64() && heartbeat["in_flight"].is_u64());
    let log = tracer.stop();
    assert_eq!(log.of_kind("heartbeat").count(), 1);
}
