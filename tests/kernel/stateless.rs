//! Sockets for whose state the kernel has no memory: their events are told all the same, and once.

use std::net::TcpListener;
use std::net::TcpStream;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::tracer::Tracer;

#[test]
fn connections_without_a_state_are_told_once() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    // What is kept with a socket counts against this. A listener without a state has none to clone into the
    // sockets of its connections, which would fail.
    sysctl("net.core.optmem_max", "0");
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let (there, _) = listener.accept().unwrap();
    drop((stream, there));
    tracer.wait_for_events(namespace.netns, "close", 2);
    let log = tracer.stop();
    let connect = log.event(namespace.netns, "connect", client, server);
    assert_eq!(connect["outcome"], "established");
    assert!(connect["process"].is_null(), "what only the state knew: {connect}");
    let accept = log.event(namespace.netns, "accept", server, client);
    assert_eq!(accept["process"]["pid"], std::process::id());
    log.event(namespace.netns, "close", client, server);
    log.event(namespace.netns, "close", server, client);
    let told = log.records.iter().filter(|record| record["netns"] == namespace.netns);
    assert_eq!(told.count(), 4, "none twice");
    assert_eq!(log.stop()["lost"], 0);
    assert!(log.stop()["incomplete"]["storage_failed"].as_u64() > Some(0), "{}", log.stop());
}
