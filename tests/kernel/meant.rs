//! Connects to no address in particular: the kernel means this host, and that is told.

use std::net::SocketAddr;
use std::net::TcpListener;

use libbpf_rs::libbpf_sys::BPF_CGROUP_INET4_CONNECT;
use libbpf_rs::libbpf_sys::BPF_CGROUP_INET6_CONNECT;
use libbpf_rs::libbpf_sys::bpf_attach_type;
use nix::errno::Errno;
use nix::libc;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::local;
use crate::calls::set_option;
use crate::calls::tcp_for;
use crate::cgroups::Cgroup;
use crate::connecting::assert_caller;
use crate::namespace::ip;
use crate::namespace::sysctl;
use crate::processes::called_in_child;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_remote;

/// A socket that is bound to an address, if to any, and to no port yet.
fn socket(from: Option<&str>, named: SocketAddr) -> Socket {
    let socket = tcp_for(named);
    if let Some(from) = from {
        set_option(&socket, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        let from = SocketAddr::new(from.parse().unwrap(), 0);
        socket.bind(&from.into()).unwrap();
    }
    socket
}

/// Connects to `named` from a port that is free and then from none; `meant` is where that leads.
fn without_a_port(from: Option<&str>, named: &str, meant: &str) {
    let Some(scene) = Scene::prepared(|| sysctl("net.ipv4.ip_local_port_range", "40000 40000"))
    else {
        return;
    };
    let [named, meant] = [named, meant].map(|ip| SocketAddr::new(ip.parse().unwrap(), 50_000));
    let listener = TcpListener::bind(meant).unwrap();
    let [first, second] = [socket(from, named), socket(from, named)];
    assert_eq!(connect(&first, named), Ok(()));
    let client = local(&first);
    assert_eq!(connect(&second, named), Err(Errno::EADDRNOTAVAIL));
    drop((first, second, listener.accept().unwrap()));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    assert_remote(told.connected(client, meant).0, meant);
    let failed = told.events_of("connect")[1];
    assert_failed(failed, "failed", Errno::EADDRNOTAVAIL);
    assert_remote(failed, meant);
    assert_caller(failed);
}

#[test]
fn any_address() {
    without_a_port(None, "0.0.0.0", "127.0.0.1");
}

#[test]
fn any_address_over_ipv6() {
    without_a_port(None, "::", "::1");
}

#[test]
fn any_v4_mapped_address() {
    without_a_port(None, "::ffff:0.0.0.0", "127.0.0.1");
}

#[test]
fn any_address_from_a_bound_one() {
    without_a_port(Some("127.0.0.5"), "0.0.0.0", "127.0.0.5");
}

/// With an IPv4 address it can only mean IPv4, and means the host's usual one.
#[test]
fn any_address_over_ipv6_from_a_bound_v4_mapped_one() {
    without_a_port(Some("::ffff:127.0.0.5"), "::", "127.0.0.1");
}

/// The loopback device is down, and there is no way to what is meant.
fn without_a_way(from: Option<&str>, named: &str, meant: &str) {
    let Some(scene) = Scene::set() else { return };
    let [named, meant] = [named, meant].map(|ip| SocketAddr::new(ip.parse().unwrap(), 50_000));
    let socket = socket(from, named);
    ip(&["link", "set", "lo", "down"]);
    ip(&["route", "flush", "table", "local"]);
    let errno = connect(socket, named).unwrap_err();
    let told = scene.end();
    told.assert_counts(1, 0, 0);
    let connect = told.events()[0];
    assert_eq!(connect["errno"], format!("{errno:?}"), "{connect}");
    assert_remote(connect, meant);
    assert_caller(connect);
}

#[test]
fn any_address_without_a_way() {
    without_a_way(None, "0.0.0.0", "127.0.0.1");
}

#[test]
fn any_address_without_a_way_over_ipv6() {
    without_a_way(None, "::", "::1");
}

#[test]
fn any_v4_mapped_address_without_a_way() {
    without_a_way(None, "::ffff:0.0.0.0", "127.0.0.1");
}

#[test]
fn any_address_without_a_way_from_a_bound_one() {
    without_a_way(Some("127.0.0.5"), "0.0.0.0", "127.0.0.5");
}

/// A program of the caller's cgroup is asked before the kernel says what it means.
fn refused(attach_type: bpf_attach_type, from: Option<&str>, named: &str, meant: &str) {
    let Some(scene) = Scene::set() else { return };
    let cgroup = Cgroup::new("meant");
    cgroup.refuse(attach_type);
    let [named, meant] = [named, meant].map(|ip| SocketAddr::new(ip.parse().unwrap(), 50_000));
    let (_, result) = called_in_child(|| {
        cgroup.enter();
        connect(socket(from, named), named)
    });
    assert_eq!(result, Err(Errno::EPERM));
    let told = scene.end();
    assert_remote(told.failed("failed", Errno::EPERM), meant);
}

#[test]
fn any_address_that_is_refused() {
    refused(BPF_CGROUP_INET4_CONNECT, None, "0.0.0.0", "127.0.0.1");
}

#[test]
fn any_address_that_is_refused_to_a_bound_one() {
    refused(BPF_CGROUP_INET4_CONNECT, Some("127.0.0.5"), "0.0.0.0", "127.0.0.5");
}

#[test]
fn any_address_that_is_refused_over_ipv6() {
    refused(BPF_CGROUP_INET6_CONNECT, None, "::", "::1");
}

#[test]
fn any_address_that_is_refused_over_ipv6_to_a_bound_v4_mapped_one() {
    let from = Some("::ffff:127.0.0.5");
    refused(BPF_CGROUP_INET6_CONNECT, from, "::", "127.0.0.1");
}

#[test]
fn any_v4_mapped_address_that_is_refused_to_a_bound_one() {
    let from = Some("::ffff:127.0.0.5");
    refused(BPF_CGROUP_INET6_CONNECT, from, "::ffff:0.0.0.0", "127.0.0.5");
}
