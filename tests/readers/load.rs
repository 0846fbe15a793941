//! What happens on the traced host: some 12,700 attempts to connect on the loopback device, each by a thread with a
//! name of its own, with outcomes, bytes and waits that are known beforehand.

use std::fs;
use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use socket2::Domain;
use socket2::SockRef;
use socket2::Socket;
use socket2::Type;

use crate::log::wait_until;
use crate::namespace::ip;
use crate::namespace::nft;
use crate::sockets::tcp_info;

/// Clients of one server: the thread's name, its address, the server's port, and how often it comes.
pub struct Talker {
    pub comm: &'static str,
    pub from: &'static str,
    pub times: usize,
}

/// Who talks to the server on [`SHOP`]: over IPv4 and IPv6.
pub const TALKERS: [Talker; 3] = [
    Talker { comm: "curl", from: "127.0.0.2", times: 6200 },
    Talker { comm: "wget", from: "127.0.0.3", times: 4000 },
    Talker { comm: "phone", from: "::1", times: 1500 },
];
/// What each of them is sent, bytes.
pub const ANSWER: usize = 317;
pub const SHOP: u16 = 8080;

/// Connections that their client resets.
pub const IMPATIENT: usize = 400;
pub const DOOR: u16 = 8081;

/// Attempts that fail: outcome, errno, the thread's name, and how often. Some have no errno.
pub const FAILURES: [(&str, &str, &str, usize); 5] = [
    ("refused", "ECONNREFUSED", "crawler", 500),
    ("unreachable", "ENETUNREACH", "mailer", 150),
    ("failed", "EACCES", "batch", 50),
    ("timed_out", "ETIMEDOUT", "backup", 20),
    ("aborted", "", "hasty", 30),
];
/// Nobody listens.
const CLOSED: &str = "127.0.0.1:8082";
/// No route leads there, and one that prohibits it (addresses of RFC 5737).
const NOWHERE: &str = "198.51.100.7:25";
const PROHIBITED: &str = "203.0.113.9:443";
/// SYNs get lost.
const LOST: &str = "127.0.0.1:8083";

/// Connections whose first SYN is not sent: the kernel sends it again after a second.
pub const SLOW: usize = 3;
pub const SLOW_PORT: u16 = 8084;

/// Connections that carry so many bytes, from the thread named `archive`.
pub const HEAVY: [usize; 3] = [64 << 20, 16 << 20, 4 << 20];
pub const HEAVY_PORT: u16 = 8085;

/// A connection whose data is sent again so often, by the thread named `lossy`.
pub const RETRANSMITS: u32 = 3;
pub const LOSSY_PORT: u16 = 8086;

/// Connections that wait so long until they are accepted, all of them by the thread named `lazy`.
pub const WAITING: usize = 40;
pub const WAIT: Duration = Duration::from_millis(400);
pub const LAZY_PORT: u16 = 8087;

/// A connection that was there before.
const EARLY_PORT: u16 = 8088;

/// A thread whose name is none that JSON can hold as it is, and how often it connects to [`SHOP`].
pub const ODD: &[u8] = b"q\"b\\s\x01t\te\xc3\xa9\xff";
pub const ODD_TIMES: usize = 50;

/// Attempts to connect that are established.
pub fn established() -> usize {
    let talks: usize = TALKERS.iter().map(|talker| talker.times).sum();
    talks + ODD_TIMES + IMPATIENT + SLOW + HEAVY.len() + 1 + WAITING
}

/// A connection that is there when tracing begins, and ends when this goes.
pub fn before() -> impl Sized {
    let listener = listener([127, 0, 0, 1], EARLY_PORT);
    let client = connect("127.0.0.9", EARLY_PORT);
    let server = listener.accept().unwrap();
    (client, server, listener)
}

/// Does all of it in the calling thread's network namespace.
pub fn run() {
    ip(&["route", "add", "prohibit", "203.0.113.9"]);
    thread::scope(|scope| {
        let part = |name: &str, work: fn()| {
            thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).unwrap();
        };
        part("main", talks);
        part("main", resets);
        part("crawler", refused);
        part("mailer", || fails_at_once(NOWHERE, 150, ErrorKind::NetworkUnreachable));
        part("batch", || fails_at_once(PROHIBITED, 50, ErrorKind::PermissionDenied));
        part("main", lost_syns);
        part("slow", slow_handshakes);
        part("archive", heavy);
        part("lossy", retransmits);
        part("lazy", long_waits);
    });
}

/// Nothing is left but what waits in TIME_WAIT for late segments, which is over for connledger.
pub fn no_socket_is_open() -> bool {
    ["tcp", "tcp6"].iter().all(|table| {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap();
        table.lines().skip(1).all(|line| line.split_whitespace().nth(3) == Some("06"))
    })
}

/// Runs `work` in a thread of this name, beside the caller.
fn named<'s, T: Send + 's>(
    scope: &'s thread::Scope<'s, '_>,
    name: &str,
    work: impl FnOnce() -> T + Send + 's,
) {
    thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).unwrap();
}

fn listener(address: impl Into<IpAddr>, port: u16) -> TcpListener {
    TcpListener::bind((address.into(), port)).unwrap()
}

fn localhost(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

/// Connects from an address to a port of the same host.
fn connect(from: &str, port: u16) -> TcpStream {
    let from: IpAddr = from.parse().unwrap();
    let to: IpAddr = if from.is_ipv4() { [127, 0, 0, 1].into() } else { from };
    let socket = Socket::new(Domain::for_address((to, port).into()), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from((to, port)).into()).unwrap();
    socket.into()
}

fn talks() {
    let v4 = listener([127, 0, 0, 1], SHOP);
    let v6 = listener([0, 0, 0, 0, 0, 0, 0, 1], SHOP);
    let serve = |listener: &TcpListener, times: usize| {
        for _ in 0..times {
            listener.accept().unwrap().0.write_all(&[b'x'; ANSWER]).unwrap();
        }
    };
    let talk = |from: &str, times: usize| {
        for _ in 0..times {
            let mut answer = Vec::new();
            connect(from, SHOP).read_to_end(&mut answer).unwrap();
            assert_eq!(answer.len(), ANSWER);
        }
    };
    thread::scope(|scope| {
        let v4_times = TALKERS[0].times + TALKERS[1].times + ODD_TIMES;
        named(scope, "shop", move || serve(&v4, v4_times));
        named(scope, "shop", move || serve(&v6, TALKERS[2].times));
        for talker in &TALKERS {
            named(scope, talker.comm, move || talk(talker.from, talker.times));
        }
        named(scope, "odd", move || {
            fs::write("/proc/thread-self/comm", ODD).unwrap();
            talk("127.0.0.4", ODD_TIMES);
        });
    });
}

/// So many connections, one after the other, within the calling thread's namespace.
pub fn chat(times: usize) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    for _ in 0..times {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop(listener.accept().unwrap());
        drop(client);
    }
}

/// Linger 0: the client sends RST instead of FIN.
fn resets() {
    let listener = listener([127, 0, 0, 1], DOOR);
    thread::scope(|scope| {
        named(scope, "door", || {
            for _ in 0..IMPATIENT {
                let (mut server, _) = listener.accept().unwrap();
                let error = server.read(&mut [0; 8]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            }
        });
        named(scope, "impatient", || {
            for _ in 0..IMPATIENT {
                let client = connect("127.0.0.5", DOOR);
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
        });
    });
}

fn refused() {
    fails_at_once(CLOSED, 500, ErrorKind::ConnectionRefused);
}

fn fails_at_once(remote: &str, times: usize, error: ErrorKind) {
    for _ in 0..times {
        assert_eq!(TcpStream::connect(remote).unwrap_err().kind(), error);
    }
}

/// What matches these conditions is not sent, until the table is deleted: the sender's attempt to transmit fails.
fn drop_outgoing(table: &str, conditions: &str) {
    nft(&format!(
        "table inet {table} {{ chain c {{ type filter hook output priority 0; {conditions} drop; }}; }}"
    ));
}

/// Begins to connect without waiting.
fn begin(remote: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let error = socket.connect(&remote.into()).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(nix::libc::EINPROGRESS));
    socket
}

/// Waits until it is known what became of it.
fn wait_connected(socket: &Socket) -> Option<ErrorKind> {
    let mut poll = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    assert_eq!(nix::poll::poll(&mut poll, PollTimeout::from(30_000_u16)), Ok(1));
    socket.take_error().unwrap().map(|error| error.kind())
}

fn lost_syns() {
    drop_outgoing("lost", "tcp dport 8083");
    let lost: SocketAddr = LOST.parse().unwrap();
    thread::scope(|scope| {
        named(scope, "hasty", move || drop((0..30).map(|_| begin(lost)).collect::<Vec<_>>()));
        named(scope, "backup", move || {
            let attempts: Vec<Socket> = (0..20)
                .map(|_| {
                    let socket = begin(lost);
                    socket.set_tcp_user_timeout(Some(Duration::from_millis(500))).unwrap();
                    socket
                })
                .collect();
            for socket in attempts {
                assert_eq!(wait_connected(&socket), Some(ErrorKind::TimedOut));
            }
        });
    });
}

fn slow_handshakes() {
    let listener = listener([127, 0, 0, 1], SLOW_PORT);
    drop_outgoing("slow", "tcp dport 8084");
    let attempts: Vec<Socket> = (0..SLOW).map(|_| begin(localhost(SLOW_PORT))).collect();
    nft("delete table inet slow");
    for socket in attempts {
        assert_eq!(wait_connected(&socket), None);
        drop(listener.accept().unwrap());
    }
}

fn heavy() {
    let listener = listener([127, 0, 0, 1], HEAVY_PORT);
    thread::scope(|scope| {
        named(scope, "vault", || {
            for bytes in HEAVY {
                let (mut server, _) = listener.accept().unwrap();
                assert_eq!(std::io::copy(&mut server, &mut std::io::sink()).unwrap(), bytes as u64);
            }
        });
        for bytes in HEAVY {
            connect("127.0.0.6", HEAVY_PORT).write_all(&vec![b'x'; bytes]).unwrap();
        }
    });
}

/// Its data arrives only when it has been sent again so often.
fn retransmits() {
    let listener = listener([127, 0, 0, 1], LOSSY_PORT);
    let mut client = connect("127.0.0.7", LOSSY_PORT);
    let (mut server, _) = listener.accept().unwrap();
    nft(
        "table inet lossy { chain c { type filter hook input priority 0; tcp dport 8086 drop; }; }",
    );
    client.write_all(b"lost").unwrap();
    let sent_again = || tcp_info(&client).tcpi_total_retrans >= RETRANSMITS;
    wait_until(sent_again, "retransmit");
    nft("delete table inet lossy");
    server.read_exact(&mut [0; 4]).unwrap();
}

fn long_waits() {
    let listener = listener([127, 0, 0, 1], LAZY_PORT);
    let clients: Vec<TcpStream> = (0..WAITING).map(|_| connect("127.0.0.8", LAZY_PORT)).collect();
    // What is measured is this wait.
    thread::sleep(WAIT);
    for _ in clients {
        drop(listener.accept().unwrap());
    }
}
