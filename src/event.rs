//! What happened: the events of connections, as they leave the kernel, free of its byte orders and
//! layouts. What they become in a log is the encoders' business; what number they get, the ledger's.

pub mod errno;

use std::net::IpAddr;
use std::sync::Arc;

/// How many kinds of events the kernel side has room for. One place in every array of counters each.
pub const KINDS: usize = 8;

/// A kind of event. The values are those of `enum cl_kind` in bpf/record.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Kind {
    /// A handshake that this host began has ended, well or not
    Connect = 0,
    /// A process took a connection from a listener's queue
    Accept = 1,
    /// An established connection is over
    Close = 2,
    /// A connection was there when tracing began
    Open = 3,
    /// A socket begins or ends to listen
    Listen = 4,
    /// A segment was sent again
    Retransmit = 5,
    /// A RST was sent or received
    Reset = 6,
}

impl Kind {
    /// Every kind, in the order of the wire's numbers.
    pub const ALL: [Self; 7] = [
        Self::Connect,
        Self::Accept,
        Self::Close,
        Self::Open,
        Self::Listen,
        Self::Retransmit,
        Self::Reset,
    ];

    /// As it stands in a record's `event`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Accept => "accept",
            Self::Close => "close",
            Self::Open => "open",
            Self::Listen => "listen",
            Self::Retransmit => "retransmit",
            Self::Reset => "reset",
        }
    }
}

/// One event of one connection, or of a socket that listens.
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
    /// It was there when tracing began.
    Open {
        /// In this state; a listener too.
        state: State,
    },
    /// The socket begins or ends to listen.
    Listen {
        /// It begins.
        begins: bool,
        /// Connections that may wait to be accepted, as the kernel has limited it; `None` for MPTCP,
        /// where the kernel does not say at that moment.
        backlog: Option<u32>,
    },
    /// A segment was sent again.
    Retransmit {
        /// In this state.
        state: State,
    },
    /// A RST was sent or received.
    Reset {
        /// By whom it was sent.
        by: Side,
        /// In this state; `None` if there is no socket.
        state: Option<State>,
    },
}

impl Action {
    /// Which kind of event it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Connect { .. } => Kind::Connect,
            Self::Accept { .. } => Kind::Accept,
            Self::Close(_) => Kind::Close,
            Self::Open { .. } => Kind::Open,
            Self::Listen { .. } => Kind::Listen,
            Self::Retransmit { .. } => Kind::Retransmit,
            Self::Reset { .. } => Kind::Reset,
        }
    }
}

/// The state of a TCP socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Both directions are open.
    Established,
    /// It connects.
    SynSent,
    /// It was asked for a connection.
    SynRecv,
    /// This side has sent FIN.
    FinWait1,
    /// This side has sent FIN, and the peer has seen it.
    FinWait2,
    /// Both have sent FIN; late segments are waited for.
    TimeWait,
    /// It is over.
    Close,
    /// The peer has sent FIN.
    CloseWait,
    /// The peer has sent FIN, then this side.
    LastAck,
    /// It listens.
    Listen,
    /// Both have sent FIN at the same time.
    Closing,
}

impl State {
    /// As it stands in a record.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn_sent",
            Self::SynRecv => "syn_recv",
            Self::FinWait1 => "fin_wait1",
            Self::FinWait2 => "fin_wait2",
            Self::TimeWait => "time_wait",
            Self::Close => "close",
            Self::CloseWait => "close_wait",
            Self::LastAck => "last_ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
        }
    }
}

/// The figures of a connection's whole life.
#[derive(Clone, Debug, PartialEq)]
pub struct Close {
    /// From established to closed, nanoseconds.
    pub duration_ns: Option<u64>,
    /// What the application sent and received; `None` if the kernel does not say.
    pub bytes: Option<Bytes>,
    /// What went over the wire; `None` for an MPTCP connection, which has several.
    pub segments: Option<Segments>,
    /// Who ended it; `None` if the kernel side saw neither a FIN nor a cause.
    pub closed_by: Option<ClosedBy>,
    /// The kernel's error number; 0 if it ended in order.
    pub errno: u32,
}

/// Bytes of the application: without what was sent again, without SYN and FIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes {
    /// By this side.
    pub sent: u64,
    /// From the peer.
    pub received: u64,
}

/// TCP segments, of every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// By this side.
    pub sent: u32,
    /// From the peer.
    pub received: u32,
    /// Of those sent, again.
    pub retransmits: u32,
    /// Smoothed round trip time, microseconds; `None` if never measured.
    pub rtt_us: Option<u32>,
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
            // By nobody, by the process (a disconnect), by an administrator (ss -K).
            0 | errno::ECONNABORTED => Self::Aborted,
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

/// Who ended an established connection: the side whose FIN came first, or what ended it otherwise. A reset
/// or a timeout outweighs a FIN that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedBy {
    /// This side sent the first FIN.
    Local,
    /// The peer sent the first FIN.
    Remote,
    /// This side sent RST: linger 0, unread data, data after its process had closed, or an administrator.
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
    /// Inode number of the network namespace; `None` if the kernel side could not tell.
    pub netns: Option<u32>,
    /// What carries it.
    pub protocol: Protocol,
    /// IPv6 on the wire; or, where no end is known, an IPv6 socket.
    pub is_ipv6: bool,
    /// This host's end; `None` if it got no address.
    pub local: Option<Endpoint>,
    /// The peer's end; `None` if there is none, or it is not known.
    pub remote: Option<Endpoint>,
    /// An IPv6 socket that speaks IPv4: the addresses are given as IPv4.
    pub v4_mapped: bool,
    /// Which end sent the SYN; `None` if it was there before tracing began.
    pub opened_by: Option<Side>,
}

/// What carries a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// MPTCP: the application's connection.
    Mptcp,
    /// TCP, on behalf of an MPTCP connection.
    MptcpSubflow,
}

/// An address and a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address; a v4-mapped one only where the other end is IPv6 proper, which fails to connect.
    pub ip: IpAddr,
    /// Host byte order. Of this host's end 0 if it got none; of the peer's it can be asked for.
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
    /// Start of the process: nanoseconds since 1970, by the clock as it stood when the image was announced, or was set
    /// last.
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
    /// It was the first to read or write; the accept was not seen.
    Io,
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
            Self::Io => "io",
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
