//! A running connledger, and what it wrote. Every log is held against the ledger's rules, whatever else
//! the test is about.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::net::SocketAddr;
use std::process::Child;
use std::process::ChildStdout;
use std::process::Command;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use crate::pairs::wait_until;

const PATIENCE: Duration = Duration::from_secs(30);

/// What has been written so far.
#[derive(Default)]
struct Written {
    lines: Vec<String>,
    /// By network namespace and kind.
    counts: HashMap<(u64, String), usize>,
    /// There will be no more.
    ended: bool,
}

#[derive(Default)]
struct Lines {
    written: Mutex<Written>,
    more: Condvar,
}

/// A running connledger.
pub struct Tracer {
    child: Child,
    lines: Arc<Lines>,
    reader: Option<JoinHandle<()>>,
    /// Reads and writes can be seen on this kernel. Kept, for a forked child cannot ask: its lock may be another's.
    sees_io: bool,
}

impl Tracer {
    /// Starts it and waits until it is ready.
    pub fn start(args: &[&str]) -> Self {
        Self::start_os(&args.iter().map(OsStr::new).collect::<Vec<_>>())
    }

    /// Starts it with arguments of any bytes.
    pub fn start_os(args: &[&OsStr]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_connledger"))
            .arg("-q")
            .args(args)
            .stdout(Stdio::piped())
            .spawn()
            .expect("connledger");
        let lines = Arc::new(Lines::default());
        let stdout = child.stdout.take().expect("stdout");
        let reader = {
            let lines = Arc::clone(&lines);
            thread::spawn(move || read(stdout, &lines))
        };
        let mut tracer = Self { child, lines, reader: Some(reader), sees_io: false };
        let start = tracer.wait_for("start", |record| record["event"] == "start");
        tracer.sees_io = start["hooks"].get("io").is_some();
        tracer.wait_for("ready", |record| record["event"] == "ready");
        tracer
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pid"))
    }

    /// Whether it follows reads and writes, as its links tell.
    pub fn follows_io(&self) -> bool {
        let infos = fs::read_dir(format!("/proc/{}/fdinfo", self.pid())).expect("fdinfo");
        infos
            .filter_map(|info| fs::read_to_string(info.expect("fdinfo").path()).ok())
            .any(|info| info.lines().any(|line| line.ends_with("\tsock_recv_length")))
    }

    /// Waits until it does: a moment after it was given a reason. Where they cannot be seen, it never does.
    pub fn wait_until_it_follows_io(&self) {
        if self.sees_io {
            wait_until(|| self.follows_io(), "following of reads and writes");
        }
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal).expect("kill");
    }

    /// Waits for a record, and returns it.
    pub fn wait_for(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        // Each line is looked at once: while this looks, the reader waits, and may keep the tracer waiting.
        let seen = Cell::new(0);
        self.wait_until(what, |written| {
            let new = &written.lines[seen.replace(written.lines.len())..];
            new.iter().map(|line| parse(line)).find(|record| wanted(record))
        })
    }

    /// Waits until so many events of a kind have come from a namespace.
    pub fn wait_for_events(&self, netns: u64, kind: &str, count: usize) {
        let key = (netns, kind.to_owned());
        self.wait_until(&format!("{count} {kind} events"), |written| {
            (written.counts.get(&key).copied().unwrap_or(0) >= count).then_some(())
        });
    }

    fn wait_until<T>(&self, what: &str, found: impl Fn(&Written) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut guard = self.lines.written.lock().unwrap();
        loop {
            if let Some(result) = found(&guard) {
                return result;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if guard.ended || left.is_zero() {
                drop(guard);
                panic!("no {what}; what came last:\n{}", self.last_words());
            }
            guard = self.lines.more.wait_timeout(guard, left).unwrap().0;
        }
    }

    /// The end of the log with the closed books, for whoever looks for what is missing.
    fn last_words(&self) -> String {
        let _ = nix::sys::signal::kill(self.pid(), Signal::SIGINT);
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut guard = self.lines.written.lock().unwrap();
        while !guard.ended && Instant::now() < deadline {
            guard = self.lines.more.wait_timeout(guard, Duration::from_millis(100)).unwrap().0;
        }
        guard.lines.iter().rev().take(20).cloned().collect::<Vec<_>>().join("\n")
    }

    /// Stops it as Ctrl-C does, and returns what it wrote, checked.
    pub fn stop(mut self) -> Log {
        // It may have stopped by itself.
        let _ = nix::sys::signal::kill(self.pid(), Signal::SIGINT);
        self.finish()
    }

    /// Waits until it ends by itself, and returns what it wrote, checked.
    pub fn finish(&mut self) -> Log {
        self.reader.take().expect("not finished before").join().expect("reader");
        let status = self.child.wait().expect("wait");
        assert!(status.success(), "connledger: {status}");
        let lines = std::mem::take(&mut self.lines.written.lock().unwrap().lines);
        let log = Log { records: lines.iter().map(|line| parse(line)).collect() };
        log.check_numbers();
        log.check_books();
        log
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        // After a failed test; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes the lines as fast as they come, and leaves parsing for later: a slow reader would make the
/// tracer lose what these tests want to see.
fn read(stdout: ChildStdout, lines: &Lines) {
    for line in BufReader::new(stdout).lines() {
        let line = line.expect("UTF-8");
        let Ok(mut written) = lines.written.lock() else { return };
        let netns =
            after(&line, "\"netns\":", ',').and_then(|n| n.trim_end_matches('}').parse().ok());
        if let (Some(netns), Some(kind)) = (netns, after(&line, "\"event\":\"", '"')) {
            *written.counts.entry((netns, kind.to_owned())).or_default() += 1;
        }
        written.lines.push(line);
        lines.more.notify_all();
    }
    if let Ok(mut written) = lines.written.lock() {
        written.ended = true;
    }
    lines.more.notify_all();
}

/// What stands between `begin` and the next `end`.
fn after<'a>(line: &'a str, begin: &str, end: char) -> Option<&'a str> {
    line.split_once(begin)?.1.split(end).next()
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|err| panic!("{err}: {line}"))
}

/// All that a run wrote.
pub struct Log {
    pub records: Vec<Value>,
}

impl Log {
    /// Records are numbered from 1 without gaps; a loss stands for the numbers that it covers.
    pub fn check_numbers(&self) {
        let mut next = 1;
        for record in &self.records {
            assert_eq!(record["seq"], next, "{record}");
            if record["event"] == "loss" {
                assert_eq!(record["first_seq"], next, "{record}");
                let last = record["last_seq"].as_u64().expect("last_seq");
                assert_eq!(record["count"], last - next + 1, "{record}");
                let causes = record["causes"].as_object().expect("causes");
                let sum: u64 = causes.values().map(|count| count.as_u64().expect("count")).sum();
                assert_eq!(record["count"], sum, "{record}");
                next = last + 1;
            } else {
                next += 1;
            }
        }
    }

    /// observed = written + lost + filtered, and each of them agrees with what stands in the log.
    pub fn check_books(&self) {
        let stop = self.stop();
        let figure = |name: &str| stop[name].as_u64().expect(name);
        assert_eq!(
            figure("observed"),
            figure("written") + figure("lost") + figure("filtered"),
            "{stop}"
        );
        let count = |kinds: &[&str]| {
            self.records.iter().filter(|r| kinds.iter().any(|kind| r["event"] == *kind)).count()
        };
        let kinds = ["connect", "accept", "close", "open", "listen", "retransmit", "reset"];
        assert_eq!(figure("written"), count(&kinds) as u64, "{stop}");
        let lost: u64 =
            self.of_kind("loss").map(|loss| loss["count"].as_u64().expect("count")).sum();
        assert_eq!(figure("lost"), lost, "{stop}");
        for record in &self.records {
            let causes = if record["event"] == "loss" { &record["causes"] } else { &Value::Null };
            assert!(causes.get("unaccounted").is_none(), "{record}");
            assert!(causes.get("malformed").is_none(), "{record}");
        }
        assert_eq!((count(&["start"]), count(&["ready"]), count(&["stop"])), (1, 1, 1));
        assert_eq!(self.records[0]["event"], "start");
    }

    /// The last record.
    pub fn stop(&self) -> &Value {
        let stop = self.records.last().expect("records");
        assert_eq!(stop["event"], "stop");
        stop
    }

    /// All records of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.records.iter().filter(move |record| record["event"] == kind)
    }

    /// The events of a namespace.
    pub fn events(&self, netns: u64) -> Vec<&Value> {
        self.records.iter().filter(|record| record["netns"] == netns).collect()
    }

    /// The same without the kinds that are told only on request.
    pub fn default_events(&self, netns: u64) -> Vec<&Value> {
        let on_request = ["listen", "retransmit", "reset"];
        let mut events = self.events(netns);
        events.retain(|record| on_request.iter().all(|kind| record["event"] != *kind));
        events
    }

    /// The events of a kind in a namespace.
    pub fn events_of(&self, netns: u64, kind: &str) -> Vec<&Value> {
        self.events(netns).into_iter().filter(|record| record["event"] == kind).collect()
    }

    /// The one event of a kind in a namespace whose local and remote ends are these.
    pub fn event(&self, netns: u64, kind: &str, local: SocketAddr, remote: SocketAddr) -> &Value {
        let found: Vec<&Value> = self
            .events_of(netns, kind)
            .into_iter()
            .filter(|record| is_end(&record["local"], local) && is_end(&record["remote"], remote))
            .collect();
        assert_eq!(found.len(), 1, "{kind} {local} to {remote} in\n{:#?}", self.events(netns));
        found[0]
    }
}

/// Whether an endpoint of a record is this address and port. A v4-mapped address is its IPv4 address.
pub fn is_end(end: &Value, address: SocketAddr) -> bool {
    end["ip"] == address.ip().to_canonical().to_string() && end["port"] == address.port()
}
