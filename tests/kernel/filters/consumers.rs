//! --exclude-self: the connections of those that read the output.

use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process;
use std::process::Command;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use super::calls::filtered;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Tracer;

const CONNLEDGER: &str = env!("CARGO_BIN_EXE_connledger");

/// This process reads the pipe, and answers; a child calls, and so does this process.
#[test]
fn the_reader_of_the_pipe_is_not_told() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let (go, gone) = nix::unistd::pipe().unwrap();
    // It is there before the pipe, and does not have it.
    let child = forked(|| {
        nix::unistd::read(&go, &mut [0]).unwrap();
        drop(TcpStream::connect(server));
    });
    let pid = child.pid();
    let tracer = Tracer::start(&["--exclude-self"]);
    nix::unistd::write(&gone, &[1]).unwrap();
    drop(listener.accept().unwrap());
    child.wait();
    let stream = TcpStream::connect(server).unwrap();
    drop((listener.accept().unwrap(), stream));
    tracer.wait_for_events(namespace.netns, "close", 1);
    wait_until_all_have_ended();
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 2, "{events:#?}");
    assert!(events.iter().all(|record| record["process"]["pid"] == pid), "{events:#?}");
    assert!(filtered(&log) >= 6);
    let filters = &log.records[0]["filters"];
    assert_eq!(filters["exclude_self"], true);
    let excluded = filters["pid"].as_str().unwrap();
    assert!(excluded.split(',').any(|pid| pid == format!("!{}", process::id())), "{excluded}");
}

/// connledger | tee | a shell that connects, as a shipper would.
#[test]
fn a_shipper_behind_a_relay_is_not_told() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter_alone();
    let listener = TcpListener::bind(v4()).unwrap();
    let port = listener.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    // Three calls once it is ready. We answer them, and are no consumer: three times accept and close.
    let script = format!(
        "timeout 20 {CONNLEDGER} -q --exclude-self --netns {netns} -n 6 | tee {path} | {{
            while read -r line; do
                case $line in
                *'\"event\":\"ready\"'*)
                    for i in 1 2 3; do exec 3<>/dev/tcp/127.0.0.1/{port}; exec 3>&-; done;;
                esac
            done
        }}",
        netns = namespace.netns,
        path = path.display()
    );
    let mut pipeline = Command::new("bash").args(["-c", &script]).spawn().unwrap();
    for _ in 0..3 {
        drop(listener.accept().unwrap());
    }
    assert!(pipeline.wait().unwrap().success());
    let log = fs::read_to_string(path).unwrap();
    let records: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| records.iter().filter(|record| record["event"] == kind).count();
    assert_eq!((of("connect"), of("accept"), of("close")), (0, 3, 3), "{log}");
    let ours = records.iter().filter(|record| record["process"]["pid"] == process::id());
    assert_eq!(ours.count(), 6, "{log}");
    assert!(records.last().unwrap()["filtered"].as_u64().unwrap() >= 3, "{log}");
}

/// What holds the other end of a socket is known by the socket.
#[test]
fn the_peer_of_a_socket_is_not_told() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let (ours, output) = UnixStream::pair().unwrap();
    let mut connledger = Command::new(CONNLEDGER)
        .args(["-q", "--exclude-self", "--netns", &namespace.netns.to_string()])
        .stdout(OwnedFd::from(output))
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(ours).lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("\"event\":\"ready\"")));
    let listener = TcpListener::bind(v4()).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop((listener.accept().unwrap(), stream));
    let pid = Pid::from_raw(connledger.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    let rest: Vec<String> = lines.collect();
    assert!(connledger.wait().unwrap().success());
    assert_eq!(rest.len(), 1, "the stop: {rest:#?}");
    let stop: Value = serde_json::from_str(&rest[0]).unwrap();
    assert!(stop["filtered"].as_u64().unwrap() >= 4, "{stop}");
}
