//! The log that all tests read: what the real connledger wrote of a load on the real kernel. It is made once in a
//! process.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::fcntl::Flock;
use nix::fcntl::FlockArg;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::load;
use crate::namespace::Namespace;
use crate::skip::can_trace;

/// No reader may take this many records for fewer or more.
pub const RECORDS: usize = 50_000;

/// A log, with all that stands in it.
pub struct Log {
    pub path: PathBuf,
    /// Its lines, as they were written.
    pub lines: Vec<String>,
    /// What they mean.
    pub records: Vec<Value>,
    /// Other processes that run these tests wait: the file is theirs next.
    _turn: Flock<File>,
}

impl Log {
    /// How many records there are of each kind.
    pub fn kinds(&self) -> BTreeMap<&str, usize> {
        let mut kinds = BTreeMap::new();
        for record in &self.records {
            *kinds.entry(record["event"].as_str().unwrap()).or_default() += 1;
        }
        kinds
    }
}

/// The log; none where nothing can be traced, which is said.
pub fn log() -> Option<&'static Log> {
    static LOG: OnceLock<Log> = OnceLock::new();
    can_trace().then(|| LOG.get_or_init(make))
}

fn make() -> Log {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let lock = File::options().create(true).append(true).open(folder.join("readers-turn")).unwrap();
    let turn = Flock::lock(lock, FlockArg::LockExclusive).unwrap();
    let path = folder.join("readers.ndjson");
    // In a thread of its own, as the calling one is to stay where it is.
    let traced = || thread::scope(|scope| scope.spawn(|| trace(&path)).join().unwrap());
    // There are kernels that hide some changes of state from all BPF programs (tests/kernel/witness.rs), seldom. That
    // nothing else is missing, the kernel tests show; here it must be known what stands in the log.
    let mut attempts = 0;
    let (lines, records) = loop {
        let (lines, records) = traced();
        attempts += 1;
        let established = records.iter().filter(|r| r["outcome"] == "established").count();
        let closes = records.iter().filter(|r| r["event"] == "close").count();
        let accepts = records.iter().filter(|r| r["event"] == "accept").count();
        let all = load::established();
        if (established, accepts, closes) == (all, all, 2 * all + 2) {
            break (lines, records);
        }
        assert!(attempts < 3, "of {all}: {established} established, {accepts} accepted, {closes}");
    };
    assert!(lines.len() >= RECORDS, "{} lines", lines.len());
    Log { path, lines, records, _turn: turn }
}

/// Runs connledger over the load in a network namespace of their own.
fn trace(path: &Path) -> (Vec<String>, Vec<Value>) {
    let _namespace = Namespace::enter_alone();
    let before = load::before();
    let mut tracer = Command::new(env!("CARGO_BIN_EXE_connledger"))
        .args(["-q", "-e", "all", "--heartbeat", "1", "--ring-size", "64MiB"])
        .args(["--netns", "/proc/self/ns/net"])
        .stdout(File::create(path).unwrap())
        .spawn()
        .expect("connledger");
    let ready = || fs::read_to_string(path).unwrap().contains(r#""event":"ready""#);
    wait_until(ready, "ready");
    load::run();
    drop(before);
    wait_until(load::no_socket_is_open, "end of every connection");
    let pid = Pid::from_raw(i32::try_from(tracer.id()).unwrap());
    nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
    assert!(tracer.wait().unwrap().success());

    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let records: Vec<Value> =
        lines.iter().map(|line| serde_json::from_str(line).expect(line)).collect();
    for (record, seq) in records.iter().zip(1..) {
        assert_eq!(record["seq"], seq, "nothing is lost: {record}");
    }
    assert_eq!(records.last().unwrap()["event"], "stop");
    (lines, records)
}

/// Waits until `there` says so.
pub fn wait_until(there: impl Fn() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !there() {
        assert!(Instant::now() < deadline, "{what} did not come");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Each kind of record that a load can bring about is there: what is read is not all the same.
#[test]
fn the_log_has_every_kind() {
    let Some(log) = log() else { return };
    let kinds = log.kinds();
    println!("{} lines: {kinds:?}", log.lines.len());
    for kind in [
        "start",
        "open",
        "ready",
        "connect",
        "accept",
        "close",
        "listen",
        "retransmit",
        "reset",
        "heartbeat",
        "stop",
    ] {
        assert!(kinds.contains_key(kind), "no {kind} in {kinds:?}");
    }
    let failures: usize = load::FAILURES.iter().map(|failure| failure.3).sum();
    assert_eq!(kinds["connect"], load::established() + failures, "{kinds:?}");
}
