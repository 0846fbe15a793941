//! A running connledger that writes to a consumer, and everything to standard output too, which tells what there is
//! to receive.

use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread;
use std::thread::JoinHandle;

use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::connections::Network;
use crate::connections::RECORDS_EACH;
use crate::line;
use crate::place::Place;
use crate::waiting::wait_for;

/// Holds what the heaviest load here makes while a consumer does not read and connledger waits for it.
const RING_SIZE: &str = "64MiB";

/// Lines that a thread reads as fast as they come.
struct Lines {
    lines: Arc<Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Lines {
    fn read(from: impl Read + Send + 'static) -> Self {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&lines);
        let reader = thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = String::new();
            // The last line of one that was killed may be torn, and is not taken.
            while from.read_line(&mut line).expect("UTF-8") > 0 && line.ends_with('\n') {
                line.pop();
                written.lock().unwrap().push(std::mem::take(&mut line));
            }
        });
        Self { lines, reader }
    }

    fn count(&self) -> usize {
        self.lines.lock().unwrap().len()
    }

    fn any(&self, wanted: impl Fn(&str) -> bool) -> bool {
        self.lines.lock().unwrap().iter().any(|line| wanted(line))
    }

    fn so_far(&self) -> String {
        self.lines.lock().unwrap().join("\n")
    }

    /// All of them, once there will be no more.
    fn finish(self) -> Vec<String> {
        self.reader.join().expect("reader");
        std::mem::take(&mut self.lines.lock().unwrap())
    }
}

/// It is killed when this goes.
pub struct Shipper {
    child: Child,
    output: String,
    network: Network,
    stdout: Option<Lines>,
    stderr: Option<Lines>,
}

/// What a connledger that has ended had to say.
pub struct Sent {
    /// What went to standard output.
    pub lines: Vec<String>,
    /// What it said of itself.
    pub messages: Vec<String>,
    /// The output to the consumer, as records name it.
    pub output: String,
    pub run: String,
}

impl Shipper {
    /// Starts one that writes to the consumer of this place, with these options of the output, and waits until it
    /// traces. What it tells are the connections of a network of its own.
    pub fn start(place: &Place, options: &str) -> Self {
        let network = Network::enter();
        let output = place.output();
        let mut child = Command::new(env!("CARGO_BIN_EXE_connledger"))
            .args(["--netns", &network.netns.to_string(), "--ring-size", RING_SIZE])
            .args(["-o", "stdout", "-o", &format!("{output}{options}")])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("connledger");
        let stdout = Some(Lines::read(child.stdout.take().expect("stdout")));
        let stderr = Some(Lines::read(child.stderr.take().expect("stderr")));
        let mut shipper = Self { child, output, network, stdout, stderr };
        let ready = |line: &str| line.contains(r#""event":"ready""#);
        shipper.wait_for("ready", |shipper| shipper.stdout().any(ready));
        shipper
    }

    /// Makes so many connections.
    pub fn connect(&self, connections: usize) {
        self.network.connect(connections);
    }

    /// Makes so many connections, and waits until they are told on standard output.
    pub fn trace(&mut self, connections: usize) {
        let before = self.stdout().count();
        self.network.connect(connections);
        // This kernel may hide a few from all BPF programs.
        let wanted = before + connections * RECORDS_EACH * 99 / 100;
        self.wait_for("events", |shipper| shipper.stdout().count() >= wanted);
    }

    /// Makes so many connections, while `meanwhile` does something else.
    pub fn connect_while<T>(&self, connections: usize, meanwhile: impl FnOnce() -> T) -> T {
        thread::scope(|scope| {
            scope.spawn(|| self.network.connect(connections));
            meanwhile()
        })
    }

    /// Waits until it says something on standard error that contains all of this.
    pub fn wait_for_words(&mut self, words: &[&str]) {
        let says = |line: &str| words.iter().all(|word| line.contains(word));
        self.wait_for(&words.join(" … "), |shipper| shipper.stderr().any(says));
    }

    /// The number of the last record so far.
    pub fn last(&self) -> (String, u64) {
        let lines = self.stdout().lines.lock().unwrap();
        let last = line::parse(lines.last().expect("lines"));
        (last.run, last.seq)
    }

    /// Stops it as Ctrl-C does. All that it wrote has come to the consumer, or it would not end.
    pub fn stop(mut self) -> Sent {
        self.signal(Signal::SIGINT);
        let status = self.wait();
        let sent = self.sent();
        assert!(status.success(), "{status}: {}", sent.messages.join("\n"));
        sent
    }

    /// Kills it, in whatever it does.
    pub fn kill(mut self) -> Sent {
        self.signal(Signal::SIGKILL);
        self.wait();
        self.sent()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal).expect("kill");
    }

    fn sent(&mut self) -> Sent {
        let lines = self.stdout.take().expect("not ended before").finish();
        let messages = self.stderr.take().expect("not ended before").finish();
        let run = line::parse(&lines[0]).run;
        Sent { lines, messages, output: self.output.clone(), run }
    }

    fn wait(&mut self) -> ExitStatus {
        wait_for(
            self,
            |shipper| shipper.child.try_wait().expect("wait"),
            |shipper| format!("connledger does not end; it says {}", shipper.stderr().so_far()),
        )
    }

    fn wait_for(&mut self, what: &str, there: impl Fn(&Self) -> bool) {
        wait_for(
            self,
            |shipper| {
                if there(shipper) {
                    return Some(());
                }
                let ended = shipper.child.try_wait().expect("wait");
                assert!(ended.is_none(), "no {what}, {ended:?}: {}", shipper.stderr().so_far());
                None
            },
            |shipper| format!("no {what}; connledger says {}", shipper.stderr().so_far()),
        );
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pid"))
    }

    fn stdout(&self) -> &Lines {
        self.stdout.as_ref().expect("it runs")
    }

    fn stderr(&self) -> &Lines {
        self.stderr.as_ref().expect("it runs")
    }
}

impl Drop for Shipper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
