//! The stage of one test: a network namespace and a folder of its own, connections made in it, and a connledger that
//! tells of nothing else.

use std::fs::File;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStderr;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use socket2::SockRef;
use tempfile::TempDir;

use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::skip::can_trace;

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Each connection is told four times: connect, accept, and the close of each end.
pub const EVENTS_EACH: usize = 4;

/// A namespace, and a folder.
pub struct Scene {
    namespace: Namespace,
    folder: TempDir,
}

impl Scene {
    /// None where nothing can be traced.
    pub fn set() -> Option<Self> {
        can_trace().then(|| Self {
            namespace: Namespace::enter(),
            folder: TempDir::new().expect("a folder"),
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    /// Starts a connledger that tells of this namespace, and waits until it is ready.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_into(Stdio::null(), args)
    }

    /// The same, with its standard output somewhere.
    pub fn start_into(&self, stdout: Stdio, args: &[&str]) -> Running {
        let mut running = Running::spawn(self.command(args).stdout(stdout));
        running.wait_until_said("tracing; Ctrl-C stops");
        running
    }

    /// Starts one that must not come far. Returns what it said.
    pub fn start_in_vain(&self, args: &[&str]) -> String {
        let mut running = Running::spawn(self.command(args).stdout(Stdio::null()));
        let status = running.wait();
        assert_eq!(status.code(), Some(1), "{}", running.said());
        running.said()
    }

    /// A connledger that tells of this namespace, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_connledger"));
        let netns = self.namespace.netns.to_string();
        // Room for what tests make, however slow the machine is.
        command.args(["--netns", &netns, "--ring-size", "64MiB"]).args(args);
        command
    }

    /// Makes so many connections, one after the other, each to its end at both ends.
    #[allow(clippy::unused_self, reason = "they are made in its namespace")]
    pub fn connect(&self, connections: usize) {
        let server = Server::start();
        for _ in 0..connections {
            server.connect();
        }
    }

    /// Makes connections in the background, each so long after the one before.
    #[allow(clippy::unused_self, reason = "they are made in its namespace")]
    pub fn load(&self, pause: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        // A thread lives in the namespace of the one that starts it.
        let thread = thread::spawn(move || {
            let server = Server::start();
            let mut connections = 0;
            while !stopped.load(Ordering::Relaxed) {
                server.connect();
                connections += 1;
                thread::sleep(pause);
            }
            connections
        });
        Load { stop, thread: Some(thread) }
    }
}

const GO_ON: [u8; 1] = *b"g";
const QUIT: [u8; 1] = *b"q";

/// Accepts connections and closes them, until one of them says that it is the last.
struct Server(SocketAddr);

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind(v4()).expect("a listener");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut byte = [0];
                // A client whose test failed has sent nothing.
                let read = stream.expect("a connection").read(&mut byte).unwrap_or(0);
                if read == 0 || byte == QUIT {
                    return;
                }
            }
        });
        Self(address)
    }

    /// Connects, waits until the other end has closed, and closes with RST, so that no port stays in TIME_WAIT.
    fn connect(&self) {
        let mut stream = self.send(GO_ON);
        assert_eq!(stream.read(&mut [0]).expect("its end"), 0);
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
    }

    fn send(&self, byte: [u8; 1]) -> TcpStream {
        let mut stream = TcpStream::connect(self.0).expect("a connection");
        stream.write_all(&byte).expect("a byte");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.send(QUIT);
    }
}

/// Connections that are being made.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<usize>>,
}

impl Load {
    /// Makes no more. Returns how many there were.
    pub fn end(mut self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().expect("it has not ended").join().expect("connections")
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// A running connledger.
pub struct Running {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it, and takes down what it says.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().expect("connledger");
        let stderr = child.stderr.take().expect("stderr");
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        let listener = thread::spawn(move || listen(stderr, &heard));
        Self { child, said, listener: Some(listener) }
    }

    /// Its process id.
    pub fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("pid"))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        nix::sys::signal::kill(self.pid(), signal).expect("kill");
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// How often it has said this.
    pub fn times_said(&self, text: &str) -> usize {
        self.said().matches(text).count()
    }

    /// Waits until it has said this.
    pub fn wait_until_said(&mut self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.times_said(text) == 0 {
            let ended = self.child.try_wait().expect("wait");
            assert!(ended.is_none(), "it ended, {ended:?}, having said {}", self.said());
            assert!(Instant::now() < deadline, "no '{text}' in {}", self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Stops it as Ctrl-C does; it must end well. Returns what it said.
    pub fn stop(mut self) -> String {
        self.signal(Signal::SIGINT);
        let status = self.wait();
        assert!(status.success(), "{status}: {}", self.said());
        self.said()
    }

    /// Stops it; it must say that it could not write everything. Returns what it said.
    pub fn stop_in_vain(mut self) -> String {
        self.signal(Signal::SIGINT);
        let status = self.wait();
        assert_eq!(status.code(), Some(1), "{status}: {}", self.said());
        self.said()
    }

    /// Kills it.
    pub fn kill(mut self) {
        self.child.kill().expect("kill");
        self.wait();
    }

    /// Waits until it ends.
    pub fn wait(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("wait") {
                break status;
            }
            assert!(Instant::now() < deadline, "it does not end: {}", self.said());
            thread::sleep(Duration::from_millis(5));
        };
        if let Some(listener) = self.listener.take() {
            listener.join().expect("stderr");
        }
        status
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After a failed test; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(stderr: ChildStderr, said: &Mutex<String>) {
    for line in BufReader::new(stderr).lines() {
        let line = line.expect("UTF-8");
        let mut said = said.lock().unwrap();
        said.push_str(&line);
        said.push('\n');
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A file for somebody's standard output.
pub fn created(path: &Path) -> Stdio {
    Stdio::from(File::create(path).expect("a file"))
}
