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

/// As many there must be at least.
const RECORDS: usize = 50_000;

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
    for _ in 0..5 {
        // In a thread of its own, as the calling one is to stay where it is.
        let records = thread::scope(|scope| scope.spawn(|| trace(&path)).join().unwrap());
        let Some(complaint) = complaint(&records) else {
            let text = fs::read_to_string(&path).unwrap();
            let lines = text.lines().map(str::to_owned).collect();
            return Log { path, lines, records, _turn: turn };
        };
        // A kernel may hide changes of state from all BPF programs, seldom (tests/support/witness.rs), and losses of
        // others count too. That nothing else is missing, the kernel tests show; here it must be known what stands
        // in the log.
        println!("the log is made once more: {complaint}");
    }
    panic!("no log has what the load did, and nothing else");
}

/// What stands in the way of knowing what is in a log.
fn complaint(records: &[Value]) -> Option<String> {
    if let Some((record, _)) = records.iter().zip(1..).find(|(record, seq)| record["seq"] != *seq) {
        return Some(format!("there is a loss before {record}"));
    }
    let stranger = |record: &&Value| {
        let pid = &record["process"]["pid"];
        pid.is_u64() && *pid != std::process::id()
    };
    if let Some(record) = records.iter().find(stranger) {
        return Some(format!("another process's {record}"));
    }
    let count = |name: &str, value: &str| records.iter().filter(|r| r[name] == value).count();
    let counts =
        (count("outcome", "established"), count("event", "accept"), count("event", "close"));
    let all = load::established();
    // One connection was there before.
    if counts == (all, all, 2 * all + 2) && records.len() >= RECORDS {
        return None;
    }
    Some(format!("of {all}: {counts:?} established, accepted, closed; {} records", records.len()))
}

/// Runs connledger over the load in a network namespace of their own.
fn trace(path: &Path) -> Vec<Value> {
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
    let records: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    assert_eq!(records.last().unwrap()["event"], "stop");
    records
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
