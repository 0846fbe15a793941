//! Connects that a cgroup's program refuses.

use std::net::SocketAddr;
use std::net::SocketAddrV6;

use libbpf_rs::libbpf_sys;
use nix::errno::Errno;
use serde_json::Value;

use crate::calls::connect;
use crate::calls::tcp_for;
use crate::cgroups::Cgroup;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::processes::called_in_child;
use crate::scene::Scene;
use crate::scene::assert_remote;

/// Returns the record.
fn refused_by_a_cgroup(
    attach_type: libbpf_sys::bpf_attach_type,
    remote: SocketAddr,
) -> Option<Value> {
    let scene = Scene::set()?;
    let cgroup = Cgroup::new("refusing");
    cgroup.refuse(attach_type);
    let (pid, result) = called_in_child(|| {
        cgroup.enter();
        connect(tcp_for(remote), remote)
    });
    assert_eq!(result, Err(Errno::EPERM));
    let told = scene.end();
    let connect = told.failed("failed", Errno::EPERM);
    assert_remote(connect, remote);
    assert!(connect.get("local").is_none(), "{connect}");
    assert_eq!(connect["process"]["pid"], pid);
    Some(connect.clone())
}

#[test]
fn refused_by_a_program_of_its_cgroup() {
    let remote = SocketAddr::new(v4().ip(), 80);
    refused_by_a_cgroup(libbpf_sys::BPF_CGROUP_INET4_CONNECT, remote);
}

#[test]
fn refused_by_a_program_of_its_cgroup_over_ipv6() {
    let remote = SocketAddr::new(v6().ip(), 80);
    refused_by_a_cgroup(libbpf_sys::BPF_CGROUP_INET6_CONNECT, remote);
}

#[test]
fn refused_on_the_way_to_a_link_local_address() {
    let remote = SocketAddrV6::new("fe80::7".parse().unwrap(), 80, 0, 1);
    let connect = refused_by_a_cgroup(libbpf_sys::BPF_CGROUP_INET6_CONNECT, remote.into());
    let Some(connect) = connect else { return };
    assert_eq!(connect["remote"]["scope_id"], 1, "{connect}");
}
