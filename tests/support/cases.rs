//! What the golden files show: every kind of record, and every way in which a field can be there, be absent
//! or be strange.

use connledger::config::Families;
use connledger::config::Filters;
use connledger::config::NumberList;
use connledger::event::Kind;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Figures;
use connledger::ledger::Incomplete;
use connledger::ledger::Losses;
use connledger::ledger::Start;
use connledger::ledger::Stop;
use connledger::ledger::StopReason;
use connledger::probe::Hooks;
use connledger::wire::cl_accept;
use connledger::wire::cl_attribution;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_owner;
use connledger::wire::cl_process;
use connledger::wire::cl_side;
use connledger::wire::shared::Counters;

use super::records::accept;
use super::records::between;
use super::records::byte;
use super::records::close;
use super::records::comm;
use super::records::connect;
use super::records::curl;
use super::records::failed_connect;
use super::records::incoming;
use super::records::ipv6;
use super::records::nginx;
use super::records::nobody;
use super::records::outgoing;
use super::records::outgoing_ipv6;
use super::records::process;
use super::run::Run;
use super::run::start;

/// Puts records into a run.
pub type Fill = fn(&mut Run);

/// The files, and what makes them.
pub const CASES: [(&str, Fill); 7] = [
    ("connect", connects),
    ("accept", accepts),
    ("close", closes),
    ("addresses", addresses),
    ("names", names),
    ("ledger", ledger),
    ("stop", stops),
];

/// The files whose table has a column of times.
pub const WITH_TIMES: [&str; 2] = ["accept", "ledger"];

fn connects(run: &mut Run) {
    run.announce(&process(&curl()));
    run.event(&connect());
    // ECONNREFUSED, ETIMEDOUT, EHOSTUNREACH, ENETUNREACH, ECONNRESET, none, EACCES, an unknown one.
    for error in [111, 110, 113, 101, 104, 0, 13, 200] {
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
    let owner = cl_owner { attribution: byte(cl_attribution::CL_BY_HOLDER.0), ..curl() };
    let conn = cl_conn { opened_by: 0, ..outgoing() };
    run.event(&cl_connect { conn, owner, begun_ns: 0, ..connect() });
    // Nobody knows whose it is, or no more than the name, or not its cgroup.
    run.event(&cl_connect { owner: nobody(), ..connect() });
    run.event(&cl_connect { owner: cl_owner { exec_id: 3, ..curl() }, ..connect() });
    run.event(&cl_connect { owner: cl_owner { cgroup_id: 0, ..curl() }, ..connect() });
    run.event(&cl_connect { owner: cl_owner { cgroup_id: u64::MAX, ..curl() }, ..connect() });
}

fn accepts(run: &mut Run) {
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
}

fn closes(run: &mut Run) {
    run.announce(&process(&curl()));
    run.announce(&process(&nginx()));
    let remote_fin = byte(cl_side::CL_SIDE_REMOTE.0);
    run.event(&close());
    run.event(&cl_close { first_fin: remote_fin, ..close() });
    // Reset by this end with linger 0, and by an administrator (ECONNABORTED).
    run.event(&cl_close { first_fin: 0, aborted: 1, ..close() });
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
    for attribution in
        [cl_attribution::CL_BY_ACCEPT, cl_attribution::CL_BY_LISTENER, cl_attribution::CL_BY_HOLDER]
    {
        let owner = cl_owner { attribution: byte(attribution.0), ..nginx() };
        run.event(&cl_close { conn: incoming(), owner, ..close() });
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
}

fn addresses(run: &mut Run) {
    let any = ipv6("::");
    let scoped = |local, remote| cl_conn { scope_id: 3, ..between(&ipv6(local), &ipv6(remote)) };
    for conn in [
        outgoing_ipv6(),
        // v4-mapped, also before the local address is known; and what only looks like it.
        mapped(),
        between(&any, &ipv6("::ffff:192.0.2.1")),
        between(&any, &ipv6("64:ff9b::192.0.2.1")),
        // Link-local on both ends, on one, on none.
        scoped("fe80::5", "fe80::1"),
        scoped("2001:db8::5", "fe80::1"),
        scoped("2001:db8::5", "2001:db8::1"),
        cl_conn { scope_id: 3, ..outgoing() },
        cl_conn { scope_id: u32::MAX, ..between(&ipv6("fe80::1"), &ipv6("fe80::2")) },
        // The shortest, the longest, and where zeros are left out.
        between(&ipv6("::1"), &ipv6("::1")),
        between(&[0xff; 16], &[0xff; 16]),
        between(&ipv6("2001:db8:0:1:1:1:1:1"), &ipv6("2001:db8:0:0:1:0:0:1")),
        cl_conn { netns: u32::MAX, local_port: u16::MAX, remote_port: u16::MAX, ..outgoing() },
    ] {
        run.event(&cl_connect { conn, ..connect() });
    }
}

/// An IPv6 socket that speaks IPv4.
fn mapped() -> cl_conn {
    between(&ipv6("::ffff:10.0.0.5"), &ipv6("::ffff:192.0.2.1"))
}

fn names(run: &mut Run) {
    for name in [
        "two words".as_bytes(),
        b"a\"b\\c",
        b"a\nb\tc\rd",
        b"\x1b[31mred\x1b[0m",
        b"\x7f\x01",
        "\u{9b}2J".as_bytes(),
        "größe ✓".as_bytes(),
        b"\xff\xfe",
        b"cut off \xe2\x9c",
        b"sixteen bytes!!!",
        b"",
        b"after\0the end",
    ] {
        run.event(&cl_connect { owner: cl_owner { comm: comm(name), ..curl() }, ..connect() });
    }
    // Of the parent, and of both.
    let owner = cl_owner { comm: comm(b"\xc3("), ..curl() };
    run.announce(&cl_process { parent_comm: comm(b"\"\x1b\n"), ..process(&owner) });
    run.event(&connect());
    run.announce(&cl_process { ppid: 0, parent_comm: comm(b"\xf0\x9f"), ..process(&owner) });
    run.event(&cl_connect { owner, ..connect() });
    // With everything that the address can have besides, in every event.
    let owner = cl_owner { attribution: byte(cl_attribution::CL_BY_ACCEPT.0), ..owner };
    for conn in [mapped(), cl_conn { scope_id: 3, ..between(&ipv6("fe80::5"), &ipv6("fe80::1")) }] {
        run.event(&cl_connect { conn, owner, ..connect() });
        run.event(&cl_accept { conn, owner, ..accept() });
        run.event(&cl_close { conn, owner, ..close() });
    }
}

fn ledger(run: &mut Run) {
    // From beginning to end.
    run.own(Body::Start(Box::new(start())));
    run.own(Body::Ready);
    run.announce(&process(&curl()));
    run.event(&connect());
    let counters = Counters { observed: [10, 0, 0, 0, 0, 0, 0, 0], ..Counters::default() };
    run.account(&counters);
    run.heartbeat();
    run.malformed(&[]);
    let counters = Counters {
        filtered: [2, 0, 0, 0, 0, 0, 0, 0],
        ring_full: [3, 0, 0, 0, 0, 0, 0, 0],
        nested: [1, 0, 0, 0, 0, 0, 0, 0],
        descriptor_gone: 1,
        storage_failed: 1,
        accept_queue_full: 2,
        acceptors_full: 3,
        process_ring_full: 4,
        recovered: 5,
        ..counters
    };
    run.account(&counters);
    run.event(&cl_connect { owner: cl_owner { exec_id: 3, ..curl() }, ..connect() });
    run.heartbeat();
    // One is left of which nobody knows.
    run.account(&Counters { observed: [11, 0, 0, 0, 0, 0, 0, 0], ..counters });
    run.declare_unaccounted();
    let figures = run.ledger().figures();
    run.own(Body::Stop(Box::new(Stop { reason: StopReason::Interrupted, figures })));
    // Other beginnings.
    let numbers = |text: &str| text.parse::<NumberList>().expect("a list");
    run.own(Body::Start(Box::new(Start {
        commit: "unknown",
        host_id: None,
        events: vec![Kind::Connect],
        hooks: Hooks { accept: None, ..start().hooks },
        filters: Filters {
            pids: numbers("1479,1480"),
            uids: numbers("!0"),
            families: Families::Ipv4,
        }
        .given(),
        ring_size: 4096,
        ..start()
    })));
    let long = NumberList { include: (4_000_000..4_001_000).collect(), exclude: vec![] };
    let filters = Filters { pids: long, families: Families::Ipv6, ..Filters::default() };
    run.own(Body::Start(Box::new(Start { filters: filters.given(), ..start() })));
    // All causes at once; little is missing elsewhere, and the clock was set back.
    let mut causes = Losses::default();
    for (cause, count) in Cause::ALL.into_iter().zip(1..) {
        causes.add(cause, count);
    }
    run.own(Body::Heartbeat(Box::new(Figures {
        observed: causes.total(),
        lost: causes.total(),
        in_flight: Some(0),
        causes: Some(causes),
        incomplete: Some(Incomplete { process_unknown: 1, ..Incomplete::default() }),
        clock_step_us: Some(-2_500_000),
        ..Figures::default()
    })));
}

fn stops(run: &mut Run) {
    for reason in [
        StopReason::Interrupted,
        StopReason::Terminated,
        StopReason::Duration,
        StopReason::MaxEvents,
        StopReason::OutputsClosed,
    ] {
        run.own(Body::Stop(Box::new(Stop { reason, figures: Figures::default() })));
    }
    // Numbers that JSON does not carry are capped.
    run.own(Body::Stop(Box::new(Stop {
        reason: StopReason::Duration,
        figures: Figures {
            observed: u64::MAX,
            written: 1 << 53,
            clock_step_us: Some(i64::MIN),
            recovered: u64::MAX,
            ..Figures::default()
        },
    })));
}
