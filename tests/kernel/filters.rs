//! Filters: included, excluded, and counted. Those by process, user and family stand here.

mod calls;
mod cgroups;
mod consumers;
mod many;
mod multipath;
mod names;
mod netns;
mod nets;
mod open;
mod ports;
mod verdict;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;

use nix::unistd::Uid;
use serde_json::Value;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::processes::forked;
use crate::tracer::Log;
use crate::tracer::Tracer;

/// The user that the second client is.
const OTHER_UID: u32 = 65_534;

/// The traffic that is filtered: this process serves, connects over IPv6, and over IPv4 with an IPv6
/// socket; a child connects over IPv4 as another user.
struct Traffic {
    log: Log,
    netns: u64,
    child: u32,
}

impl Traffic {
    fn under(args: &[&str]) -> Option<Self> {
        Self::under_with(|_| args.iter().map(ToString::to_string).collect())
    }

    /// `args` makes the arguments from the process id that the child will have.
    fn under_with(args: impl FnOnce(u32) -> Vec<String>) -> Option<Self> {
        if !can_trace() {
            return None;
        }
        let namespace = Namespace::enter();
        let over_v4 = TcpListener::bind(v4()).unwrap();
        let over_v6 = TcpListener::bind(v6()).unwrap();
        let server = over_v4.local_addr().unwrap();
        // It waits until the tracer is ready, which must know its process id.
        let (go, gone) = nix::unistd::pipe().unwrap();
        let child = forked(|| {
            nix::unistd::setuid(Uid::from_raw(OTHER_UID)).unwrap();
            nix::unistd::read(&go, &mut [0]).unwrap();
            drop(TcpStream::connect(server));
        });
        let pid = child.pid().unsigned_abs();
        let args = args(pid);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let tracer = Tracer::start(&args);
        nix::unistd::write(&gone, &[1]).unwrap();
        drop(over_v4.accept().unwrap());
        child.wait();
        let stream = TcpStream::connect(over_v6.local_addr().unwrap()).unwrap();
        drop((over_v6.accept().unwrap(), stream));
        let mapped = SocketAddr::new("::ffff:127.0.0.1".parse().unwrap(), server.port());
        let stream = TcpStream::connect(mapped).unwrap();
        drop((over_v4.accept().unwrap(), stream));
        // What is refused is not seen to end; the stop drains.
        calls::wait_until_all_have_ended();
        Some(Self { log: tracer.stop(), netns: namespace.netns, child: pid })
    }

    fn kinds_where(&self, wanted: impl Fn(&Value) -> bool) -> Vec<String> {
        let mut kinds: Vec<String> = self
            .log
            .events(self.netns)
            .into_iter()
            .filter(|record| wanted(record))
            .map(|record| record["event"].as_str().unwrap().to_owned())
            .collect();
        kinds.sort();
        kinds
    }

    /// How many events there are; all of them stand in the message if it is another number.
    fn assert_count(&self, wanted: usize) {
        let events = self.log.events(self.netns);
        assert_eq!(events.len(), wanted, "{events:#?} {}", self.log.stop());
    }

    fn filtered(&self) -> u64 {
        self.log.stop()["filtered"].as_u64().unwrap()
    }
}

#[test]
fn without_filters() {
    let Some(traffic) = Traffic::under(&[]) else { return };
    // Three connections, each connect, accept and two closes.
    traffic.assert_count(12);
    assert_eq!(traffic.log.records[0].get("filters"), None);
    assert_eq!(traffic.filtered(), 0);
}

#[test]
fn pid_included() {
    let Some(traffic) = Traffic::under_with(|child| vec!["-p".into(), format!("1,{child}")]) else {
        return;
    };
    let child = traffic.child;
    assert_eq!(traffic.kinds_where(|r| r["process"]["pid"] == child), ["close", "connect"]);
    traffic.assert_count(2);
    assert_eq!(traffic.log.records[0]["filters"]["pid"], format!("1,{child}"));
    assert!(traffic.filtered() >= 10);
}

#[test]
fn pid_excluded() {
    let Some(traffic) = Traffic::under_with(|child| vec!["--pid".into(), format!("!{child}")])
    else {
        return;
    };
    assert_eq!(traffic.kinds_where(|r| r["process"]["pid"] == traffic.child).len(), 0);
    assert_eq!(traffic.kinds_where(|r| r["process"]["pid"] == process::id()).len(), 10);
    assert!(traffic.filtered() >= 2);
}

#[test]
fn uid_included() {
    let Some(traffic) = Traffic::under(&["-u", "65534"]) else { return };
    assert_eq!(traffic.kinds_where(|r| r["process"]["uid"] == OTHER_UID), ["close", "connect"]);
    traffic.assert_count(2);
}

#[test]
fn uid_excluded() {
    let Some(traffic) = Traffic::under(&["--uid", "!65534,!1"]) else { return };
    assert_eq!(traffic.kinds_where(|r| r["process"]["uid"] == OTHER_UID).len(), 0);
    traffic.assert_count(10);
}

#[test]
fn an_exclusion_outweighs_an_inclusion() {
    let Some(traffic) = Traffic::under(&["-u", "0,65534", "-u", "!65534"]) else { return };
    assert_eq!(traffic.kinds_where(|r| r["process"]["uid"] == OTHER_UID).len(), 0);
    traffic.assert_count(10);
}

#[test]
fn ipv4_only() {
    let Some(traffic) = Traffic::under(&["-4"]) else { return };
    assert_eq!(traffic.kinds_where(|r| r["family"] == "ipv4").len(), 8);
    assert_eq!(traffic.kinds_where(|r| r["v4_mapped"] == true), ["close", "connect"]);
    traffic.assert_count(8);
    assert!(traffic.filtered() >= 4);
}

#[test]
fn ipv6_only() {
    let Some(traffic) = Traffic::under(&["-6"]) else { return };
    assert_eq!(traffic.kinds_where(|r| r["family"] == "ipv6").len(), 4);
    traffic.assert_count(4);
    assert_eq!(traffic.log.records[0]["filters"]["family"], "ipv6");
}

#[test]
fn filters_together() {
    let Some(traffic) = Traffic::under(&["-6", "-u", "65534"]) else { return };
    traffic.assert_count(0);
    assert!(traffic.filtered() >= 12);
}

#[test]
fn kinds_that_were_not_asked_for_are_not_counted() {
    for (kind, count) in [("connect", 3), ("accept", 3), ("close", 6)] {
        let Some(traffic) = Traffic::under(&["-e", kind]) else { return };
        assert_eq!(traffic.kinds_where(|r| r["event"] == kind).len(), count);
        traffic.assert_count(count);
        assert_eq!(traffic.filtered(), 0);
        // A close on its own knows who it was, and an accept.
        for record in traffic.log.events(traffic.netns) {
            assert!(record["process"]["pid"].is_u64(), "{record}");
        }
    }
}
