//! What the golden files of the events show: each kind, with every field there and absent.

use connledger::wire::cl_accept;
use connledger::wire::cl_attribution;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_figures;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_owner;
use connledger::wire::cl_protocol;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use connledger::wire::cl_side;
use connledger::wire::cl_unknown;

use super::records::LISTEN;
use super::records::NEW_SYN_RECV;
use super::records::TIME_WAIT;
use super::records::accept;
use super::records::between;
use super::records::byte;
use super::records::close;
use super::records::connect;
use super::records::curl;
use super::records::failed_connect;
use super::records::incoming;
use super::records::ipv4;
use super::records::ipv6;
use super::records::listen;
use super::records::listener;
use super::records::nginx;
use super::records::nobody;
use super::records::open;
use super::records::outgoing;
use super::records::outgoing_ipv6;
use super::records::over;
use super::records::process;
use super::records::reset;
use super::records::retransmit;
use super::records::tied;
use super::records::without;
use super::run::Run;

pub fn connects(run: &mut Run) {
    run.announce(&process(&curl()));
    run.event(&connect());
    // ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET, none, EACCES, an unknown one.
    for error in [111, 110, 113, 101, 104, 0, 13, 200] {
        run.event(&failed_connect(error));
    }
    // ENETDOWN; and given up by an administrator: ECONNABORTED.
    for error in [100, 103] {
        run.event(&failed_connect(error));
    }
    // It found no free port.
    run.event(&cl_connect { conn: cl_conn { local_port: 0, ..outgoing() }, ..failed_connect(99) });
    // To port 0, which can be asked for.
    run.event(&cl_connect {
        conn: cl_conn { remote_port: 0, ..outgoing() },
        ..failed_connect(111)
    });
    // The second connection on one socket, and one on a socket without a cookie.
    run.event(&cl_connect { conn: cl_conn { generation: 1, ..outgoing() }, ..connect() });
    run.event(&cl_connect { conn: cl_conn { cookie: 0, ..outgoing() }, ..connect() });
    // It was under way when tracing began.
    let owner = tied(cl_attribution::CL_BY_HOLDER, curl());
    let conn = cl_conn { opened_by: 0, ..outgoing() };
    run.event(&cl_connect { conn, owner, begun_ns: 0, ..connect() });
    // Nobody knows whose it is, or no more than the name, or not its cgroup.
    run.event(&cl_connect { owner: nobody(), ..connect() });
    run.event(&cl_connect { owner: cl_owner { exec_id: 3, ..curl() }, ..connect() });
    run.event(&cl_connect { owner: cl_owner { cgroup_id: 0, ..curl() }, ..connect() });
    run.event(&cl_connect { owner: cl_owner { cgroup_id: u64::MAX, ..curl() }, ..connect() });
    connects_before_a_syn(run);
    // MPTCP, and what carries it: begun by the process, and by MPTCP itself.
    run.event(&cl_connect { conn: over(cl_protocol::CL_MPTCP, outgoing()), ..connect() });
    let subflow = over(cl_protocol::CL_MPTCP_SUBFLOW, outgoing());
    run.event(&cl_connect { conn: subflow, ..connect() });
    run.event(&cl_connect { conn: subflow, owner: nobody(), ..failed_connect(111) });
}

/// Connects that failed before there was a SYN: no cookie names them, and nothing has begun.
fn connects_before_a_syn(run: &mut Run) {
    let early = cl_conn { cookie: 0, ..outgoing() };
    let unbound = without(cl_unknown::CL_NO_LOCAL, early);
    // ENETUNREACH, EACCES (a prohibit route), EINVAL (a blackhole one), EPERM (a cgroup's program).
    for error in [101, 13, 22, 1] {
        run.event(&cl_connect { conn: unbound, begun_ns: 0, ..failed_connect(error) });
    }
    // From a socket that was bound: EHOSTUNREACH.
    run.event(&cl_connect { conn: early, begun_ns: 0, ..failed_connect(113) });
    // Too short an address, or one of an unknown family: EINVAL, EAFNOSUPPORT.
    let conn = without(cl_unknown::CL_NO_REMOTE, early);
    run.event(&cl_connect { conn, begun_ns: 0, ..failed_connect(22) });
    let conn = without(cl_unknown::CL_NO_REMOTE, unbound);
    run.event(&cl_connect { conn, begun_ns: 0, ..failed_connect(97) });
    // MPTCP, too.
    let conn = over(cl_protocol::CL_MPTCP, unbound);
    run.event(&cl_connect { conn, begun_ns: 0, ..failed_connect(101) });
}

pub fn accepts(run: &mut Run) {
    run.announce(&process(&nginx()));
    run.event(&accept());
    run.event(&cl_accept { established_ns: 0, ..accept() });
    // Two clocks of two CPUs: it was taken before it was there.
    let mut early = accept();
    early.established_ns = early.header.time_ns + 5_000;
    run.event(&early);
    run.event(&cl_accept { conn: cl_conn { cookie: u64::MAX, ..incoming() }, ..accept() });
    run.event(&cl_accept { conn: outgoing_ipv6(), ..accept() });
    run.event(&cl_accept { owner: nobody(), ..accept() });
    // Accepted unseen: then used, or closed without being used.
    for attribution in [cl_attribution::CL_BY_IO, cl_attribution::CL_BY_LISTENER] {
        run.event(&cl_accept { owner: tied(attribution, nginx()), ..accept() });
    }
    run.event(&cl_accept { conn: over(cl_protocol::CL_MPTCP, incoming()), ..accept() });
}

pub fn closes(run: &mut Run) {
    run.announce(&process(&curl()));
    run.announce(&process(&nginx()));
    let remote_fin = byte(cl_side::CL_SIDE_REMOTE.0);
    run.event(&close());
    run.event(&cl_close { first_fin: remote_fin, ..close() });
    // Reset by this end with linger 0, by data after its full close (the socket keeps ECONNRESET, which
    // is no error of anybody's), and by an administrator (ECONNABORTED).
    run.event(&cl_close { first_fin: 0, aborted: 1, ..close() });
    run.event(&cl_close { error: 104, aborted: 1, ..close() });
    run.event(&cl_close { error: 103, ..close() });
    // Reset by the peer: ECONNRESET, or EPIPE behind its FIN.
    run.event(&cl_close { error: 104, ..close() });
    run.event(&cl_close { error: 32, first_fin: remote_fin, ..close() });
    // Given up: ETIMEDOUT, EHOSTUNREACH, an unknown one.
    for error in [110, 113, 200] {
        run.event(&cl_close { error, retransmits: 15, ..close() });
    }
    run.event(&cl_close { first_fin: 0, ..close() });
    // By whom it was opened, and to whom it belongs.
    for attribution in [
        cl_attribution::CL_BY_ACCEPT,
        cl_attribution::CL_BY_LISTENER,
        cl_attribution::CL_BY_HOLDER,
        cl_attribution::CL_BY_IO,
    ] {
        run.event(&cl_close { conn: incoming(), owner: tied(attribution, nginx()), ..close() });
    }
    run.event(&cl_close { conn: incoming(), owner: nobody(), ..close() });
    // It was there before tracing began.
    let conn = cl_conn { opened_by: 0, ..outgoing() };
    run.event(&cl_close { conn, established_ns: 0, srtt_8us: 0, ..close() });
    // Numbers that JSON does not carry are capped.
    run.event(&cl_close {
        bytes_sent: u64::MAX,
        bytes_received: (1 << 53) - 1,
        segments_sent: u32::MAX,
        segments_received: u32::MAX,
        retransmits: u32::MAX,
        srtt_8us: u32::MAX,
        ..close()
    });
    // MPTCP has no segments of its own, and older kernels do not count its bytes. What carries it has all.
    let conn = over(cl_protocol::CL_MPTCP, outgoing());
    for known in [cl_figures::CL_BYTES.0, 0] {
        run.event(&cl_close { conn, known: byte(known), ..close() });
    }
    let conn = over(cl_protocol::CL_MPTCP_SUBFLOW, incoming());
    run.event(&cl_close { conn, owner: nobody(), ..close() });
}

pub fn opens(run: &mut Run) {
    run.announce(&process(&curl()));
    run.announce(&process(&nginx()));
    // In every state that a connection is listed in: shut down perhaps, but not closed.
    for state in [1, 4, 5, 8, 9, 11] {
        run.event(&cl_open { state, ..open() });
    }
    let holder = tied(cl_attribution::CL_BY_HOLDER, nginx());
    run.event(&cl_open { conn: listener(), owner: holder, state: LISTEN, ..open() });
    let mptcp = over(cl_protocol::CL_MPTCP, listener());
    run.event(&cl_open { conn: mptcp, owner: holder, state: LISTEN, ..open() });
    // It ended before it was listed: held by nobody, or by its listener's owner as far as is known.
    run.event(&cl_open { owner: nobody(), ..open() });
    let owner = tied(cl_attribution::CL_BY_LISTENER, nginx());
    run.event(&cl_open { conn: cl_conn { opened_by: 0, ..incoming() }, owner, ..open() });
    run.event(&cl_open { conn: over(cl_protocol::CL_MPTCP, outgoing()), ..open() });
    let conn = over(cl_protocol::CL_MPTCP_SUBFLOW, outgoing());
    run.event(&cl_open { conn, owner: nobody(), ..open() });
}

pub fn listens(run: &mut Run) {
    run.announce(&process(&nginx()));
    run.event(&listen());
    run.event(&cl_listen { begins: 0, ..listen() });
    run.event(&cl_listen { backlog: 0, ..listen() });
    // On all addresses: of IPv4, and of both families.
    run.event(&cl_listen { conn: cl_conn { local_ip: [0; 16], ..listener() }, ..listen() });
    let all = without(cl_unknown::CL_NO_REMOTE, between(&ipv6("::"), &ipv6("::")));
    run.event(&cl_listen { conn: all, backlog: 4096, ..listen() });
    // On one address of IPv4, by an IPv6 socket.
    let local_ip = ipv6("::ffff:10.0.0.5");
    run.event(&cl_listen { conn: cl_conn { local_ip, ..all }, ..listen() });
    run.event(&cl_listen {
        conn: cl_conn { local_ip: ipv6("fe80::5"), scope_id: 3, ..all },
        ..listen()
    });
    // Bound to nothing: the kernel chooses a port after it has told that it listens.
    let unbound = cl_conn { local_ip: [0; 16], local_port: 0, ..listener() };
    run.event(&cl_listen { conn: unbound, ..listen() });
    // MPTCP does not tell its backlog.
    let mptcp = over(cl_protocol::CL_MPTCP, listener());
    run.event(&cl_listen { conn: mptcp, ..listen() });
    run.event(&cl_listen { conn: mptcp, begins: 0, ..listen() });
    // It listened before tracing began.
    let owner = tied(cl_attribution::CL_BY_HOLDER, nginx());
    run.event(&cl_listen { owner, begins: 0, ..listen() });
    run.event(&cl_listen { owner: nobody(), begins: 0, ..listen() });
}

pub fn retransmits(run: &mut Run) {
    run.announce(&process(&curl()));
    run.announce(&process(&nginx()));
    // In every state in which there can be something to send again.
    for state in [1, 2, 3, 4, 8, 9, 11] {
        run.event(&cl_retransmit { state, ..retransmit() });
    }
    // A SYN-ACK: there is no connection yet, only whoever listens for it.
    let conn = cl_conn { cookie: 0, ..incoming() };
    let owner = tied(cl_attribution::CL_BY_LISTENER, nginx());
    run.event(&cl_retransmit { conn, owner, state: NEW_SYN_RECV, ..retransmit() });
    run.event(&cl_retransmit { conn: incoming(), owner: nobody(), ..retransmit() });
    let conn = over(cl_protocol::CL_MPTCP_SUBFLOW, outgoing());
    run.event(&cl_retransmit { conn, ..retransmit() });
}

pub fn resets(run: &mut Run) {
    run.announce(&process(&curl()));
    run.announce(&process(&nginx()));
    // Received and sent, in every state of a connection.
    for state in [1, 2, 3, 4, 5, 7, 8, 9, 11] {
        run.event(&cl_reset { state, ..reset() });
        run.event(&cl_reset { state, sent: 1, ..reset() });
    }
    // By what stands for a socket in TIME_WAIT, and in a handshake: nobody's.
    let conn = cl_conn { cookie: 0, opened_by: 0, ..incoming() };
    let stranger = cl_reset { conn, owner: nobody(), sent: 1, ..reset() };
    run.event(&cl_reset { state: TIME_WAIT, ..stranger });
    run.event(&cl_reset { state: NEW_SYN_RECV, ..stranger });
    // By a listener, to whom a segment came that was no SYN.
    let owner = tied(cl_attribution::CL_BY_LISTENER, nginx());
    run.event(&cl_reset { conn: listener(), owner, state: LISTEN, sent: 1, ..reset() });
    // By no socket: a closed port, of IPv4 and IPv6; and where the kernel does not say where it came in.
    let closed = cl_reset { state: 0, ..stranger };
    run.event(&closed);
    let conn6 = cl_conn { cookie: 0, opened_by: 0, ..outgoing_ipv6() };
    run.event(&cl_reset { conn: conn6, ..closed });
    run.event(&cl_reset {
        conn: cl_conn { netns: 0, remote_ip: ipv4("192.0.2.78"), ..conn },
        ..closed
    });
    let conn = over(cl_protocol::CL_MPTCP_SUBFLOW, outgoing());
    run.event(&cl_reset { conn, ..reset() });
}
