//! Connecting: who, whereto, how it ended.

use std::io;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::net::SocketAddrV6;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::process;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use serde_json::Value;
use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::calls::connect;
use crate::calls::tcp_for;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::ip;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::scene::Scene;
use crate::scene::assert_remote;
use crate::tracer::Tracer;

/// What every event of the calling thread must say about its process.
pub fn assert_caller(record: &Value) {
    let process = &record["process"];
    assert_eq!(process["pid"], process::id(), "{record}");
    assert_eq!(process["tid"], nix::unistd::gettid().as_raw(), "{record}");
    assert_eq!(process["ppid"], nix::unistd::getppid().as_raw(), "{record}");
    let comm = std::fs::read_to_string("/proc/thread-self/comm").expect("comm");
    assert_eq!(process["comm"], comm.trim_end(), "{record}");
    assert_eq!(process["uid"], 0, "{record}");
    assert_eq!(process["gid"], 0, "{record}");
    assert!(process["start"].is_string(), "{record}");
    assert!(process["parent_comm"].is_string(), "{record}");
}

fn one_connection(address: SocketAddr, family: &str) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(address).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    drop(stream);
    drop(listener);
    tracer.wait_for_events(namespace.netns, "close", 1);
    let log = tracer.stop();

    let connect = log.event(namespace.netns, "connect", client, server);
    assert_eq!(connect["outcome"], "established");
    assert_eq!(connect["family"], family);
    assert_eq!(connect["protocol"], "tcp");
    assert!(connect.get("errno").is_none());
    assert!(connect["latency_us"].as_u64().unwrap() < 1_000_000);
    assert_caller(connect);
    let close = log.event(namespace.netns, "close", client, server);
    assert_eq!(close["conn"], connect["conn"]);
    assert_caller(close);
}

#[test]
fn connects_over_ipv4() {
    one_connection(v4(), "ipv4");
}

#[test]
fn connects_over_ipv6() {
    one_connection(v6(), "ipv6");
}

#[test]
fn connects_over_ipv4_with_an_ipv6_socket() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    // Bound to all addresses of both families: it takes IPv4 as v4-mapped.
    let listener = TcpListener::bind("[::]:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), port);
    let stream = TcpStream::connect(mapped).unwrap();
    let client = stream.local_addr().unwrap();
    let accepted = listener.accept().unwrap();
    drop((stream, accepted));
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();

    for (kind, local, remote) in [
        ("connect", client, mapped),
        ("close", client, mapped),
        ("accept", mapped, client),
        ("close", mapped, client),
    ] {
        let record = log.event(namespace.netns, kind, local, remote);
        assert_eq!(record["v4_mapped"], true, "{record}");
        assert_eq!(record["family"], "ipv4", "{record}");
        assert_eq!(record["local"]["ip"], "127.0.0.1", "{record}");
        assert_eq!(record["remote"]["ip"], "127.0.0.1", "{record}");
    }
}

#[test]
fn link_local_addresses_have_their_scope() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    ip(&["link", "add", "local0", "type", "veth", "peer", "name", "local1"]);
    ip(&["link", "set", "local0", "up"]);
    ip(&["link", "set", "local1", "up"]);
    ip(&["addr", "add", "fe80::5/64", "dev", "local0", "nodad"]);
    let index = nix::net::if_::if_nametoindex("local0").unwrap();
    let tracer = Tracer::start(&[]);
    let address = |port| SocketAddrV6::new("fe80::5".parse::<Ipv6Addr>().unwrap(), port, 0, index);
    let listener = TcpListener::bind(address(0)).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    drop(listener.accept().unwrap());
    drop(stream);
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    for (kind, local, remote) in [("connect", client, server), ("accept", server, client)] {
        let record = log.event(namespace.netns, kind, local, remote);
        assert_eq!(record["local"]["ip"], "fe80::5", "{record}");
        assert_eq!(record["local"]["scope_id"], index, "{record}");
        assert_eq!(record["remote"]["scope_id"], index, "{record}");
    }
}

#[test]
fn link_local_addresses_without_a_route_have_their_scope() {
    let Some(scene) = Scene::set() else { return };
    // The loopback device has no addresses of this kind, and so no route to them.
    let remote = SocketAddrV6::new("fe80::7".parse().unwrap(), 80, 0, 1).into();
    assert_eq!(connect(tcp_for(remote), remote), Err(Errno::ENETUNREACH));
    let told = scene.end();
    let connect = told.failed("unreachable", Errno::ENETUNREACH);
    assert_remote(connect, remote);
    assert_eq!(connect["remote"]["scope_id"], 1, "{connect}");
}

#[test]
fn connects_without_blocking() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_nonblocking(true).unwrap();
    let err = socket.connect(&server.into()).unwrap_err();
    assert_eq!(err.raw_os_error(), Some(nix::libc::EINPROGRESS));
    let mut poll = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
    nix::poll::poll(&mut poll, PollTimeout::from(5000u16)).unwrap();
    assert_eq!(socket.take_error().unwrap().map(|err| err.to_string()), None);
    let client = socket.local_addr().unwrap().as_socket().unwrap();
    tracer.wait_for_events(namespace.netns, "connect", 1);
    let log = tracer.stop();
    let connect = log.event(namespace.netns, "connect", client, server);
    assert_eq!(connect["outcome"], "established");
    assert_caller(connect);
}

/// A port of the loopback address at which nobody listens.
fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind(v4()).unwrap();
    listener.local_addr().unwrap()
}

#[test]
fn connects_that_are_refused() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let server = closed_port();
    let err = TcpStream::connect(server).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::ConnectionRefused);
    tracer.wait_for_events(namespace.netns, "connect", 1);
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    assert_eq!(events.len(), 1, "no close without a connection: {events:#?}");
    let connect = events[0];
    assert_eq!(connect["outcome"], "refused");
    assert_eq!(connect["errno"], "ECONNREFUSED");
    assert_eq!(connect["remote"]["port"], server.port());
    assert_ne!(connect["local"]["port"], 0, "the port that the SYN came from: {connect}");
    assert!(connect["latency_us"].is_u64());
    assert_caller(connect);
}

fn times_out(address: SocketAddr) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    sysctl("net.ipv4.tcp_syn_retries", "1");
    let tracer = Tracer::start(&[]);
    // A queue for one connection, which nobody accepts: the kernel drops every further SYN.
    let socket = tcp_for(address);
    socket.bind(&address.into()).unwrap();
    socket.listen(0).unwrap();
    let server = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting = TcpStream::connect(server).unwrap();
    let err = TcpStream::connect(server).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::TimedOut);
    tracer.wait_for_events(namespace.netns, "connect", 2);
    drop(waiting);
    let log = tracer.stop();
    let timed_out: Vec<&Value> = log
        .events_of(namespace.netns, "connect")
        .into_iter()
        .filter(|connect| connect["outcome"] == "timed_out")
        .collect();
    assert_eq!(timed_out.len(), 1);
    assert_remote(timed_out[0], server);
    assert_eq!(timed_out[0]["errno"], "ETIMEDOUT");
    assert!(timed_out[0]["latency_us"].as_u64().unwrap() > 2_000_000, "{}", timed_out[0]);
    assert_caller(timed_out[0]);
}

#[test]
fn connects_that_time_out() {
    times_out(v4());
}

#[test]
fn connects_that_time_out_over_ipv6() {
    times_out(v6());
}

#[test]
fn connects_that_are_given_up() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&v4().into()).unwrap();
    socket.listen(0).unwrap();
    let server = socket.local_addr().unwrap().as_socket().unwrap();
    let waiting = TcpStream::connect(server).unwrap();
    let unanswered = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    unanswered.set_nonblocking(true).unwrap();
    let _ = unanswered.connect(&server.into());
    drop(unanswered);
    tracer.wait_for_events(namespace.netns, "connect", 2);
    drop(waiting);
    let log = tracer.stop();
    let aborted: Vec<&Value> = log
        .events_of(namespace.netns, "connect")
        .into_iter()
        .filter(|connect| connect["outcome"] == "aborted")
        .collect();
    assert_eq!(aborted.len(), 1);
    assert!(aborted[0].get("errno").is_none());
    assert_caller(aborted[0]);
}

#[test]
fn unreachable_hosts() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    // Nobody answers ARP on this wire.
    ip(&["link", "add", "wire0", "type", "veth", "peer", "name", "wire1"]);
    ip(&["link", "set", "wire0", "up"]);
    ip(&["link", "set", "wire1", "up"]);
    ip(&["addr", "add", "192.0.2.1/24", "dev", "wire0"]);
    let tracer = Tracer::start(&[]);
    let server = SocketAddr::new(IpAddr::from([192, 0, 2, 9]), 80);
    let err = TcpStream::connect(server).unwrap_err();
    assert_eq!(err.kind(), io::ErrorKind::HostUnreachable);
    tracer.wait_for_events(namespace.netns, "connect", 1);
    let log = tracer.stop();
    let connects = log.events_of(namespace.netns, "connect");
    assert_eq!(connects.len(), 1);
    assert_eq!(connects[0]["outcome"], "unreachable");
    assert_eq!(connects[0]["errno"], "EHOSTUNREACH");
    assert_eq!(connects[0]["remote"]["ip"], "192.0.2.9");
    assert_caller(connects[0]);
}
