//! What is seen of each way to connect and to accept, and who is named: tried, one way after the other, and
//! held against the table in the README. `GOLDEN=write` writes the table anew.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::libc;
use serde_json::Value;

use crate::accepting_uring::Accepting;
use crate::accepting_uring::Doing;
use crate::accepting_uring::serve;
use crate::calls::connect;
use crate::calls::nonblocking_for;
use crate::calls::send_fast;
use crate::calls::send_message_fast;
use crate::calls::set_option;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::can_trace;
use crate::multipath::listen;
use crate::multipath::mptcp_for;
use crate::namespace::Namespace;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;
use crate::uring::By;

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Where a table stands in it.
const BEGIN: &str = "<!-- coverage: begin -->\n";
const END: &str = "<!-- coverage: end -->\n";

/// Where the rows stand that differ where reads and writes are not seen.
const BLIND_BEGIN: &str = "<!-- coverage before Linux 6.3: begin -->\n";
const BLIND_END: &str = "<!-- coverage before Linux 6.3: end -->\n";

const HEAD: &str = "| way | told as | process | `attributed_to` |\n| --- | --- | --- | --- |\n";

/// Where no packet gets to.
const NOWHERE: &str = "198.51.100.7:80";

fn nowhere() -> SocketAddr {
    NOWHERE.parse().unwrap()
}

/// A way to connect: to a listener, or nowhere. So many records it makes.
type Connecting = (&'static str, usize, fn(SocketAddr));

const CONNECTING: [Connecting; 9] = [
    ("`connect`, blocking or not", 2, |server| {
        drop(TcpStream::connect(server).unwrap());
        let socket = nonblocking_for(server);
        assert_eq!(connect(&socket, server), Err(Errno::EINPROGRESS));
        wait_writable(&socket);
    }),
    ("`connect` that fails before a SYN", 1, |_| drop(TcpStream::connect(nowhere()).unwrap_err())),
    ("fast open: `sendto`, `sendmsg` with `MSG_FASTOPEN`", 2, |server| {
        send_fast(&tcp_for(server), b"data", server).unwrap();
        send_message_fast(&tcp_for(server), b"data", server).unwrap();
    }),
    ("the same, failing before a SYN", 0, |_| {
        send_fast(&tcp_for(nowhere()), b"data", nowhere()).unwrap_err();
        send_message_fast(&tcp_for(nowhere()), b"data", nowhere()).unwrap_err();
    }),
    ("fast open: `TCP_FASTOPEN_CONNECT`", 1, |server| {
        let socket = tcp_for(server);
        set_option(&socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN_CONNECT, 1);
        connect(&socket, server).unwrap();
        // With a cookie it is this that connects.
        (&socket).write_all(b"data").unwrap();
    }),
    ("io_uring, in the call that submits", 1, |server| {
        By::Caller.connect(&tcp_for(server), server).unwrap();
    }),
    ("io_uring, by a worker or the kernel's thread (SQPOLL)", 2, |server| {
        By::Worker.connect(&tcp_for(server), server).unwrap();
        By::KernelThread.connect(&tcp_for(server), server).unwrap();
    }),
    ("io_uring, failing before a SYN", 0, |_| {
        By::Caller.connect(&tcp_for(nowhere()), nowhere()).unwrap_err();
    }),
    ("MPTCP", 1, |server| connect(mptcp_for(server), server).unwrap()),
];

/// A way to accept, in a process that is not the listener's owner.
type Serving = fn(&TcpListener, &Tracer);

const ACCEPTING: [(&str, Option<Serving>); 5] = [
    ("`accept`, `accept4`", Some(|listener, _| drop(listener.accept().unwrap()))),
    (
        "io_uring (plain, SQPOLL, multishot, direct), then a read or write",
        Some(|listener, tracer| {
            serve(listener, Accepting::Plain, Doing::Write, tracer);
            serve(listener, Accepting::Sqpoll, Doing::Write, tracer);
            serve(listener, Accepting::Direct, Doing::Send, tracer);
            // The last one: it takes all that are left.
            serve(listener, Accepting::Multishot, Doing::Write, tracer);
        }),
    ),
    (
        "io_uring, closed without either",
        Some(|listener, tracer| serve(listener, Accepting::Plain, Doing::Nothing, tracer)),
    ),
    ("MPTCP, by `accept`", Some(|listener, _| drop(listener.accept().unwrap()))),
    ("nobody accepts", None),
];

/// How often a way is to be tried: each of what it does takes one connection.
fn connections(way: &str) -> usize {
    if way.contains("multishot") { 4 } else { 1 }
}

/// Whom a record names, seen from the one who called.
fn named(record: &Value, caller: (i32, i32)) -> &'static str {
    let process = &record["process"];
    match (process["pid"] == caller.0, process["tid"] == caller.1) {
        (true, true) => "the caller, and its thread",
        (true, false) => "the caller, a thread of io_uring's",
        _ => {
            assert_eq!(process["pid"], std::process::id(), "{record}");
            "the listener's owner"
        }
    }
}

/// A row: what all these records have in common.
fn row(table: &mut String, way: &str, records: &[&Value], event: &str, caller: (i32, i32)) {
    let cells: Vec<[String; 3]> = records
        .iter()
        .filter(|record| record["event"] == event)
        .map(|record| {
            let told = match record["errno"].as_str() {
                Some(errno) if event == "connect" => format!("`{event}`, with its errno ({errno})"),
                _ => format!("`{event}`"),
            };
            let attributed = record["attributed_to"].as_str();
            let attributed = attributed.map_or_else(|| "absent".to_owned(), |by| format!("`{by}`"));
            [told, named(record, caller).to_owned(), attributed]
        })
        .collect();
    let cells = match cells.first() {
        Some(first) => {
            assert!(cells.iter().all(|other| other == first), "{way}: {cells:#?}");
            first.join(" | ")
        }
        None => "nothing | – | –".to_owned(),
    };
    writeln!(table, "| {way} | {cells} |").unwrap();
}

/// What it is tried on: the rung that this kernel is known to carry, or the one that tests/vm/ means to try.
fn assert_rung(log: &Log, ladder: &str) {
    let wanted = std::env::var("CONNLEDGER_RUNG");
    let wanted = wanted.as_deref().unwrap_or("tracepoint/syscalls/");
    let hook = log.records[0]["hooks"][ladder].as_str().unwrap();
    assert!(hook.starts_with(wanted), "{hook}");
}

fn connecting(table: &mut String) {
    for (way, records, work) in CONNECTING {
        let namespace = Namespace::enter();
        sysctl("net.ipv4.tcp_fastopen", "3");
        let tracer = Tracer::start(&["-e", "connect"]);
        let listener = TcpListener::bind(v4()).unwrap();
        work(listener.local_addr().unwrap());
        let caller = (nix::unistd::getpid().as_raw(), nix::unistd::gettid().as_raw());
        let log = tracer.stop();
        assert_rung(&log, "connect");
        let events = log.events(namespace.netns);
        assert_eq!(events.len(), records, "{way}: {events:#?}");
        row(table, way, &events, "connect", caller);
    }
}

/// Returns whether reads and writes are seen on this kernel.
fn accepting(table: &mut String) -> bool {
    let mut sees_io = false;
    for (way, serving) in ACCEPTING {
        let namespace = Namespace::enter();
        let tracer = Tracer::start(&["-e", "accept,close"]);
        let socket = if way.starts_with("MPTCP") { mptcp_for(v4()) } else { tcp_for(v4()) };
        let listener = TcpListener::from(listen(socket, v4()));
        let server = listener.local_addr().unwrap();
        let child = serving.map(|serve| forked(|| serve(&listener, &tracer)));
        let pid = child.as_ref().map_or(0, crate::processes::Child::pid);
        let streams: Vec<_> = (0..connections(way))
            .map(|_| {
                let socket =
                    if way.starts_with("MPTCP") { mptcp_for(server) } else { tcp_for(server) };
                connect(&socket, server).unwrap();
                socket
            })
            .collect();
        if let Some(child) = child {
            child.wait();
        } else {
            thread::sleep(Duration::from_millis(50));
        }
        drop((listener, streams));
        tracer.wait_for_events(namespace.netns, "close", 2 * connections(way));
        if serving.is_some() {
            // What nobody saw accept may be told as late as that a ring lets go of it.
            tracer.wait_for_events(namespace.netns, "accept", connections(way));
        }
        let log = tracer.stop();
        assert_rung(&log, "accept");
        sees_io = log.records[0]["hooks"].get("io").is_some();
        let events = log.events(namespace.netns);
        if serving.is_some() {
            let accepts = events.iter().filter(|record| record["event"] == "accept").count();
            assert_eq!(accepts, connections(way), "{way}: {events:#?}");
            row(table, way, &events, "accept", (pid, pid));
        } else {
            assert!(events.iter().all(|record| record["event"] == "close"), "{events:#?}");
            let theirs: Vec<&Value> =
                events.into_iter().filter(|record| record["opened_by"] == "remote").collect();
            row(table, way, &theirs, "close", (pid, pid));
        }
    }
    sees_io
}

#[test]
fn the_readme_says_what_is_seen() {
    if !can_trace() {
        return;
    }
    let mut table = format!("{HEAD}| **connecting** | | | |\n");
    connecting(&mut table);
    table.push_str("| **accepting** | | | |\n");
    let sees_io = accepting(&mut table);

    let readme = fs::read_to_string(README).unwrap();
    let told = between(&readme, BEGIN, END);
    if sees_io && std::env::var("GOLDEN").is_ok_and(|what| what == "write") {
        fs::write(README, readme.replace(told, &table)).unwrap();
        return;
    }
    let told = if sees_io {
        told.to_owned()
    } else {
        with_rows_of(told, between(&readme, BLIND_BEGIN, BLIND_END))
    };
    assert_eq!(told, table, "GOLDEN=write cargo test --test kernel coverage writes it anew");
}

fn between<'a>(readme: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = readme.split_once(begin).expect("a table's place in the README");
    rest.split_once(end).expect("its end in the README").0
}

/// A table with the rows that another has of the same ways.
fn with_rows_of(table: &str, other: &str) -> String {
    let way = |row: &str| row.split(" | ").next().map(str::to_owned);
    let lines = table.lines().map(|row| {
        let replaced = other.lines().skip(2).find(|other| way(other) == way(row));
        format!("{}\n", replaced.unwrap_or(row))
    });
    lines.collect()
}
