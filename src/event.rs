//! What happened: the events of connections, as they leave the kernel, free of its byte orders and
//! layouts. What they become in a log is the encoders' business; what number they get, the ledger's.

use std::net::IpAddr;
use std::sync::Arc;

/// How many kinds of events the kernel side has room for. One place in every array of counters each.
pub const KINDS: usize = 8;

/// A kind of event. The values are those of `enum cl_kind` in bpf/record.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A handshake that this host began has ended, well or not
    Connect = 0,
    /// A process took a connection from a listener's queue
    Accept = 1,
    /// An established connection is over
    Close = 2,
}

impl Kind {
    /// Every kind, in the order of the wire's numbers.
    pub const ALL: [Self; 3] = [Self::Connect, Self::Accept, Self::Close];

    /// As it stands in a record's `event`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Close => "close",
        }
    }
}

/// One event of one connection.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// When it happened: nanoseconds of CLOCK_BOOTTIME.
    pub time_ns: u64,
    /// The connection.
    pub conn: Conn,
    /// The process that the connection belongs to; `None` if the kernel side could not tell.
    pub owner: Option<Owner>,
    /// What happened to it.
    pub action: Action,
}

/// What happened to a connection, and what is known only then.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// The handshake ended.
    Connect {
        /// How.
        outcome: Outcome,
        /// The kernel's error number; 0 if there is none.
        errno: u32,
        /// From the first SYN to the end of the handshake, nanoseconds.
        latency_ns: Option<u64>,
    },
    /// A process accepted it.
    Accept {
        /// How long it had waited in the accept queue, nanoseconds.
        wait_ns: Option<u64>,
    },
    /// It is over.
    Close(Close),
}

/// The figures of a connection's whole life.
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    /// From established to closed, nanoseconds.
    pub duration_ns: Option<u64>,
    /// Bytes of the application, without what was sent again.
    pub bytes_sent: u64,
    /// Bytes of the application.
    pub bytes_received: u64,
    /// TCP segments, of every kind.
    pub segments_sent: u32,
    /// TCP segments, of every kind.
    pub segments_received: u32,
    /// Segments that were sent again.
    pub retransmits: u32,
    /// Smoothed round trip time, microseconds; `None` if never measured.
    pub rtt_us: Option<u32>,
    /// Who ended it; `None` if the kernel side saw neither a FIN nor a cause.
    pub closed_by: Option<ClosedBy>,
    /// The kernel's error number; 0 if it ended in order.
    pub errno: u32,
}

/// How a handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection stands.
    Established,
    /// The peer's host answered that nobody listens (ECONNREFUSED).
    Refused,
    /// Nobody answered in time (ETIMEDOUT).
    TimedOut,
    /// The network says that there is no way (EHOSTUNREACH, ENETUNREACH, …).
    Unreachable,
    /// The peer reset it (ECONNRESET).
    Reset,
    /// This side gave up: the call was interrupted, or the socket closed, before an answer came.
    Aborted,
    /// Another error; `errno` names it.
    Failed,
}

impl Outcome {
    /// The outcome of a handshake that failed, by the socket's error.
    #[must_use]
    pub const fn of_error(errno: u32) -> Self {
        match errno {
            0 => Self::Aborted,
            errno::ECONNREFUSED => Self::Refused,
            errno::ETIMEDOUT => Self::TimedOut,
            errno::EHOSTUNREACH
            | errno::ENETUNREACH
            | errno::ENETDOWN
            | errno::EHOSTDOWN
            | errno::ENONET => Self::Unreachable,
            errno::ECONNRESET => Self::Reset,
            _ => Self::Failed,
        }
    }

    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::Refused => "refused",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::Aborted => "aborted",
            Self::Failed => "failed",
        }
    }
}

/// Who ended an established connection. A reset or a timeout outweighs a FIN that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side sent the first FIN.
    Local,
    /// The peer sent the first FIN.
    Remote,
    /// This side sent RST: linger 0, unread data, or an administrator.
    LocalReset,
    /// The peer sent RST.
    RemoteReset,
    /// The peer no longer answered.
    Timeout,
}

impl ClosedBy {
    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::LocalReset => "local_reset",
            Self::RemoteReset => "remote_reset",
            Self::Timeout => "timeout",
        }
    }
}

/// An end of a connection, where it matters which of the two did something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// This host.
    Local,
    /// The peer.
    Remote,
}

impl Side {
    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// Who a connection is and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conn {
    /// The socket's cookie; `None` if the kernel had not given it one yet.
    pub cookie: Option<u64>,
    /// Counts the connections made one after another on one socket, from 0.
    pub generation: u32,
    /// Inode number of the network namespace.
    pub netns: u32,
    /// This host's end.
    pub local: Endpoint,
    /// The peer's end.
    pub remote: Endpoint,
    /// An IPv6 socket that speaks IPv4: the addresses are given as IPv4.
    pub v4_mapped: bool,
    /// Which end sent the SYN; `None` if it was there before tracing began.
    pub opened_by: Option<Side>,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; never a v4-mapped one.
    pub ip: IpAddr,
    /// Host byte order.
    pub port: u16,
    /// The interface a link-local address belongs to; 0 for any other.
    pub scope_id: u32,
}

/// A name that the kernel holds: any bytes, not always terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comm(pub [u8; 16]);

impl Comm {
    /// The bytes before the first NUL, or all sixteen.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let len = self.0.iter().position(|&b| b == 0).unwrap_or(self.0.len());
        &self.0[..len]
    }
}

/// A process as it was when it called.
#[derive(Clone, Debug, PartialEq)]
pub struct Owner {
    /// Which image of which process.
    pub image: ImageKey,
    /// The thread.
    pub tid: u32,
    /// Real user, in the initial user namespace.
    pub uid: u32,
    /// Real group, in the initial user namespace.
    pub gid: u32,
    /// Id of the cgroup in the version 2 hierarchy; 0 if there is none.
    pub cgroup_id: u64,
    /// The thread's name.
    pub comm: Comm,
    /// Which call tied the process to the connection.
    pub attribution: Attribution,
    /// What the kernel side told about the image ahead of its first event; the ledger joins it.
    pub details: Option<Arc<Image>>,
}

/// Names a process image: an exec makes a new image of the same process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageKey {
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Counts the execs.
    pub exec_id: u32,
    /// Start of the process: nanoseconds of CLOCK_BOOTTIME.
    pub start_ns: u64,
}

/// What is told once about a process image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Start of the process: nanoseconds since 1970, as the clock stood when the image was announced.
    pub started_unix_ns: u64,
    /// The parent at that time.
    pub ppid: u32,
    /// The parent's name.
    pub parent_comm: Comm,
}

/// Which call tied a process to a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribution {
    /// It called connect, or sent with fast open.
    Connect,
    /// It accepted the connection.
    Accept,
    /// It owns the listening socket; nobody has accepted the connection yet, as far as is known.
    Listener,
    /// It held the socket when tracing began.
    Holder,
}

impl Attribution {
    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Listener => "listener",
            Self::Holder => "holder",
        }
    }
}

/// What comes out of the ring buffer.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An event.
    Event(Event),
    /// A process image, ahead of its first event.
    Process(Announcement),
}

/// The kernel side's description of a process image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announcement {
    /// Which image.
    pub image: ImageKey,
    /// The parent.
    pub ppid: u32,
    /// The parent's name.
    pub parent_comm: Comm,
}

/// Error numbers of Linux: the ones that a TCP socket can end with.
pub mod errno {
    macro_rules! errnos {
        ($($name:ident = $value:literal),* $(,)?) => {
            $(#[doc = concat!("errno ", $value)] pub const $name: u32 = $value;)*

            /// The name of an error number, or `None` if it is not one that a TCP socket ends with.
            #[must_use]
            pub const fn name(number: u32) -> Option<&'static str> {
                match number {
                    $($name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        };
    }
    // The same numbers on x86-64, arm64, riscv64 and s390x (include/uapi/asm-generic/errno*.h).
    errnos! {
        EPERM = 1, EINTR = 4, EIO = 5, EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14,
        EINVAL = 22, EPIPE = 32, ENONET = 64, ECOMM = 70, EPROTO = 71, EMSGSIZE = 90, EPROTOTYPE = 91,
        ENOPROTOOPT = 92, EPROTONOSUPPORT = 93, EOPNOTSUPP = 95, EAFNOSUPPORT = 97, EADDRINUSE = 98,
        EADDRNOTAVAIL = 99, ENETDOWN = 100, ENETUNREACH = 101, ENETRESET = 102, ECONNABORTED = 103,
        ECONNRESET = 104, ENOBUFS = 105, ETIMEDOUT = 110, ECONNREFUSED = 111, EHOSTDOWN = 112,
        EHOSTUNREACH = 113, ECANCELED = 125, EKEYREJECTED = 129,
    }
}
