//! Readers at UNIX sockets, who can be absent, stall, hang up and die.

use std::fs;
use std::io;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixDatagram;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;

use nix::sys::socket::MsgFlags;
use nix::sys::socket::recv;

use crate::scene::wait_until;

/// How often a reader looks whether it shall do something else.
const LOOK: Duration = Duration::from_millis(5);

/// Where it sits.
enum Socket {
    Listener(UnixListener),
    Stream(UnixStream),
    Datagrams(UnixDatagram),
}

/// A reader with its own thread. When it goes away the socket's file stays, as if it were killed.
pub struct Reader {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Another handle to a datagram socket, to look at what lies unread. It goes with the reader.
    datagrams: Option<UnixDatagram>,
}

#[derive(Default)]
struct Shared {
    got: Mutex<Vec<u8>>,
    stalled: AtomicBool,
    dead: AtomicBool,
}

impl Reader {
    /// Listens at a stream socket; one connection after the other. It hangs up at each line for which `refuse` says
    /// so, and has not got it then, nor what it read behind it.
    pub fn listen(path: &Path, refuse: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        Self::read(Socket::Listener(UnixListener::bind(path).expect("a socket")), refuse)
    }

    /// One that takes everything.
    pub fn at(path: &Path) -> Self {
        Self::listen(path, |_| false)
    }

    /// One at a datagram socket.
    pub fn of_datagrams(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).expect("a socket");
        let unread = socket.try_clone().expect("another one");
        let mut reader = Self::read(Socket::Datagrams(socket), |_| false);
        reader.datagrams = Some(unread);
        reader
    }

    fn read(socket: Socket, refuse: impl FnMut(&str) -> bool + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let reading = Arc::clone(&shared);
        let thread = thread::spawn(move || reading.run(socket, refuse));
        Self { shared, thread: Some(thread), datagrams: None }
    }

    /// Reads nothing more.
    pub fn stall(&self) {
        self.shared.stalled.store(true, Ordering::SeqCst);
    }

    /// Waits until a datagram lies unread.
    pub fn wait_for_unread(&self) {
        let socket = self.datagrams.as_ref().expect("a datagram socket").as_raw_fd();
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        wait_until("a datagram lies unread", || recv(socket, &mut [0], flags).is_ok());
    }

    /// Reads again.
    pub fn resume(&self) {
        self.shared.stalled.store(false, Ordering::SeqCst);
    }

    /// What it got so far, in whole lines.
    pub fn got(&self) -> Vec<u8> {
        self.shared.got.lock().unwrap().clone()
    }

    /// How many lines it got.
    pub fn lines(&self) -> usize {
        lines_in(&self.got())
    }

    /// Goes away at once, with whatever is unread. What it got stays.
    pub fn die(mut self) -> Vec<u8> {
        self.shared.dead.store(true, Ordering::SeqCst);
        self.thread.take().expect("it lives").join().expect("it read lines");
        self.got()
    }

    /// Waits until it has got this, and goes away.
    pub fn until(self, text: &str) -> Vec<u8> {
        wait_until(text, || {
            let thread = self.thread.as_ref().expect("it lives");
            assert!(!thread.is_finished(), "the reader has failed");
            let got = self.got();
            got.windows(text.len()).any(|window| window == text.as_bytes())
        });
        self.die()
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.dead.store(true, Ordering::SeqCst);
    }
}

impl Shared {
    fn run(&self, mut socket: Socket, mut refuse: impl FnMut(&str) -> bool) {
        let mut listener = None;
        let mut bytes = Vec::new();
        let mut buffer = vec![0; 1 << 16];
        socket.set_looking();
        while !self.dead.load(Ordering::SeqCst) {
            if self.stalled.load(Ordering::SeqCst) {
                thread::sleep(LOOK);
                continue;
            }
            let hung_up = match socket.read(&mut buffer) {
                Ok(Got::Connection(stream)) => {
                    listener = Some(std::mem::replace(&mut socket, Socket::Stream(stream)));
                    socket.set_looking();
                    false
                }
                Ok(Got::Bytes(0)) => true,
                Ok(Got::Bytes(count)) => {
                    bytes.extend_from_slice(&buffer[..count]);
                    !self.take_lines(&mut bytes, &mut refuse)
                }
                Err(err) if err.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(if matches!(socket, Socket::Listener(_)) {
                        LOOK
                    } else {
                        Duration::ZERO
                    });
                    false
                }
                Err(err) => panic!("{err}"),
            };
            if hung_up {
                bytes.clear();
                socket = listener.take().expect("a stream has one");
            }
        }
    }

    /// False if one of them makes it hang up.
    fn take_lines(&self, bytes: &mut Vec<u8>, refuse: &mut impl FnMut(&str) -> bool) -> bool {
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        for line in bytes.drain(..whole).collect::<Vec<_>>().split_inclusive(|&b| b == b'\n') {
            if refuse(std::str::from_utf8(line).expect("UTF-8")) {
                return false;
            }
            self.got.lock().unwrap().extend_from_slice(line);
        }
        true
    }
}

enum Got {
    Connection(UnixStream),
    Bytes(usize),
}

impl Socket {
    fn set_looking(&self) {
        match self {
            Self::Listener(listener) => listener.set_nonblocking(true),
            Self::Stream(stream) => stream.set_read_timeout(Some(LOOK)),
            Self::Datagrams(socket) => socket.set_read_timeout(Some(LOOK)),
        }
        .expect("a socket");
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        Ok(match self {
            Self::Listener(listener) => Got::Connection(listener.accept()?.0),
            Self::Stream(stream) => Got::Bytes(stream.read(buffer)?),
            // A line, as everybody makes of it.
            Self::Datagrams(socket) => {
                let count = socket.recv(buffer)?;
                assert!(buffer[..count].ends_with(b"}"), "one object, and nothing else");
                buffer[count] = b'\n';
                Got::Bytes(count + 1)
            }
        })
    }
}

/// Makes way for the next reader.
pub fn remove(path: &Path) {
    fs::remove_file(path).expect("a socket");
}

/// How many whole lines there are.
pub fn lines_in(bytes: &[u8]) -> usize {
    bytes.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n")).count()
}
