//! The stage of one test: a namespace of its own, a tracer that is ready, and afterwards what was told.
//!
//! Whatever a test is about, nothing that was told in its namespace may be doubled, without a process, or
//! with an address or a port that is zero.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process;

use nix::errno::Errno;
use serde_json::Value;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::tracer::Log;
use crate::tracer::Tracer;
use crate::tracer::is_end;
use crate::wire::Peer;

/// A namespace in which a tracer runs.
pub struct Scene {
    namespace: Namespace,
    pub tracer: Tracer,
}

impl Scene {
    /// None where nothing can be traced.
    pub fn set() -> Option<Self> {
        Self::prepared(|| ())
    }

    /// `prepare` gives the namespace its routes, devices and settings before the tracer starts.
    pub fn prepared(prepare: impl FnOnce()) -> Option<Self> {
        Self::with(&[], prepare)
    }

    /// The same, with options.
    pub fn with(args: &[&str], prepare: impl FnOnce()) -> Option<Self> {
        if !can_trace() {
            return None;
        }
        let namespace = Namespace::enter();
        prepare();
        let tracer = Tracer::start(args);
        Some(Self { namespace, tracer })
    }

    /// The namespace has a wire with a peer made by hand.
    pub fn wired() -> Option<(Self, Peer)> {
        let mut peer = None;
        let scene = Self::prepared(|| peer = Some(Peer::new()))?;
        Some((scene, peer.unwrap()))
    }

    /// Waits for so many closes. What a call leads to before it returns need not be waited for: the
    /// tracer writes what has happened before it ends.
    pub fn wait_for_closes(&self, count: usize) {
        self.tracer.wait_for_events(self.namespace.netns, "close", count);
    }

    /// Ends the tracer.
    pub fn end(self) -> Told {
        let told = self.end_with_elsewhere();
        for record in told.of_this_process() {
            assert_eq!(record["netns"], told.netns, "{record}");
        }
        told
    }

    /// The same, for a test that has something to do in another namespace too.
    pub fn end_with_elsewhere(self) -> Told {
        let netns = self.namespace.netns;
        let told = Told { log: self.tracer.stop(), netns };
        told.check();
        told
    }
}

/// Whether the connection that a record tells of came about: it has two ends then.
fn was_established(record: &Value) -> bool {
    matches!(record["event"].as_str(), Some("accept" | "close"))
        || record["outcome"] == "established"
        || record["outcome"] == "refused"
}

/// What a tracer wrote about a namespace.
pub struct Told {
    pub log: Log,
    pub netns: u64,
}

impl Told {
    fn check(&self) {
        let mut seen = HashSet::new();
        let [begin, stop] =
            ["start", "stop"].map(|kind| self.log.of_kind(kind).next().unwrap()["time"].as_str());
        for record in self.events() {
            // What MPTCP opens by itself is no process's call.
            let by_itself = record["mptcp_subflow"] == true && record.get("process").is_none();
            let pid = record["process"]["pid"].as_u64();
            assert!(by_itself || pid.is_some_and(|pid| pid > 0), "{record}");
            for end in [&record["local"], &record["remote"]] {
                assert!(
                    end["ip"] != "0.0.0.0" && end["ip"] != "::" && end["port"] != 0,
                    "{record}"
                );
                assert!(end.is_null() || end["ip"].is_string(), "{record}");
                assert!(!was_established(record) || end["port"].is_u64(), "{record}");
            }
            let time = record["time"].as_str();
            assert!(begin <= time && time <= stop, "{record}");
            if let Some(conn) = record["conn"].as_str() {
                let kind = record["event"].as_str().unwrap();
                // A connection of MPTCP is named after its first subflow.
                let is_subflow = record["mptcp_subflow"] == true;
                assert!(seen.insert((kind, conn, is_subflow)), "twice: {record}");
            }
        }
    }

    /// What there is of this process, wherever.
    pub fn of_this_process(&self) -> Vec<&Value> {
        let here = process::id();
        self.log.records.iter().filter(|record| record["process"]["pid"] == here).collect()
    }

    /// All events but those of the kinds on request: a scene that asks for these proves that they do no harm.
    pub fn events(&self) -> Vec<&Value> {
        self.log.default_events(self.netns)
    }

    /// The events of a kind.
    pub fn events_of(&self, kind: &str) -> Vec<&Value> {
        self.log.events_of(self.netns, kind)
    }

    /// So many events there were, and none of another kind.
    pub fn assert_counts(&self, connects: usize, accepts: usize, closes: usize) {
        let counts = ["connect", "accept", "close"].map(|kind| self.events_of(kind).len());
        let events = self.events();
        let books = self.log.stop();
        assert_eq!(
            counts,
            [connects, accepts, closes],
            "connect, accept, close: {events:#?}\n{books}"
        );
        assert_eq!(events.len(), counts.iter().sum::<usize>(), "{events:#?}");
    }

    /// The one event there was: a connect that failed.
    pub fn failed(&self, outcome: &str, errno: impl Into<Option<Errno>>) -> &Value {
        self.assert_counts(1, 0, 0);
        let connect = self.events()[0];
        assert_failed(connect, outcome, errno);
        connect
    }

    /// The connect and the close of the end that connected: one connection, one process.
    pub fn connected(&self, client: SocketAddr, server: SocketAddr) -> (&Value, &Value) {
        let connect = self.log.event(self.netns, "connect", client, server);
        assert_eq!(connect["outcome"], "established", "{connect}");
        assert!(connect.get("errno").is_none(), "{connect}");
        let close = self.log.event(self.netns, "close", client, server);
        assert!(connect["conn"].is_string(), "{connect}");
        assert_eq!(connect["conn"], close["conn"], "{connect}\n{close}");
        assert_eq!(close["opened_by"], "local", "{close}");
        for record in [connect, close] {
            assert!(record.get("attributed_to").is_none(), "it connected itself: {record}");
        }
        assert_eq!(connect["process"], close["process"], "{connect}\n{close}");
        (connect, close)
    }
}

/// A connect that ended so. `errno` is what the caller got.
pub fn assert_failed(connect: &Value, outcome: &str, errno: impl Into<Option<Errno>>) {
    assert_eq!(connect["event"], "connect", "{connect}");
    assert_eq!(connect["outcome"], outcome, "{connect}");
    match errno.into() {
        Some(errno) => assert_eq!(connect["errno"], format!("{errno:?}"), "{connect}"),
        None => assert!(connect.get("errno").is_none(), "{connect}"),
    }
    assert!(connect.get("attributed_to").is_none(), "it connected itself: {connect}");
}

/// This is where it wanted to go.
pub fn assert_remote(record: &Value, remote: SocketAddr) {
    assert!(is_end(&record["remote"], remote), "{remote}: {record}");
    let family = if remote.ip().to_canonical().is_ipv4() { "ipv4" } else { "ipv6" };
    assert_eq!(record["family"], family, "{record}");
}

/// This is where it came from.
pub fn assert_local(record: &Value, local: SocketAddr) {
    assert!(is_end(&record["local"], local), "{local}: {record}");
}
