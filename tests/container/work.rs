//! In the container connledger does its work.

use std::io::Read as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::process::Command;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::bundle::MACHINE_ID;
use crate::bundle::POD;
use crate::manifest::Manifest;
use crate::namespace::Namespace;
use crate::running::Running;
use crate::skip::can_trace;

/// The capabilities as /proc/PID/status has them: CAP_PERFMON is bit 38, CAP_BPF bit 39.
const BPF_AND_PERFMON: &str = "000000c000000000";

/// Makes a connection, and ends it. Returns the port that was listened at.
fn connect() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    drop(client);
    accepted.read_to_end(&mut Vec::new()).unwrap();
    port
}

/// A run that tells of a connection: returns its records. `open_before`: an end of a connection that was there, of this
/// process; it must be listed.
fn run(bundle: &Bundle, open_before: Option<u16>) -> Vec<Value> {
    let mut running = Running::start(bundle);
    let status = running.status();
    assert!(status.contains(&format!("CapBnd:\t{BPF_AND_PERFMON}")), "{status}");
    for set in ["CapPrm", "CapEff", "CapInh", "CapAmb"] {
        assert!(status.contains(&format!("{set}:\t0000000000000000")), "once ready: {status}");
    }
    if let Some(port) = open_before {
        let open = running.wait_for("open", |record| {
            record["event"] == "open" && record["remote"]["port"] == port
        });
        assert_eq!(open["process"]["pid"], process::id());
    }
    let port = connect();
    let is_it = |record: &Value, event: &str, end: &str| {
        record["event"] == event && record[end]["port"] == port
    };
    for (event, end) in
        [("connect", "remote"), ("accept", "local"), ("close", "remote"), ("close", "local")]
    {
        let record = running.wait_for(event, |record| is_it(record, event, end));
        assert_eq!(record["process"]["pid"], process::id(), "{record}");
    }
    let records = running.stop();
    let start = records.first().unwrap();
    assert_eq!((&start["event"], &start["host_id"]), (&"start".into(), &MACHINE_ID.into()));
    assert_eq!(records.last().unwrap()["reason"], "terminated");
    records
}

/// With what the manifest gives it; and a second run knows the first one.
#[test]
fn as_the_manifest_says() {
    if !can_trace() {
        return;
    }
    let Some(manifest) = Manifest::read() else { return };
    let Some(bundle) = Bundle::of(&manifest) else { return };
    let _namespace = Namespace::enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let first = run(&bundle, Some(port));
    // The node's name, as the container shares it.
    assert_eq!(first[0]["host"], *rustix::system::uname().nodename().to_string_lossy());
    assert!(first[0].get("previous").is_none(), "{}", first[0]);

    let second = run(&bundle, None);
    let previous = &second[0]["previous"];
    assert_eq!(previous["run"], first[0]["run"]);
    assert_eq!(previous["stopped"], "terminated");
    assert!(previous["gap_us"].is_u64(), "{previous}");

    let verified = Command::new(env!("CARGO_BIN_EXE_connledger"))
        .args(["verify", "--strict"])
        .arg(bundle.of_node("/var/log/connledger/events.ndjson"))
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
}

/// With nothing of the node's but those mounts: what the comments of the manifest say of hostPID and hostNetwork.
#[test]
fn in_namespaces_of_its_own() {
    if !can_trace() {
        return;
    }
    let Some(manifest) = Manifest::read() else { return };
    let Some(bundle) = Bundle::of(&manifest) else { return };
    let bundle = bundle.unshare("pid").unshare("network").unshare("uts");
    let _namespace = Namespace::enter();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let records = run(&bundle, None);
    assert_eq!(records[0]["host"], POD);
    let is_open = |record: &Value| record["event"] == "open" && record["remote"]["port"] == port;
    assert!(!records.iter().any(is_open), "it sees the node's processes: {records:?}");
}
