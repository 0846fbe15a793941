//! Wire records as the kernel side would write them: sound ones, for a test to change a field or two.

use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use connledger::wire::cl_accept;
use connledger::wire::cl_attribution;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_figures;
use connledger::wire::cl_header;
use connledger::wire::cl_kind;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_owner;
use connledger::wire::cl_process;
use connledger::wire::cl_protocol;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use connledger::wire::cl_side;
use connledger::wire::cl_unknown;

/// When the events happen, CLOCK_BOOTTIME.
pub const EVENT_NS: u64 = 4_004_123_456_789;
/// When their process started.
pub const PROCESS_NS: u64 = EVENT_NS - 1_500_000_000;
/// Address families.
pub const AF_INET: u8 = 2;
/// Address families.
pub const AF_INET6: u8 = 10;
/// States of include/net/tcp_states.h.
pub const ESTABLISHED: u8 = 1;
/// States of include/net/tcp_states.h.
pub const TIME_WAIT: u8 = 6;
/// States of include/net/tcp_states.h.
pub const LISTEN: u8 = 10;
/// States of include/net/tcp_states.h: a handshake that has no whole socket yet.
pub const NEW_SYN_RECV: u8 = 12;

/// A value of an enumeration of bpf/record.h, in the byte that carries it.
pub fn byte(value: u32) -> u8 {
    value.try_into().expect("it fits into its byte")
}

/// The header of a record of type `T`.
pub fn header<T>(kind: cl_kind) -> cl_header {
    cl_header {
        kind: kind.0.try_into().expect("a kind has 16 bits"),
        size: size_of::<T>().try_into().expect("a record is short"),
        pad: 0,
        time_ns: EVENT_NS,
    }
}

/// An IPv4 address, as the wire has it.
pub fn ipv4(text: &str) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&text.parse::<Ipv4Addr>().expect("an address").octets());
    bytes
}

/// An IPv6 address, as the wire has it.
pub fn ipv6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().expect("an address").octets()
}

/// A name, as the wire has it: filled up with NUL.
pub fn comm(name: &[u8]) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..name.len()].copy_from_slice(name);
    bytes
}

/// 10.0.0.5:41064 to 192.0.2.1:443, opened by this host.
pub fn outgoing() -> cl_conn {
    cl_conn {
        cookie: 0x7ef3,
        generation: 0,
        netns: 4_026_531_840,
        local_ip: ipv4("10.0.0.5"),
        remote_ip: ipv4("192.0.2.1"),
        local_port: 41064_u16.to_be(),
        remote_port: 443_u16.to_be(),
        scope_id: 0,
        family: AF_INET,
        opened_by: byte(cl_side::CL_SIDE_LOCAL.0),
        protocol: byte(cl_protocol::CL_TCP.0),
        unknown: 0,
        pad: [0; 4],
    }
}

/// The same over IPv6, 2001:db8::5 to 2001:db8::1.
pub fn outgoing_ipv6() -> cl_conn {
    between(&ipv6("2001:db8::5"), &ipv6("2001:db8::1"))
}

/// An outgoing connection of an IPv6 socket.
pub fn between(local: &[u8; 16], remote: &[u8; 16]) -> cl_conn {
    cl_conn { family: AF_INET6, local_ip: *local, remote_ip: *remote, ..outgoing() }
}

/// 192.0.2.77:50312 to 10.0.0.5:8443, opened by the peer.
pub fn incoming() -> cl_conn {
    cl_conn {
        cookie: 0x7ef4,
        remote_ip: ipv4("192.0.2.77"),
        local_port: 8443_u16.to_be(),
        remote_port: 50312_u16.to_be(),
        opened_by: byte(cl_side::CL_SIDE_REMOTE.0),
        ..outgoing()
    }
}

/// What listens on 10.0.0.5:8443.
pub fn listener() -> cl_conn {
    cl_conn {
        cookie: 0x7ef2,
        remote_ip: [0; 16],
        remote_port: 0,
        opened_by: byte(cl_side::CL_SIDE_UNKNOWN.0),
        unknown: byte(cl_unknown::CL_NO_REMOTE.0),
        ..incoming()
    }
}

/// An end of it is not known.
pub fn without(end: cl_unknown, conn: cl_conn) -> cl_conn {
    let conn = cl_conn { unknown: conn.unknown | byte(end.0), ..conn };
    match end {
        cl_unknown::CL_NO_LOCAL => cl_conn { local_ip: [0; 16], local_port: 0, ..conn },
        _ => cl_conn { remote_ip: [0; 16], remote_port: 0, ..conn },
    }
}

/// Something else carries it than TCP.
pub fn over(protocol: cl_protocol, conn: cl_conn) -> cl_conn {
    cl_conn { protocol: byte(protocol.0), ..conn }
}

/// curl, process 1479, of user 1000.
pub fn curl() -> cl_owner {
    cl_owner {
        start_ns: PROCESS_NS,
        cgroup_id: 7411,
        pid: 1479,
        tid: 1481,
        uid: 1000,
        gid: 1000,
        exec_id: 2,
        comm: comm(b"curl"),
        attribution: byte(cl_attribution::CL_BY_CONNECT.0),
        admitted: 1,
        pad: [0; 2],
    }
}

/// The same process, tied to the connection by another call.
pub fn tied(attribution: cl_attribution, owner: cl_owner) -> cl_owner {
    cl_owner { attribution: byte(attribution.0), ..owner }
}

/// nginx, process 812, which accepts.
pub fn nginx() -> cl_owner {
    cl_owner {
        pid: 812,
        tid: 812,
        uid: 33,
        gid: 33,
        comm: comm(b"nginx"),
        attribution: byte(cl_attribution::CL_BY_ACCEPT.0),
        ..curl()
    }
}

/// Nobody: the kernel side could not tell.
pub fn nobody() -> cl_owner {
    cl_owner { attribution: byte(cl_attribution::CL_UNATTRIBUTED.0), ..cl_owner::default() }
}

/// What is told ahead of the first event of `owner`: a child of bash, process 1200.
pub fn process(owner: &cl_owner) -> cl_process {
    cl_process {
        header: header::<cl_process>(cl_kind::CL_PROCESS),
        start_ns: owner.start_ns,
        pid: owner.pid,
        exec_id: owner.exec_id,
        ppid: 1200,
        parent_comm: comm(b"bash"),
        pad: [0; 4],
    }
}

/// curl has connected in 412 µs.
pub fn connect() -> cl_connect {
    cl_connect {
        header: header::<cl_connect>(cl_kind::CL_CONNECT),
        conn: outgoing(),
        owner: curl(),
        begun_ns: EVENT_NS - 412_345,
        error: 0,
        established: 1,
        pad: [0; 3],
    }
}

/// curl has failed to connect, with an error number or with none.
pub fn failed_connect(error: u32) -> cl_connect {
    cl_connect { error, established: 0, ..connect() }
}

/// nginx has accepted a connection that had waited for 51 µs.
pub fn accept() -> cl_accept {
    cl_accept {
        header: header::<cl_accept>(cl_kind::CL_ACCEPT),
        conn: incoming(),
        owner: nginx(),
        established_ns: EVENT_NS - 51_999,
    }
}

/// curl's connection is over; curl had ended it.
pub fn close() -> cl_close {
    cl_close {
        header: header::<cl_close>(cl_kind::CL_CLOSE),
        conn: outgoing(),
        owner: curl(),
        established_ns: EVENT_NS - 1_234_567_890,
        bytes_sent: 517,
        bytes_received: 148_322,
        segments_sent: 61,
        segments_received: 112,
        retransmits: 0,
        srtt_8us: 8 * 11_250 + 7,
        error: 0,
        first_fin: byte(cl_side::CL_SIDE_LOCAL.0),
        aborted: 0,
        known: byte(cl_figures::CL_BYTES.0 | cl_figures::CL_SEGMENTS.0),
        pad: [0; 1],
    }
}

/// curl held its connection when tracing began.
pub fn open() -> cl_open {
    cl_open {
        header: header::<cl_open>(cl_kind::CL_OPEN),
        conn: cl_conn { opened_by: byte(cl_side::CL_SIDE_UNKNOWN.0), ..outgoing() },
        owner: tied(cl_attribution::CL_BY_HOLDER, curl()),
        state: ESTABLISHED,
        pad: [0; 7],
    }
}

/// nginx begins to listen.
pub fn listen() -> cl_listen {
    cl_listen {
        header: header::<cl_listen>(cl_kind::CL_LISTEN),
        conn: listener(),
        owner: tied(cl_attribution::CL_BY_LISTENER, nginx()),
        backlog: 511,
        begins: 1,
        pad: [0; 3],
    }
}

/// A segment of curl's connection was sent again.
pub fn retransmit() -> cl_retransmit {
    cl_retransmit {
        header: header::<cl_retransmit>(cl_kind::CL_RETRANSMIT),
        conn: outgoing(),
        owner: curl(),
        state: ESTABLISHED,
        pad: [0; 7],
    }
}

/// The peer has reset curl's connection.
pub fn reset() -> cl_reset {
    cl_reset {
        header: header::<cl_reset>(cl_kind::CL_RESET),
        conn: outgoing(),
        owner: curl(),
        state: ESTABLISHED,
        sent: 0,
        pad: [0; 6],
    }
}
