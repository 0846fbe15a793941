//! Calls: connections within the test's namespace, and which of their ends a filter tells.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::TcpListener;

use socket2::Domain;
use socket2::Protocol;
use socket2::Socket;
use socket2::Type;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::ip;
use crate::pairs::wait_until;
use crate::tracer::Log;
use crate::tracer::Tracer;
use crate::tracer::is_end;

/// Which ends of a call are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ends {
    /// Connect, accept and two closes.
    Both,
    /// Connect and close of the end that calls.
    Active,
    /// Accept and close of the end that is called.
    Passive,
    /// Nothing.
    Neither,
}

impl Ends {
    fn count(self) -> usize {
        match self {
            Self::Both => 2,
            Self::Active | Self::Passive => 1,
            Self::Neither => 0,
        }
    }
}

/// A call from one address to another one, and what is told of it. Port 0 stands for one that the kernel
/// chooses. The client's socket is of the family of the first address, the listener's of the second:
/// `::ffff:10.1.0.1` makes an IPv6 socket that speaks IPv4.
pub type Call<'a> = (&'a str, &'a str, Ends);

/// Makes the calls under a tracer with these arguments, and compares.
pub fn check(args: &[&str], calls: &[Call<'_>]) {
    check_of(Protocol::TCP, args, calls);
}

/// The same by a protocol.
pub fn check_of(protocol: Protocol, args: &[&str], calls: &[Call<'_>]) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let calls: Vec<(SocketAddr, SocketAddr, Ends)> = calls
        .iter()
        .map(|(from, to, ends)| (from.parse().expect(from), to.parse().expect(to), *ends))
        .collect();
    give_addresses(calls.iter().flat_map(|(from, to, _)| [from.ip(), to.ip()]));
    let listening = || -> BTreeMap<SocketAddr, TcpListener> {
        let addresses = calls.iter().map(|&(_, to, _)| to).collect::<BTreeSet<_>>();
        addresses.into_iter().map(|at| (at, listen(protocol, at))).collect()
    };

    // Who is seen to listen and accepts then is nobody new: of MPTCP that makes a difference.
    let before = (protocol == Protocol::TCP).then(listening);
    let tracer = Tracer::start(args);
    let listeners = before.unwrap_or_else(listening);
    let made: Vec<(SocketAddr, SocketAddr, Ends)> = calls
        .iter()
        .map(|(from, to, ends)| {
            let (client, server) = call(protocol, *from, &listeners[to]);
            (client, server, *ends)
        })
        .collect();
    let told: usize = made.iter().map(|(_, _, ends)| ends.count()).sum();
    if told != 0 {
        tracer.wait_for_events(namespace.netns, "close", told);
    }
    wait_until_all_have_ended();
    let log = tracer.stop();

    for (client, server, ends) in &made {
        let active = is_told(&log, namespace.netns, "connect", *client, *server);
        let passive = is_told(&log, namespace.netns, "accept", *server, *client);
        let found = match (active, passive) {
            (true, true) => Ends::Both,
            (true, false) => Ends::Active,
            (false, true) => Ends::Passive,
            (false, false) => Ends::Neither,
        };
        assert_eq!(found, *ends, "{client} to {server} under {}", shortened(args));
    }
    assert_eq!(log.events(namespace.netns).len(), 2 * told, "and nothing else");
    let refused = 2 * (2 * made.len() - told) as u64;
    assert!(filtered(&log) >= refused, "{refused} of them were refused: {}", log.stop());
}

/// Waits until no connection of the namespace is left: MPTCP's end by and by, and what is refused is not seen to end.
pub fn wait_until_all_have_ended() {
    let have_ended = |table: &&str| {
        let sockets = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap();
        let mut states = sockets.lines().skip(1).map(|line| line.split_whitespace().nth(3));
        // TIME_WAIT, and listeners.
        states.all(|state| matches!(state, Some("06" | "0A")))
    };
    wait_until(|| ["tcp", "tcp6"].iter().all(have_ended), "the end of all");
}

/// How many events were refused.
pub fn filtered(log: &Log) -> u64 {
    log.stop()["filtered"].as_u64().unwrap()
}

/// Arguments, of which a test may have thousands.
fn shortened(args: &[&str]) -> String {
    args.join(" ").chars().take(200).collect()
}

/// The loopback device gets the addresses that it does not have.
fn give_addresses(addresses: impl Iterator<Item = IpAddr>) {
    let addresses = addresses.map(|address| address.to_canonical());
    let others = addresses.filter(|ip| !ip.is_loopback() && !ip.is_unspecified());
    for address in others.collect::<BTreeSet<_>>() {
        match address {
            IpAddr::V4(v4) => ip(&["addr", "add", &format!("{v4}/32"), "dev", "lo"]),
            IpAddr::V6(v6) => ip(&["addr", "add", &format!("{v6}/128"), "dev", "lo", "nodad"]),
        }
    }
}

/// A listener.
pub fn listen(protocol: Protocol, at: SocketAddr) -> TcpListener {
    let socket = Socket::new(Domain::for_address(at), Type::STREAM, Some(protocol)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&at.into()).unwrap_or_else(|err| panic!("{at}: {err}"));
    socket.listen(128).unwrap();
    socket.into()
}

/// Calls; returns who called, from where and where to.
pub fn dial(
    protocol: Protocol,
    from: SocketAddr,
    listener: &TcpListener,
) -> (Socket, SocketAddr, SocketAddr) {
    let to = canonical(listener.local_addr().unwrap());
    let to = match (to.ip(), from.ip().to_canonical()) {
        (ip, IpAddr::V4(_)) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, to.port()).into(),
        (ip, IpAddr::V6(_)) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, to.port()).into(),
        _ => to,
    };
    let to = match to.ip() {
        IpAddr::V4(v4) if from.is_ipv6() => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
        _ => to,
    };
    let socket = Socket::new(Domain::for_address(from), Type::STREAM, Some(protocol)).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&from.into()).unwrap_or_else(|err| panic!("{from}: {err}"));
    socket.connect(&to.into()).unwrap_or_else(|err| panic!("{from} to {to}: {err}"));
    let client = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, canonical(client), canonical(to))
}

/// Calls, is answered, and hangs up; returns from where it called, and where to.
fn call(protocol: Protocol, from: SocketAddr, listener: &TcpListener) -> (SocketAddr, SocketAddr) {
    let (socket, client, server) = dial(protocol, from, listener);
    let accepted = listener.accept().unwrap();
    drop(socket);
    drop(accepted);
    (client, server)
}

/// Records have a v4-mapped address as IPv4.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Whether the beginning and the close of an end are told, each once; never one of them alone.
fn is_told(log: &Log, netns: u64, begin: &str, local: SocketAddr, remote: SocketAddr) -> bool {
    let kinds: Vec<&str> = log
        .events(netns)
        .into_iter()
        .filter(|record| is_end(&record["local"], local) && is_end(&record["remote"], remote))
        .map(|record| record["event"].as_str().unwrap())
        .collect();
    let whole =
        kinds.is_empty() || kinds.len() == 2 && kinds.contains(&begin) && kinds.contains(&"close");
    assert!(whole, "{local} to {remote}: {kinds:?}");
    !kinds.is_empty()
}

/// What the tests of filters do, without any filter.
#[test]
fn all_calls_are_told() {
    check(
        &[],
        &[
            ("127.0.0.1:0", "127.0.0.1:8000", Ends::Both),
            ("127.0.0.1:5000", "127.0.0.1:8000", Ends::Both),
            ("[::1]:0", "[::1]:8000", Ends::Both),
            ("10.1.0.1:0", "10.2.0.2:8000", Ends::Both),
            ("127.0.0.1:0", "10.2.0.2:8000", Ends::Both),
            ("[2001:db8:1::1]:0", "[2001:db8:2::2]:8000", Ends::Both),
            ("[::ffff:10.1.0.1]:0", "10.2.0.2:8000", Ends::Both),
            ("10.1.0.1:0", "[::ffff:10.2.0.2]:9000", Ends::Both),
            ("[::ffff:10.1.0.1]:0", "[::ffff:10.2.0.2]:9000", Ends::Both),
            ("0.0.0.0:0", "127.0.0.1:8000", Ends::Both),
        ],
    );
}
