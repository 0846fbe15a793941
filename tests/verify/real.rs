//! What connledger itself writes is sound, however it ends.

use std::fs;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;

use crate::command::CONNLEDGER;
use crate::command::Logs;
use crate::skip::can_trace;

/// Time for what takes a moment on a host that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(60);

fn start(log: &Path) -> Child {
    let output = format!("file:{}", log.display());
    Command::new(CONNLEDGER)
        .args(["-q", "--heartbeat", "1", "-e", "connect,accept,close", "-o", &output])
        .spawn()
        .expect("it starts")
}

/// Waits until a text stands in a log behind what was there, and makes connections meanwhile.
fn wait_for(log: &Path, behind: usize, text: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("it is bound");
    let begun = Instant::now();
    loop {
        let written = fs::read(log).expect("a log");
        if memchr::memmem::find(&written[behind..], text.as_bytes()).is_some() {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "no {text} in {}", log.display());
        let connection = TcpStream::connect(address).expect("it listens");
        drop((listener.accept().expect("it connected"), connection));
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_real_log_is_sound_and_a_kill_shows() {
    if !can_trace() {
        return;
    }
    let logs = Logs::of(&[&[]]);
    let log = logs.path(0);
    let mut written = 0;
    for signal in [Signal::SIGTERM, Signal::SIGKILL, Signal::SIGINT] {
        let mut connledger = start(log);
        wait_for(log, written, "\"event\":\"heartbeat\"");
        kill(Pid::from_raw(connledger.id().cast_signed()), signal).expect("it runs");
        connledger.wait().expect("it ends");
        written = fs::read(log).expect("a log").len();
    }
    let report = logs.judged();
    // Who kills in mid-write gets a torn line.
    let problems = report["problems"].as_array().expect("problems");
    assert!(problems.iter().all(|problem| problem["kind"] == "torn"), "{report:#}");
    assert!(report["verdict"] == "sound" || !problems.is_empty(), "{report:#}");
    let runs = report["runs"].as_array().expect("runs");
    let ends: Vec<&Value> = runs.iter().map(|run| &run["stopped"]).collect();
    assert_eq!(
        ends,
        ["terminated".into(), Value::Null, "interrupted".into()].iter().collect::<Vec<_>>()
    );
    for run in runs {
        assert_eq!(run["started"], true);
        assert_eq!(run["outputs"][0], format!("file:{}", log.display()));
        assert!(run["events"].as_u64() > Some(2), "{run:#}");
    }
}
