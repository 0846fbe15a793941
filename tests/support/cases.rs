//! What the golden files show: every kind of record, and every way in which a field can be there, be absent
//! or be strange.

use connledger::config::Cgroup;
use connledger::config::CgroupList;
use connledger::config::Families;
use connledger::config::Filters;
use connledger::config::NumberList;
use connledger::config::parse_names;
use connledger::event::Kind;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Entry;
use connledger::ledger::Figures;
use connledger::ledger::Incomplete;
use connledger::ledger::Losses;
use connledger::ledger::OutputFigures;
use connledger::ledger::Previous;
use connledger::ledger::Start;
use connledger::ledger::StopReason;
use connledger::outlet::Missed;
use connledger::probe::Hooks;
use connledger::wire::cl_accept;
use connledger::wire::cl_attribution;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_owner;
use connledger::wire::cl_process;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use connledger::wire::cl_unknown;
use connledger::wire::shared::Counters;

use super::events::accepts;
use super::events::closes;
use super::events::connects;
use super::events::listens;
use super::events::opens;
use super::events::resets;
use super::events::retransmits;
use super::records::accept;
use super::records::between;
use super::records::byte;
use super::records::close;
use super::records::comm;
use super::records::connect;
use super::records::curl;
use super::records::failed_connect;
use super::records::ipv4;
use super::records::ipv6;
use super::records::listen;
use super::records::open;
use super::records::outgoing;
use super::records::outgoing_ipv6;
use super::records::process;
use super::records::reset;
use super::records::retransmit;
use super::records::tied;
use super::records::without;
use super::run::Run;
use super::run::previous;
use super::run::start;
use super::run::stdout;
use super::run::stop;

/// Puts records into a run.
pub type Fill = fn(&mut Run);

/// The files, and what makes them.
pub const CASES: [(&str, Fill); 11] = [
    ("connect", connects),
    ("accept", accepts),
    ("close", closes),
    ("open", opens),
    ("listen", listens),
    ("retransmit", retransmits),
    ("reset", resets),
    ("addresses", addresses),
    ("names", names),
    ("ledger", ledger),
    ("stop", stops),
];

/// The files whose table has a column of times.
pub const WITH_TIMES: [&str; 2] = ["accept", "ledger"];

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
    failed_attempts(run);
}

/// Addresses that do not belong together: what was asked for is told, and what is unknown says nothing.
fn failed_attempts(run: &mut Run) {
    let mapped = ipv6("::ffff:192.0.2.1");
    let no_local = byte(cl_unknown::CL_NO_LOCAL.0);
    // Left from a socket of the other family: ENETUNREACH, EAFNOSUPPORT.
    let bound = between(&ipv4("10.0.0.5"), &mapped);
    run.event(&cl_connect { conn: cl_conn { unknown: no_local, ..bound }, ..failed_connect(101) });
    let bound = cl_conn { local_ip: ipv6("2001:db8::5"), ..outgoing() };
    run.event(&cl_connect { conn: cl_conn { unknown: no_local, ..bound }, ..failed_connect(97) });
    // Bound to an address from which there is no way to IPv4; and to one, with no peer named: EINVAL.
    run.event(&cl_connect { conn: between(&ipv6("::1"), &mapped), ..failed_connect(101) });
    let bound = between(&ipv6("::ffff:10.0.0.5"), &ipv6("::"));
    let conn = without(cl_unknown::CL_NO_REMOTE, bound);
    run.event(&cl_connect { conn, ..failed_connect(22) });
    // To ::, which stands for this host.
    let conn = without(cl_unknown::CL_NO_LOCAL, between(&ipv6("::"), &ipv6("::")));
    run.event(&cl_connect { conn, ..failed_connect(101) });
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
    let owner = tied(cl_attribution::CL_BY_ACCEPT, owner);
    for conn in [mapped(), cl_conn { scope_id: 3, ..between(&ipv6("fe80::5"), &ipv6("fe80::1")) }] {
        run.event(&cl_connect { conn, owner, ..connect() });
        run.event(&cl_accept { conn, owner, ..accept() });
        run.event(&cl_close { conn, owner, ..close() });
        run.event(&cl_open { conn, owner, ..open() });
        run.event(&cl_retransmit { conn, owner, ..retransmit() });
        run.event(&cl_reset { conn, owner, ..reset() });
        let conn = without(cl_unknown::CL_NO_REMOTE, conn);
        run.event(&cl_listen { conn, owner, ..listen() });
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
        told_full: 6,
        recovered: 5,
        ..counters
    };
    run.account(&counters);
    run.event(&cl_connect { owner: cl_owner { exec_id: 3, ..curl() }, ..connect() });
    run.heartbeat();
    // One is left of which nobody knows.
    run.account(&Counters { observed: [11, 0, 0, 0, 0, 0, 0, 0], ..counters });
    run.declare_unaccounted();
    let mut figures = run.ledger().figures();
    figures.outputs.push(stdout(&figures));
    run.own(Body::Stop(Box::new(stop(StopReason::Interrupted, figures))));
    beginnings(run);
    lost_by_an_output(run);
    // All causes at once; little is missing elsewhere, and the clock was set back.
    let causes = |most| {
        let mut causes = Losses::default();
        for (cause, count) in Cause::ALL.into_iter().zip(1..=most) {
            causes.add(cause, count);
        }
        causes
    };
    let [lost_by_ledger, lost_by_output] = [causes(5), causes(8)];
    run.own(Body::Heartbeat(Box::new(Figures {
        observed: lost_by_ledger.total() + 1,
        written: 1,
        lost: lost_by_ledger.total(),
        in_flight: Some(0),
        causes: Some(lost_by_ledger),
        incomplete: Some(Incomplete { process_unknown: 1, ..Incomplete::default() }),
        clock_step_us: Some(-2_500_000),
        outputs: vec![
            OutputFigures {
                output: "unix:/run/collector.sock".to_owned(),
                written: 1,
                lost: lost_by_output.total(),
                in_flight: 2,
                resent: 3,
                closed: false,
                causes: Some(lost_by_output),
            },
            OutputFigures {
                output: "file:/var/log/connledger/events.ndjson".to_owned(),
                closed: true,
                ..OutputFigures::default()
            },
        ],
        ..Figures::default()
    })));
}

/// An event, a heartbeat and a loss of the ledger's, which one output lacks.
fn lost_by_an_output(run: &mut Run) {
    let lacks = |entry: &&Entry| (3..=5).contains(&entry.seq);
    let entries: Vec<Entry> = run.entries().iter().filter(lacks).cloned().collect();
    let mut missed = Missed::new(&entries[0], Cause::OutputFull);
    for entry in &entries[1..] {
        missed.append(&Missed::new(entry, Cause::OutputFull));
    }
    let time = entries[0].time_unix_ns;
    run.enter(missed.entry(time));
    for cause in [Cause::TooLarge, Cause::Refused] {
        run.enter(Missed::new(&entries[0], cause).entry(time));
    }
}

/// Other beginnings.
fn beginnings(run: &mut Run) {
    let numbers = |text: &str| text.parse::<NumberList>().expect("a list");
    run.own(Body::Start(Box::new(Start {
        commit: "unknown",
        host_id: None,
        events: vec![Kind::Connect],
        hooks: Hooks {
            connect: None,
            accept: None,
            io: None,
            retransmit: None,
            reset: None,
            ..start().hooks
        },
        filters: Filters {
            pids: numbers("1479,1480"),
            uids: numbers("!0"),
            families: Families::Ipv4,
            ..Filters::default()
        }
        .given(),
        ring_size: 4096,
        ..start()
    })));
    let long = NumberList { include: (4_000_000..4_001_000).collect(), exclude: vec![] };
    let filters = Filters { pids: long, families: Families::Ipv6, ..Filters::default() };
    run.own(Body::Start(Box::new(Start { filters: filters.given(), ..start() })));
    // After a run that was terminated, one that was killed, one in another boot, one that a clock was set back after, and
    // one that was followed by runs without a line.
    let killed = Previous { stopped: None, ..previous() };
    let other_boot = Some("00000000000000000000000000000001".to_owned());
    let rebooted = Previous { boot_id: other_boot, gap_us: Some(61_000_000), ..killed.clone() };
    let set_back = Previous { gap_us: None, ..rebooted.clone() };
    let far = Previous { unwritten: 3, ..killed.clone() };
    let stopped = |reason| Previous { stopped: Some(reason), ..previous() };
    for previous in
        StopReason::ALL.map(stopped).into_iter().chain([killed, rebooted, set_back, far])
    {
        run.own(Body::Start(Box::new(Start { previous: Some(previous), ..start() })));
    }
    // Every filter at once, with names that could be misread.
    let mut filters = Filters {
        pids: numbers("1479,!812"),
        uids: numbers("!0"),
        comms: parse_names(r"curl,Web Content,!a\\b,\!c\,d,\x1b[31m,\xff").expect("a list"),
        cgroups: CgroupList {
            include: vec![Cgroup::new(7411, "/system.slice/a \"b\".service")],
            exclude: vec![Cgroup::new(7412, "/user.slice")],
        },
        netns: numbers("4026531840"),
        local_ports: "8443,!1-1023".parse().expect("a list"),
        remote_ports: "!22".parse().expect("a list"),
        local_nets: "10.0.0.0/8,2001:DB8::/32".parse().expect("a list"),
        remote_nets: "!::ffff:192.0.2.0/120".parse().expect("a list"),
        exclude_self: true,
        ..Filters::default()
    };
    filters.exclude_loopback();
    run.own(Body::Start(Box::new(Start { filters: filters.given(), ..start() })));
}

fn stops(run: &mut Run) {
    for reason in StopReason::ALL {
        run.own(Body::Stop(Box::new(stop(reason, Figures::default()))));
    }
    // Numbers that JSON does not carry are capped.
    let mut causes = Losses::default();
    for cause in Cause::ALL.into_iter().take_while(|cause| *cause != Cause::OwnRecord) {
        causes.add(cause, u64::MAX / 16);
    }
    run.own(Body::Stop(Box::new(stop(
        StopReason::Duration,
        Figures {
            outputs: vec![OutputFigures {
                output: "unix-dgram:/run/collector.sock".to_owned(),
                written: u64::MAX,
                lost: u64::MAX,
                in_flight: u64::MAX,
                resent: u64::MAX,
                closed: true,
                causes: Some(causes),
            }],
            observed: u64::MAX,
            written: 1 << 53,
            clock_step_us: Some(i64::MIN),
            recovered: u64::MAX,
            ..Figures::default()
        },
    ))));
}
