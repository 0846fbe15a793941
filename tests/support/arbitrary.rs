//! Arbitrary records, for proptest: wire records with any values in their fields, and what the ledger can say
//! itself. The values that something depends on come more often than others.

use std::fmt::Debug;
use std::net::IpAddr;

use connledger::clock::WallTime;
use connledger::config::Cgroup;
use connledger::config::Families;
use connledger::config::Filters;
use connledger::config::List;
use connledger::config::Name;
use connledger::config::Network;
use connledger::config::PortRange;
use connledger::event::Comm;
use connledger::event::Image;
use connledger::event::Kind;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Figures;
use connledger::ledger::Incomplete;
use connledger::ledger::Loss;
use connledger::ledger::Losses;
use connledger::ledger::OutputFigures;
use connledger::ledger::Previous;
use connledger::ledger::Start;
use connledger::ledger::Stop;
use connledger::ledger::StopReason;
use connledger::probe::Hooks;
use connledger::wire::cl_accept;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_header;
use connledger::wire::cl_kind;
use connledger::wire::cl_listen;
use connledger::wire::cl_open;
use connledger::wire::cl_owner;
use connledger::wire::cl_reset;
use connledger::wire::cl_retransmit;
use proptest::array::uniform4;
use proptest::array::uniform5;
use proptest::array::uniform6;
use proptest::array::uniform9;
use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;
use proptest::sample::select;

use super::records::AF_INET;
use super::records::AF_INET6;
use super::records::header;
use super::records::ipv6;
use super::run::start;

/// The small, the large and any other. Boxed, as is all that stands in arrays and tuples: a strategy lies on
/// the stack with everything in it.
pub fn number() -> BoxedStrategy<u64> {
    let around_2_53 = (1_u64 << 53) - 2..=1 << 53;
    prop_oneof![Just(0), Just(u64::MAX), 0..1000_u64, around_2_53, any::<u64>()].boxed()
}

fn number32() -> BoxedStrategy<u32> {
    prop_oneof![Just(0), Just(u32::MAX), 0..1000_u32, any::<u32>()].boxed()
}

/// One of an enumeration's values mostly, or any.
fn one_of(values: u8) -> impl Strategy<Value = u8> {
    prop_oneof![19 => 0..values, 1 => any::<u8>()]
}

fn address() -> BoxedStrategy<[u8; 16]> {
    let prefixed = |prefix: &'static str, len: usize| {
        any::<[u8; 16]>().prop_map(move |mut bytes| {
            bytes[..len].copy_from_slice(&ipv6(prefix)[..len]);
            bytes
        })
    };
    prop_oneof![
        any::<[u8; 16]>(),
        Just([0; 16]),
        prefixed("::ffff:0:0", 12),
        prefixed("64:ff9b::", 12),
        prefixed("fe80::", 2),
        uniform16(prop_oneof![Just(0), any::<u8>()]),
    ]
    .boxed()
}

/// Bytes of a name: what is dangerous, what is cut, and any.
fn name() -> BoxedStrategy<[u8; 16]> {
    let dangerous = b"\0\n\r\t\x1b\x7f\"\\ \xc2\x9b\xe2\x9c\x93\xff%{<a";
    prop_oneof![uniform16(select(&dangerous[..])), any::<[u8; 16]>()].boxed()
}

/// Mostly nothing is unknown, or the remote end, of a listener.
fn unknown() -> BoxedStrategy<u8> {
    prop_oneof![4 => Just(0), 3 => Just(2), 3 => one_of(4)].boxed()
}

pub fn conn() -> BoxedStrategy<cl_conn> {
    let family = prop_oneof![9 => Just(AF_INET), 10 => Just(AF_INET6), 1 => any::<u8>()];
    let netns = prop_oneof![9 => 1..=u32::MAX, 1 => Just(0)];
    let ids = (number(), number32(), netns, number32());
    let addresses = (address(), address());
    let port = || prop_oneof![1 => Just(0), 9 => any::<u16>()];
    let ports = (port(), port());
    (ids, addresses, ports, family, (one_of(3), one_of(3)), unknown())
        .prop_map(|(ids, ips, ports, family, (opened_by, protocol), unknown)| cl_conn {
            cookie: ids.0,
            generation: ids.1,
            netns: ids.2,
            local_ip: ips.0,
            remote_ip: ips.1,
            local_port: ports.0,
            remote_port: ports.1,
            scope_id: ids.3,
            family,
            opened_by,
            protocol,
            unknown,
            pad: [0; 4],
        })
        .boxed()
}

fn owner() -> BoxedStrategy<cl_owner> {
    (number(), number(), uniform5(number32()), name(), (one_of(6), any::<u8>()))
        .prop_map(|(start_ns, cgroup_id, [pid, tid, uid, gid, exec_id], comm, bytes)| cl_owner {
            start_ns,
            cgroup_id,
            pid,
            tid,
            uid,
            gid,
            exec_id,
            comm,
            attribution: bytes.0,
            admitted: bytes.1,
            pad: [0; 2],
        })
        .boxed()
}

fn at(header: cl_header, time_ns: u64) -> cl_header {
    cl_header { time_ns, ..header }
}

pub fn connect() -> impl Strategy<Value = cl_connect> {
    (number(), conn(), owner(), number(), prop_oneof![0..140_u32, number32()], one_of(2)).prop_map(
        |(time_ns, conn, owner, begun_ns, error, established)| cl_connect {
            header: at(header::<cl_connect>(cl_kind::CL_CONNECT), time_ns),
            conn,
            owner,
            begun_ns,
            error,
            established,
            pad: [0; 3],
        },
    )
}

pub fn accept() -> impl Strategy<Value = cl_accept> {
    (number(), conn(), owner(), number()).prop_map(|(time_ns, conn, owner, established_ns)| {
        let header = at(header::<cl_accept>(cl_kind::CL_ACCEPT), time_ns);
        cl_accept { header, conn, owner, established_ns }
    })
}

pub fn close() -> impl Strategy<Value = cl_close> {
    let times = (number(), number());
    let bytes = (number(), number());
    let end = (prop_oneof![0..140_u32, number32()], one_of(3), any::<u8>(), figures_known());
    (times, conn(), owner(), bytes, uniform5(number32()), end).prop_map(
        |(times, conn, owner, bytes, segments, (error, first_fin, aborted, known))| cl_close {
            header: at(header::<cl_close>(cl_kind::CL_CLOSE), times.0),
            conn,
            owner,
            established_ns: times.1,
            bytes_sent: bytes.0,
            bytes_received: bytes.1,
            segments_sent: segments[0],
            segments_received: segments[1],
            retransmits: segments[2],
            srtt_8us: segments[3],
            error,
            first_fin,
            aborted,
            known,
            pad: [0; 1],
        },
    )
}

/// Mostly all.
fn figures_known() -> BoxedStrategy<u8> {
    prop_oneof![Just(3), one_of(4)].boxed()
}

/// States of include/net/tcp_states.h.
fn state() -> BoxedStrategy<u8> {
    one_of(13).boxed()
}

pub fn open() -> impl Strategy<Value = cl_open> {
    (number(), conn(), owner(), state()).prop_map(|(time_ns, conn, owner, state)| {
        let header = at(header::<cl_open>(cl_kind::CL_OPEN), time_ns);
        cl_open { header, conn, owner, state, pad: [0; 7] }
    })
}

pub fn listen() -> impl Strategy<Value = cl_listen> {
    (number(), conn(), owner(), number32(), any::<u8>()).prop_map(
        |(time_ns, conn, owner, backlog, begins)| {
            let header = at(header::<cl_listen>(cl_kind::CL_LISTEN), time_ns);
            cl_listen { header, conn, owner, backlog, begins, pad: [0; 3] }
        },
    )
}

pub fn retransmit() -> impl Strategy<Value = cl_retransmit> {
    (number(), conn(), owner(), state()).prop_map(|(time_ns, conn, owner, state)| {
        let header = at(header::<cl_retransmit>(cl_kind::CL_RETRANSMIT), time_ns);
        cl_retransmit { header, conn, owner, state, pad: [0; 7] }
    })
}

pub fn reset() -> impl Strategy<Value = cl_reset> {
    (number(), conn(), owner(), state(), one_of(2)).prop_map(
        |(time_ns, conn, owner, state, sent)| {
            let header = at(header::<cl_reset>(cl_kind::CL_RESET), time_ns);
            cl_reset { header, conn, owner, state, sent, pad: [0; 6] }
        },
    )
}

fn image() -> BoxedStrategy<Image> {
    (number(), number32(), name())
        .prop_map(|(started_unix_ns, ppid, parent_comm)| Image {
            started_unix_ns,
            ppid,
            parent_comm: Comm(parent_comm),
        })
        .boxed()
}

/// A host's name: the kernel gives it 64 bytes, any.
pub fn host() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z0-9.-]{1,64}",
        vec(any::<u8>(), 0..=64).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        vec(prop_oneof![Just('\u{7f}'), Just('\0'), Just('"'), Just('\u{85}')], 0..=64)
            .prop_map(String::from_iter),
    ]
    .boxed()
}

/// Items of which some are included and some are excluded.
fn list<T: Clone + Debug + 'static>(item: impl Fn() -> BoxedStrategy<T>) -> BoxedStrategy<List<T>> {
    (vec(item(), 0..150), vec(item(), 0..150))
        .prop_map(|(include, exclude)| List { include, exclude })
        .boxed()
}

fn port_range() -> BoxedStrategy<PortRange> {
    (1..=u16::MAX, 1..=u16::MAX)
        .prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) })
        .boxed()
}

fn network() -> BoxedStrategy<Network> {
    let v4 = any::<[u8; 4]>().prop_map(|bytes| Network::from(IpAddr::from(bytes)));
    prop_oneof![v4, address().prop_map(|bytes| Network::from(IpAddr::from(bytes)))].boxed()
}

fn cgroup() -> BoxedStrategy<Cgroup> {
    let path = vec(any::<char>(), 0..300).prop_map(|path| format!("/{}", String::from_iter(path)));
    path.prop_map(|path| Cgroup::new(1, path)).boxed()
}

fn filters() -> BoxedStrategy<Filters> {
    let families = prop_oneof![Just(Families::Both), Just(Families::Ipv4), Just(Families::Ipv6)];
    let numbers = (list(number32), list(number32), list(number32));
    // Up to the first NUL, and never empty.
    let comm = || {
        name()
            .prop_map(|mut bytes| {
                bytes[0] |= 1;
                Name(bytes)
            })
            .boxed()
    };
    let texts = (list(comm), list(cgroup));
    let ports = (list(port_range), list(port_range));
    let nets = (list(network), list(network));
    (numbers, texts, ports, nets, families.boxed(), any::<bool>())
        .prop_map(|(numbers, texts, ports, nets, families, exclude_self)| Filters {
            pids: numbers.0,
            uids: numbers.1,
            comms: texts.0,
            cgroups: texts.1,
            netns: numbers.2,
            families,
            local_ports: ports.0,
            remote_ports: ports.1,
            local_nets: nets.0,
            remote_nets: nets.1,
            exclude_self,
        })
        .boxed()
}

/// Each of those that need not be there, or not.
fn hooks() -> BoxedStrategy<Hooks> {
    any::<[bool; 5]>()
        .prop_map(|[connect, accept, io, retransmit, reset]| {
            let all = start().hooks;
            Hooks {
                connect: all.connect.filter(|_| connect),
                accept: all.accept.filter(|_| accept),
                io: all.io.filter(|_| io),
                retransmit: all.retransmit.filter(|_| retransmit),
                reset: all.reset.filter(|_| reset),
                ..all
            }
        })
        .boxed()
}

fn beginning() -> BoxedStrategy<Start> {
    let events = proptest::sample::subsequence(Kind::ALL.to_vec(), 1..=Kind::ALL.len());
    let kernel = host().prop_filter("a kernel has a release", |release| !release.is_empty());
    let host_id = option::of("[0-9a-f]{32}");
    let numbers = (number32(), 12..=30_u32, wall_time());
    (events, hooks(), filters(), kernel, host_id, numbers, option::of(previous()))
        .prop_map(|(events, hooks, filters, kernel, host_id, (pid, ring, since), previous)| Start {
            since,
            previous,
            events,
            hooks,
            filters: filters.given(),
            kernel,
            host_id,
            pid,
            ring_size: 1 << ring,
            ..start()
        })
        .boxed()
}

fn previous() -> BoxedStrategy<Previous> {
    let end = (1..=u64::MAX, wall_time(), option::of(select(StopReason::ALL.to_vec())));
    ("[0-9a-f]{16}", end, option::of("[0-9a-f]{32}"), option::of(number()), number())
        .prop_map(|(run, (seq, until, stopped), boot_id, gap_us, unwritten)| Previous {
            run,
            seq,
            until,
            stopped,
            boot_id,
            gap_us,
            unwritten,
        })
        .boxed()
}

fn wall_time() -> BoxedStrategy<WallTime> {
    number().prop_map(WallTime).boxed()
}

fn losses() -> BoxedStrategy<Losses> {
    uniform9(number())
        .prop_map(|counts| {
            let mut losses = Losses::default();
            for (cause, count) in Cause::ALL.into_iter().zip(counts) {
                losses.add(cause, count);
            }
            losses
        })
        .boxed()
}

fn of_ledger(losses: Losses) -> Losses {
    let of_outputs = [Cause::OutputFull, Cause::TooLarge, Cause::Refused, Cause::OwnRecord];
    of_outputs.into_iter().fold(losses, Losses::without)
}

fn occurred(losses: &Losses) -> bool {
    losses.iter().next().is_some()
}

fn loss() -> BoxedStrategy<Loss> {
    let place = (1..=u64::MAX, 1..=u64::MAX, 1..=u64::MAX);
    (place, losses().prop_filter("something is lost", occurred))
        .prop_map(|((first_seq, last_seq, count), causes)| Loss {
            first_seq,
            last_seq,
            count,
            causes,
        })
        .boxed()
}

fn incomplete() -> BoxedStrategy<Incomplete> {
    uniform6(number())
        .prop_map(
            |[
                storage_failed,
                accept_queue_full,
                acceptors_full,
                process_ring_full,
                told_full,
                process_unknown,
            ]| {
                Incomplete {
                    storage_failed,
                    accept_queue_full,
                    acceptors_full,
                    process_ring_full,
                    told_full,
                    process_unknown,
                }
            },
        )
        .boxed()
}

/// Nothing empty is told, as the ledger has it.
fn figures() -> BoxedStrategy<Figures> {
    let books = uniform5(number());
    (books, losses(), incomplete(), option::of(any::<i64>()), vec(output_figures(), 0..=8))
        .prop_map(
            |(
                [observed, written, lost, filtered, recovered],
                losses,
                incomplete,
                clock_step_us,
                outputs,
            )| {
                Figures {
                    observed,
                    written,
                    lost,
                    filtered,
                    in_flight: None,
                    causes: Some(of_ledger(losses)).filter(occurred),
                    incomplete: Some(incomplete).filter(|none| *none != Incomplete::default()),
                    recovered,
                    clock_step_us,
                    outputs,
                }
            },
        )
        .boxed()
}

fn output_figures() -> BoxedStrategy<OutputFigures> {
    let names = [
        "stdout",
        "journald",
        "file:/var/log/a b.ndjson",
        "unix:/run/x",
        "unix-dgram:y",
        "journald:z",
    ];
    let long = format!("file:/{}", "x".repeat(254));
    let name = prop_oneof![select(names.to_vec()).prop_map(str::to_owned), Just(long)];
    (name, uniform4(number()), losses(), any::<bool>())
        .prop_map(|(output, [written, lost, in_flight, resent], losses, closed)| OutputFigures {
            output,
            written,
            lost,
            in_flight,
            resent,
            closed,
            causes: Some(losses.without(Cause::OwnRecord)).filter(occurred),
        })
        .boxed()
}

/// What the ledger says itself.
pub fn own() -> impl Strategy<Value = Body> {
    let reason = select(StopReason::ALL.to_vec());
    prop_oneof![
        Just(Body::Ready),
        loss().prop_map(Body::Loss),
        beginning().prop_map(|start| Body::Start(Box::new(start))),
        (figures(), number()).prop_map(|(figures, in_flight)| {
            Body::Heartbeat(Box::new(Figures { in_flight: Some(in_flight), ..figures }))
        }),
        (figures(), reason, wall_time()).prop_map(|(figures, reason, until)| {
            Body::Stop(Box::new(Stop { reason, until, figures }))
        }),
    ]
}

/// What is around an event when it is written.
pub fn surroundings() -> impl Strategy<Value = (u64, u64, String, Option<Image>)> {
    (1..=u64::MAX, number(), host(), option::of(image()))
}
