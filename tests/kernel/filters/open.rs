//! What was open when tracing began is judged as what begins later, and its close follows.

use std::process;

use super::calls::filtered;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::pairs::Pair;
use crate::tracer::Tracer;
use crate::tracer::is_end;

/// Of a connection within 127.0.0.1, port 8000, that was there: are the open and the close of the client's end told, and
/// those of the server's?
fn check(args: &[&str], client_told: bool, server_told: bool) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let pair = Pair::at("127.0.0.1:8000".parse().unwrap());
    let (client, server) = pair.ends();
    let tracer = Tracer::start(args);
    drop(pair);
    wait_until_all_have_ended();
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    let mut told = 0;
    for (local, remote, is_told) in [(client, server, client_told), (server, client, server_told)] {
        let kinds: Vec<&str> = events
            .iter()
            .filter(|record| is_end(&record["local"], local) && is_end(&record["remote"], remote))
            .map(|record| record["event"].as_str().unwrap())
            .collect();
        let wanted: &[&str] = if is_told { &["open", "close"] } else { &[] };
        assert_eq!(kinds, wanted, "{local} to {remote} under {args:?}");
        told += kinds.len();
    }
    assert_eq!(events.len(), told, "and nothing else: {events:#?}");
    assert!(filtered(&log) >= 4 - told as u64, "{}", log.stop());
}

#[test]
fn pids() {
    let me = process::id().to_string();
    check(&["-p", "1"], false, false);
    check(&["-p", &me], true, true);
    check(&["-p", &format!("!{me}")], false, false);
}

#[test]
fn ports() {
    check(&["--remote-port", "8000"], true, false);
    check(&["--remote-port", "!8000"], false, true);
    check(&["--local-port", "8000"], false, true);
    check(&["--local-port", "!8000"], true, false);
}

#[test]
fn nets_and_families() {
    check(&["--remote-net", "127.0.0.0/8"], true, true);
    check(&["--no-loopback"], false, false);
    check(&["-4"], true, true);
    check(&["-6"], false, false);
}
