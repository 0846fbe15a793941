//! A network namespace for the calling test: its thread, and what it starts, are alone in it.

use std::fs;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::Command;

use nix::sched::CloneFlags;

use crate::turn::Turn;

/// The namespace, and the calling test's turn.
pub struct Namespace {
    _turn: Turn,
    /// Its inode number, as records name it.
    pub netns: u64,
}

impl Namespace {
    /// Moves the calling thread into a new namespace with nothing but a loopback device.
    pub fn enter() -> Self {
        Self::in_turn(Turn::take())
    }

    /// The same for a test that puts the machine under load, or measures what it does: no other test runs
    /// meanwhile.
    pub fn enter_alone() -> Self {
        Self::in_turn(Turn::take_alone())
    }

    fn in_turn(turn: Turn) -> Self {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).expect("unshare");
        ip(&["link", "set", "lo", "up"]);
        let netns = fs::metadata("/proc/thread-self/ns/net").expect("ns").ino();
        Self { _turn: turn, netns }
    }
}

/// Runs `ip` in the calling thread's namespace.
pub fn ip(args: &[&str]) {
    let status = Command::new("ip").args(args).status().expect("ip (Debian: iproute2)");
    assert!(status.success(), "ip {args:?}");
}

/// Runs `nft` with a rule set in the calling thread's namespace.
pub fn nft(rules: &str) {
    let status = Command::new("nft").arg(rules).status().expect("nft (Debian: nftables)");
    assert!(status.success(), "nft {rules}");
}

/// Packets that the calling thread's namespace drops, until this goes.
pub struct Dropping {
    _rules: (),
}

impl Dropping {
    /// Drops what comes in and matches all of a rule's conditions, as `tcp dport 80 tcp flags fin / fin`. Its sender
    /// sees nothing of it.
    pub fn incoming(conditions: &str) -> Self {
        Self::at("input", conditions)
    }

    /// Drops what is to be sent: the sender's attempt to transmit fails.
    pub fn outgoing(conditions: &str) -> Self {
        Self::at("output", conditions)
    }

    fn at(hook: &str, conditions: &str) -> Self {
        nft(&format!(
            "table inet dropping {{ chain dropping {{ type filter hook {hook} priority 0; {conditions} drop; }}; }}"
        ));
        Self { _rules: () }
    }
}

impl Drop for Dropping {
    fn drop(&mut self) {
        nft("delete table inet dropping");
    }
}

/// Sets a setting of the calling thread's namespace, as `net.ipv4.tcp_syn_retries`.
pub fn sysctl(name: &str, value: &str) {
    fs::write(format!("/proc/sys/{}", name.replace('.', "/")), value).expect(name);
}

/// 127.0.0.1 with a port that the kernel chooses.
pub fn v4() -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0)
}

/// ::1 with a port that the kernel chooses.
pub fn v6() -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), 0)
}
