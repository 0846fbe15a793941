//! When: the wall clock's time of what happened.

use std::net::TcpListener;
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::namespace::v4;
use crate::scene::Scene;

/// The kernel's clocks are read one after the other, and are steered apart by a little.
const TOLERANCE_NS: u64 = 1_000_000;

/// The wall clock, nanoseconds since 1970.
pub fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap()
}

/// When a record's event was, nanoseconds since 1970.
pub fn unix_ns(record: &Value) -> u64 {
    let time: jiff::Timestamp = record["time"].as_str().unwrap().parse().unwrap();
    u64::try_from(time.as_nanosecond()).unwrap()
}

/// Does something, and returns what it gave and when that was, with time enough around it that no two overlap.
fn timed<T>(work: impl FnOnce() -> T) -> (T, RangeInclusive<u64>) {
    thread::sleep(Duration::from_millis(20));
    let begin = now();
    let result = work();
    let span = begin - TOLERANCE_NS..=now() + TOLERANCE_NS;
    thread::sleep(Duration::from_millis(20));
    (result, span)
}

#[test]
fn each_record_has_the_time_of_its_call() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let (stream, connected) = timed(|| TcpStream::connect(server).unwrap());
    let client = stream.local_addr().unwrap();
    let ((accepted, _), taken) = timed(|| listener.accept().unwrap());
    // Loopback needs no time: the second end that closes ends both.
    let ((), closed) = timed(|| drop((stream, accepted)));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    for (kind, local, remote, span) in [
        ("connect", client, server, &connected),
        ("accept", server, client, &taken),
        ("close", client, server, &closed),
        ("close", server, client, &closed),
    ] {
        let record = told.log.event(told.netns, kind, local, remote);
        assert!(span.contains(&unix_ns(record)), "{span:?}: {record}");
    }
}
