//! Arbitrary records, for proptest: wire records with any values in their fields, and what the ledger can say
//! itself. The values that something depends on come more often than others.

use connledger::config::Families;
use connledger::config::Filters;
use connledger::config::NumberList;
use connledger::event::Comm;
use connledger::event::Image;
use connledger::event::Kind;
use connledger::ledger::Body;
use connledger::ledger::Cause;
use connledger::ledger::Figures;
use connledger::ledger::Incomplete;
use connledger::ledger::Loss;
use connledger::ledger::Losses;
use connledger::ledger::Start;
use connledger::ledger::Stop;
use connledger::ledger::StopReason;
use connledger::wire::cl_accept;
use connledger::wire::cl_close;
use connledger::wire::cl_conn;
use connledger::wire::cl_connect;
use connledger::wire::cl_header;
use connledger::wire::cl_kind;
use connledger::wire::cl_owner;
use proptest::array::uniform5;
use proptest::array::uniform16;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::BoxedStrategy;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prop_oneof;

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
    prop_oneof![uniform16(proptest::sample::select(&dangerous[..])), any::<[u8; 16]>()].boxed()
}

pub fn conn() -> BoxedStrategy<cl_conn> {
    let family = prop_oneof![9 => Just(AF_INET), 10 => Just(AF_INET6), 1 => any::<u8>()];
    let ids = (number(), number32(), number32(), number32());
    let ports = (any::<u16>(), any::<u16>());
    (ids, address(), address(), ports, family, one_of(3))
        .prop_map(|(ids, local_ip, remote_ip, ports, family, opened_by)| cl_conn {
            cookie: ids.0,
            generation: ids.1,
            netns: ids.2,
            local_ip,
            remote_ip,
            local_port: ports.0,
            remote_port: ports.1,
            scope_id: ids.3,
            family,
            opened_by,
            pad: [0; 6],
        })
        .boxed()
}

fn owner() -> BoxedStrategy<cl_owner> {
    (number(), number(), uniform5(number32()), name(), one_of(5))
        .prop_map(|(start_ns, cgroup_id, [pid, tid, uid, gid, exec_id], comm, attribution)| {
            cl_owner {
                start_ns,
                cgroup_id,
                pid,
                tid,
                uid,
                gid,
                exec_id,
                comm,
                attribution,
                pad: [0; 3],
            }
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
    let end = (prop_oneof![0..140_u32, number32()], one_of(3), any::<u8>());
    (times, conn(), owner(), bytes, uniform5(number32()), end).prop_map(
        |(times, conn, owner, bytes, segments, (error, first_fin, aborted))| cl_close {
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
            pad: [0; 2],
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

fn number_list() -> impl Strategy<Value = NumberList> {
    (vec(number32(), 0..200), vec(number32(), 0..200))
        .prop_map(|(include, exclude)| NumberList { include, exclude })
}

fn beginning() -> BoxedStrategy<Start> {
    let families = prop_oneof![Just(Families::Both), Just(Families::Ipv4), Just(Families::Ipv6)];
    let filters = (number_list(), number_list(), families)
        .prop_map(|(pids, uids, families)| Filters { pids, uids, families });
    let events = proptest::sample::subsequence(Kind::ALL.to_vec(), 1..=Kind::ALL.len());
    let kernel = host().prop_filter("a kernel has a release", |release| !release.is_empty());
    let host_id = option::of("[0-9a-f]{32}");
    (events, filters, kernel, host_id, number32(), 12..=30_u32)
        .prop_map(|(events, filters, kernel, host_id, pid, ring)| Start {
            events,
            filters: filters.given(),
            kernel,
            host_id,
            pid,
            ring_size: 1 << ring,
            ..start()
        })
        .boxed()
}

fn losses() -> BoxedStrategy<Losses> {
    uniform5(number())
        .prop_map(|counts| {
            let mut losses = Losses::default();
            for (cause, count) in Cause::ALL.into_iter().zip(counts) {
                losses.add(cause, count);
            }
            losses
        })
        .boxed()
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
    uniform5(number())
        .prop_map(
            |[
                storage_failed,
                accept_queue_full,
                acceptors_full,
                process_ring_full,
                process_unknown,
            ]| {
                Incomplete {
                    storage_failed,
                    accept_queue_full,
                    acceptors_full,
                    process_ring_full,
                    process_unknown,
                }
            },
        )
        .boxed()
}

/// Nothing empty is told, as the ledger has it.
fn figures() -> BoxedStrategy<Figures> {
    let books = uniform5(number());
    (books, losses(), incomplete(), option::of(any::<i64>()))
        .prop_map(
            |(
                [observed, written, lost, filtered, recovered],
                losses,
                incomplete,
                clock_step_us,
            )| {
                Figures {
                    observed,
                    written,
                    lost,
                    filtered,
                    in_flight: None,
                    causes: Some(losses).filter(occurred),
                    incomplete: Some(incomplete).filter(|none| *none != Incomplete::default()),
                    recovered,
                    clock_step_us,
                }
            },
        )
        .boxed()
}

/// What the ledger says itself.
pub fn own() -> impl Strategy<Value = Body> {
    let reason = prop_oneof![
        Just(StopReason::Interrupted),
        Just(StopReason::Terminated),
        Just(StopReason::Duration),
        Just(StopReason::MaxEvents),
        Just(StopReason::OutputsClosed),
    ];
    prop_oneof![
        Just(Body::Ready),
        loss().prop_map(Body::Loss),
        beginning().prop_map(|start| Body::Start(Box::new(start))),
        (figures(), number()).prop_map(|(figures, in_flight)| {
            Body::Heartbeat(Box::new(Figures { in_flight: Some(in_flight), ..figures }))
        }),
        (figures(), reason)
            .prop_map(|(figures, reason)| Body::Stop(Box::new(Stop { reason, figures }))),
    ]
}

/// What is around an event when it is written.
pub fn surroundings() -> impl Strategy<Value = (u64, u64, String, Option<Image>)> {
    (1..=u64::MAX, number(), host(), option::of(image()))
}
