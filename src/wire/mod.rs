//! Where kernel memory meets Rust: the only unsafe code.
//!
//! [`decode`] turns one ring buffer record into a [`Record`]; [`shared`] reads and writes the memory that
//! the kernel side maps. The layouts come from bpf/record.h. Kernel data is not trusted: whatever the
//! bytes, the result is a record or an error, never a panic.

#![allow(unsafe_code)]

pub mod shared;
mod sound;

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::event::Action;
use crate::event::Announcement;
use crate::event::Attribution;
use crate::event::Bytes;
use crate::event::Close;
use crate::event::ClosedBy;
use crate::event::Comm;
use crate::event::Conn;
use crate::event::Endpoint;
use crate::event::Event;
use crate::event::ImageKey;
use crate::event::Outcome;
use crate::event::Owner;
use crate::event::Protocol;
use crate::event::Record;
use crate::event::Segments;
use crate::event::Side;
use crate::event::State;
use crate::event::errno;
pub use crate::probe::skel::types::cl_accept;
pub use crate::probe::skel::types::cl_attribution;
pub use crate::probe::skel::types::cl_close;
pub use crate::probe::skel::types::cl_conn;
pub use crate::probe::skel::types::cl_connect;
pub use crate::probe::skel::types::cl_figures;
pub use crate::probe::skel::types::cl_header;
pub use crate::probe::skel::types::cl_kind;
pub use crate::probe::skel::types::cl_listen;
pub use crate::probe::skel::types::cl_open;
pub use crate::probe::skel::types::cl_owner;
pub use crate::probe::skel::types::cl_process;
pub use crate::probe::skel::types::cl_protocol;
pub use crate::probe::skel::types::cl_reset;
pub use crate::probe::skel::types::cl_retransmit;
pub use crate::probe::skel::types::cl_side;
pub use crate::probe::skel::types::cl_unknown;

/// A record that is not as bpf/record.h describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireError {
    /// Too short to say what it is: its length in bytes.
    Truncated(usize),
    /// Not as long as its kind is: the kind, the length, the length that it should have.
    WrongSize(u16, usize, usize),
    /// A kind that this version does not know.
    UnknownKind(u16),
    /// A field has a value that it cannot have: its name.
    BadField(&'static str),
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated(len) => write!(f, "a record of {len} bytes has no whole header"),
            Self::WrongSize(kind, len, expected) => {
                write!(f, "a record of kind {kind} has {len} bytes instead of {expected}")
            }
            Self::UnknownKind(kind) => write!(f, "kind {kind} is not known"),
            Self::BadField(name) => write!(f, "the field {name} has an impossible value"),
        }
    }
}

impl std::error::Error for WireError {}

/// A type of bpf/record.h: plain integers and byte arrays, so that any bytes are a value of it.
///
/// # Safety
/// `repr(C)`, no padding that matters, no pointers, no bool, no enum.
unsafe trait Plain: Copy {}

macro_rules! wire_types {
    ($($ty:ty = $size:literal),* $(,)?) => {
        $(
            // SAFETY: bpf/record.h admits fixed-width integers and byte arrays only.
            unsafe impl Plain for $ty {}
            const _: () = assert!(size_of::<$ty>() == $size, "wire layout");
        )*
    };
}
// The same sizes are asserted in bpf/record.h.
wire_types! {
    cl_header = 16, cl_connect = 152, cl_accept = 144, cl_close = 184, cl_open = 144, cl_listen = 144,
    cl_retransmit = 144, cl_reset = 144, cl_process = 56,
}

/// Looks at the beginning of `bytes` as a value. The ring aligns its records to eight bytes, as these types are
/// at most; what is not aligned is none of its records.
fn view<T: Plain>(bytes: &[u8]) -> Option<&T> {
    let pointer = bytes.as_ptr().cast::<T>();
    // SAFETY: long enough, aligned, and any bytes are a T; it lives as long as the bytes.
    (bytes.len() >= size_of::<T>() && pointer.is_aligned()).then(|| unsafe { &*pointer })
}

/// Looks at a whole record of a kind that is known.
fn view_whole<T: Plain>(kind: u16, bytes: &[u8]) -> Result<&T, WireError> {
    let wrong_size = WireError::WrongSize(kind, bytes.len(), size_of::<T>());
    if bytes.len() != size_of::<T>() {
        return Err(wrong_size);
    }
    view(bytes).ok_or(wrong_size)
}

/// Turns a record of the ring buffer into what it means.
///
/// # Errors
/// If it is not as bpf/record.h says.
pub fn decode(bytes: &[u8]) -> Result<Record, WireError> {
    let header: &cl_header = view(bytes).ok_or(WireError::Truncated(bytes.len()))?;
    let kind = header.kind;
    // One event, put together in one place: it is large, and to move it costs as much as to decode it.
    let (conn, owner, action) = match cl_kind(u32::from(kind)) {
        cl_kind::CL_CONNECT => {
            let raw: &cl_connect = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, decode_connect(raw)?)
        }
        cl_kind::CL_ACCEPT => {
            let raw: &cl_accept = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, decode_accept(raw))
        }
        cl_kind::CL_CLOSE => {
            let raw: &cl_close = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, decode_close(raw)?)
        }
        cl_kind::CL_OPEN => {
            let raw: &cl_open = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, Action::Open { state: decode_state(raw.state)? })
        }
        cl_kind::CL_LISTEN => {
            let raw: &cl_listen = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, decode_listen(raw))
        }
        cl_kind::CL_RETRANSMIT => {
            let raw: &cl_retransmit = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, Action::Retransmit { state: decode_state(raw.state)? })
        }
        cl_kind::CL_RESET => {
            let raw: &cl_reset = view_whole(kind, bytes)?;
            (&raw.conn, &raw.owner, decode_reset(raw)?)
        }
        cl_kind::CL_PROCESS => {
            return view_whole(kind, bytes).map(|raw| Record::Process(decode_process(raw)));
        }
        _ => return Err(WireError::UnknownKind(kind)),
    };
    let event = Event {
        time_ns: header.time_ns,
        conn: decode_conn(conn)?,
        owner: decode_owner(owner)?,
        action,
    };
    sound::check(&event)?;
    Ok(Record::Event(event))
}

/// From a moment that may be unknown (0) to the event. Both are of one clock, on perhaps two CPUs.
fn since(then: u64, now: u64) -> Option<u64> {
    (then != 0).then(|| now.saturating_sub(then))
}

fn decode_connect(raw: &cl_connect) -> Result<Action, WireError> {
    let outcome = match raw.established {
        0 => Outcome::of_error(raw.error),
        1 => Outcome::Established,
        _ => return Err(WireError::BadField("established")),
    };
    Ok(Action::Connect {
        outcome,
        errno: raw.error,
        latency_ns: since(raw.begun_ns, raw.header.time_ns),
    })
}

fn decode_accept(raw: &cl_accept) -> Action {
    Action::Accept { wait_ns: since(raw.established_ns, raw.header.time_ns) }
}

fn decode_close(raw: &cl_close) -> Result<Action, WireError> {
    let first_fin = decode_side(raw.first_fin, "first_fin")?;
    let known = u32::from(raw.known);
    Ok(Action::Close(Close {
        duration_ns: since(raw.established_ns, raw.header.time_ns),
        bytes: (known & cl_figures::CL_BYTES.0 != 0)
            .then_some(Bytes { sent: raw.bytes_sent, received: raw.bytes_received }),
        segments: (known & cl_figures::CL_SEGMENTS.0 != 0).then_some(Segments {
            sent: raw.segments_sent,
            received: raw.segments_received,
            retransmits: raw.retransmits,
            rtt_us: (raw.srtt_8us != 0).then_some(raw.srtt_8us / 8),
        }),
        closed_by: closed_by(raw.error, raw.aborted != 0, first_fin),
        // What a reset by this end leaves is no error that anybody was told.
        errno: if raw.aborted == 0 { raw.error } else { 0 },
    }))
}

fn decode_listen(raw: &cl_listen) -> Action {
    Action::Listen {
        begins: raw.begins != 0,
        // MPTCP limits the queue of a socket that is not the application's.
        backlog: (u32::from(raw.conn.protocol) != cl_protocol::CL_MPTCP.0).then_some(raw.backlog),
    }
}

fn decode_reset(raw: &cl_reset) -> Result<Action, WireError> {
    let by = if raw.sent == 0 { Side::Remote } else { Side::Local };
    let state = if raw.state == 0 { None } else { Some(decode_state(raw.state)?) };
    Ok(Action::Reset { by, state })
}

/// The states of include/net/tcp_states.h, which user space knows too (ss, `TCP_INFO`).
fn decode_state(raw: u8) -> Result<State, WireError> {
    Ok(match raw {
        1 => State::Established,
        2 => State::SynSent,
        // 12: before there is a whole socket.
        3 | 12 => State::SynRecv,
        4 => State::FinWait1,
        5 => State::FinWait2,
        6 => State::TimeWait,
        7 => State::Close,
        8 => State::CloseWait,
        9 => State::LastAck,
        10 => State::Listen,
        11 => State::Closing,
        _ => return Err(WireError::BadField("state")),
    })
}

/// Who ended a connection, from the error that its socket was left with, and the first FIN.
fn closed_by(error: u32, aborted: bool, first_fin: Option<Side>) -> Option<ClosedBy> {
    if aborted {
        return Some(ClosedBy::LocalReset);
    }
    match error {
        // A received RST leaves EPIPE if the peer had sent FIN before.
        errno::ECONNRESET | errno::EPIPE => Some(ClosedBy::RemoteReset),
        errno::ECONNABORTED => Some(ClosedBy::LocalReset),
        0 => first_fin.map(|side| match side {
            Side::Local => ClosedBy::Local,
            Side::Remote => ClosedBy::Remote,
        }),
        // The retransmission timer gives up with ETIMEDOUT, or with the last word of the network if there was one: any
        // that an ICMP message comes to.
        _ => Some(ClosedBy::Timeout),
    }
}

fn decode_side(raw: u8, field: &'static str) -> Result<Option<Side>, WireError> {
    match cl_side(u32::from(raw)) {
        cl_side::CL_SIDE_UNKNOWN => Ok(None),
        cl_side::CL_SIDE_LOCAL => Ok(Some(Side::Local)),
        cl_side::CL_SIDE_REMOTE => Ok(Some(Side::Remote)),
        _ => Err(WireError::BadField(field)),
    }
}

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

fn decode_conn(raw: &cl_conn) -> Result<Conn, WireError> {
    let unknown = u32::from(raw.unknown);
    // What is not known says nothing about the other end either: it may be left from another family.
    let ip = |bit: cl_unknown, ip| if unknown & bit.0 == 0 { ip } else { [0; 16] };
    let local_ip = ip(cl_unknown::CL_NO_LOCAL, raw.local_ip);
    let remote_ip = ip(cl_unknown::CL_NO_REMOTE, raw.remote_ip);
    let (local, remote, v4_mapped) = match raw.family {
        AF_INET => (ipv4(local_ip), ipv4(remote_ip), false),
        AF_INET6 => ipv6(local_ip, remote_ip),
        _ => return Err(WireError::BadField("family")),
    };
    let endpoint = |ip: IpAddr, port: u16| Endpoint {
        ip,
        port: u16::from_be(port),
        scope_id: if is_link_local(ip) { raw.scope_id } else { 0 },
    };
    let known = |bit: cl_unknown, endpoint| (unknown & bit.0 == 0).then_some(endpoint);
    Ok(Conn {
        cookie: (raw.cookie != 0).then_some(raw.cookie),
        generation: raw.generation,
        netns: (raw.netns != 0).then_some(raw.netns),
        protocol: match cl_protocol(u32::from(raw.protocol)) {
            cl_protocol::CL_TCP => Protocol::Tcp,
            cl_protocol::CL_MPTCP => Protocol::Mptcp,
            cl_protocol::CL_MPTCP_SUBFLOW => Protocol::MptcpSubflow,
            _ => return Err(WireError::BadField("protocol")),
        },
        is_ipv6: raw.family == AF_INET6 && !v4_mapped,
        local: known(cl_unknown::CL_NO_LOCAL, endpoint(local, raw.local_port)),
        remote: known(cl_unknown::CL_NO_REMOTE, endpoint(remote, raw.remote_port)),
        v4_mapped,
        opened_by: decode_side(raw.opened_by, "opened_by")?,
    })
}

fn ipv4(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]))
}

/// The two ends of an IPv6 socket, and whether they are really IPv4: then both are v4-mapped, or one of
/// them is and the other unspecified.
fn ipv6(local: [u8; 16], remote: [u8; 16]) -> (IpAddr, IpAddr, bool) {
    let (local, remote) = (Ipv6Addr::from(local), Ipv6Addr::from(remote));
    let as_v4 = |ip: Ipv6Addr| {
        if ip.is_unspecified() { Some(Ipv4Addr::UNSPECIFIED) } else { ip.to_ipv4_mapped() }
    };
    match (as_v4(local), as_v4(remote)) {
        (Some(local), Some(remote)) if !(local.is_unspecified() && remote.is_unspecified()) => {
            (local.into(), remote.into(), true)
        }
        _ => (local.into(), remote.into(), false),
    }
}

fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn decode_owner(raw: &cl_owner) -> Result<Option<Owner>, WireError> {
    let attribution = match cl_attribution(u32::from(raw.attribution)) {
        cl_attribution::CL_UNATTRIBUTED => return Ok(None),
        cl_attribution::CL_BY_CONNECT => Attribution::Connect,
        cl_attribution::CL_BY_ACCEPT => Attribution::Accept,
        cl_attribution::CL_BY_LISTENER => Attribution::Listener,
        cl_attribution::CL_BY_HOLDER => Attribution::Holder,
        cl_attribution::CL_BY_IO => Attribution::Io,
        _ => return Err(WireError::BadField("attribution")),
    };
    Ok(Some(Owner {
        image: ImageKey { pid: raw.pid, exec_id: raw.exec_id, start_ns: raw.start_ns },
        tid: raw.tid,
        uid: raw.uid,
        gid: raw.gid,
        cgroup_id: raw.cgroup_id,
        comm: Comm(raw.comm),
        attribution,
        details: None,
    }))
}

fn decode_process(raw: &cl_process) -> Announcement {
    Announcement {
        image: ImageKey { pid: raw.pid, exec_id: raw.exec_id, start_ns: raw.start_ns },
        ppid: raw.ppid,
        parent_comm: Comm(raw.parent_comm),
    }
}

/// The bytes of a wire record, as the kernel side would write them: for tests and benchmarks, which
/// begin at the ring buffer.
#[must_use]
pub fn to_bytes<T: Raw>(record: &T) -> Vec<u8> {
    // SAFETY: T is Plain (Raw is implemented for such types only), so all of it may be read as bytes;
    // bpf/record.h leaves no implicit padding.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(record).cast::<u8>(), size_of::<T>()) }
        .to_vec()
}

/// A wire record that [`to_bytes`] takes.
pub trait Raw: sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl<T: super::Plain> Sealed for T {}
}

impl<T: Plain> Raw for T {}
