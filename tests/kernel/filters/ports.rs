//! --local-port and --remote-port.

use std::net::TcpListener;
use std::net::TcpStream;

use super::calls::Ends::Active;
use super::calls::Ends::Both;
use super::calls::Ends::Neither;
use super::calls::Ends::Passive;
use super::calls::check;
use super::calls::filtered;
use crate::calls::local;
use crate::calls::tcp_for;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::tracer::Tracer;

const ANY: &str = "127.0.0.1:0";
const ANY_V6: &str = "[::1]:0";

#[test]
fn remote_port_included() {
    check(
        &["--remote-port", "8000"],
        &[
            (ANY, "127.0.0.1:8000", Active),
            (ANY_V6, "[::1]:8000", Active),
            ("[::ffff:127.0.0.1]:0", "127.0.0.1:8000", Active),
            (ANY, "127.0.0.1:8001", Neither),
            (ANY_V6, "[::1]:8001", Neither),
        ],
    );
}

#[test]
fn remote_port_excluded() {
    check(
        &["--remote-port", "!8000"],
        &[
            (ANY, "127.0.0.1:8000", Passive),
            (ANY_V6, "[::1]:8000", Passive),
            (ANY, "127.0.0.1:8001", Both),
        ],
    );
}

#[test]
fn local_port_included() {
    check(
        &["--local-port", "8000"],
        &[
            (ANY, "127.0.0.1:8000", Passive),
            (ANY_V6, "[::1]:8000", Passive),
            (ANY, "127.0.0.1:8001", Neither),
        ],
    );
}

#[test]
fn local_port_excluded() {
    check(
        &["--local-port", "!8000"],
        &[(ANY, "127.0.0.1:8000", Active), (ANY, "127.0.0.1:8001", Both)],
    );
}

#[test]
fn ports_that_the_client_chose() {
    let calls = |bound, chosen| {
        [("127.0.0.1:5000", "127.0.0.1:8000", bound), (ANY, "127.0.0.1:8000", chosen)]
    };
    check(&["--local-port", "5000"], &calls(Active, Neither));
    check(&["--local-port", "!5000"], &calls(Passive, Both));
    check(&["--remote-port", "5000"], &calls(Passive, Neither));
    check(&["--remote-port", "!5000"], &calls(Active, Both));
}

/// The kernel gives a client its port while it connects.
#[test]
fn ports_that_the_kernel_chose() {
    let calls = |ends| [(ANY, "127.0.0.1:8000", ends), (ANY_V6, "[::1]:8000", ends)];
    check(&["--local-port", "32768-60999"], &calls(Active));
    check(&["--local-port", "!32768-60999"], &calls(Passive));
    check(&["--remote-port", "32768-60999"], &calls(Passive));
    check(&["--remote-port", "!32768-60999"], &calls(Active));
}

#[test]
fn ranges_and_exclusions_from_them() {
    check(
        &["--remote-port", "8000-8999,9999", "--remote-port", "!8080,!8500-8599"],
        &[
            (ANY, "127.0.0.1:7999", Neither),
            (ANY, "127.0.0.1:8000", Active),
            (ANY, "127.0.0.1:8079", Active),
            (ANY, "127.0.0.1:8080", Neither),
            (ANY, "127.0.0.1:8081", Active),
            (ANY, "127.0.0.1:8500", Neither),
            (ANY, "127.0.0.1:8599", Neither),
            (ANY, "127.0.0.1:8600", Active),
            (ANY, "127.0.0.1:8999", Active),
            (ANY, "127.0.0.1:9000", Neither),
            (ANY, "127.0.0.1:9999", Active),
        ],
    );
}

#[test]
fn an_exclusion_outweighs_a_range_in_any_order() {
    check(
        &["--local-port", "!8000-8999,8080"],
        &[(ANY, "127.0.0.1:8080", Neither), (ANY, "127.0.0.1:9000", Neither)],
    );
}

#[test]
fn local_and_remote_together() {
    check(
        &["--local-port", "8000", "--remote-port", "5000-5999"],
        &[
            ("127.0.0.1:5000", "127.0.0.1:8000", Passive),
            ("127.0.0.1:6000", "127.0.0.1:8000", Neither),
            ("127.0.0.1:5001", "127.0.0.1:8001", Neither),
        ],
    );
}

#[test]
fn connects_that_fail_are_judged() {
    for (ports, told) in [("9", 1), ("!9", 0)] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let tracer = Tracer::start(&["--remote-port", ports]);
        TcpStream::connect("127.0.0.1:9").unwrap_err();
        let log = tracer.stop();
        let connects = log.events_of(namespace.netns, "connect");
        assert_eq!(connects.len(), told, "{ports}");
        assert!(connects.iter().all(|connect| connect["outcome"] == "refused"), "{connects:?}");
        assert!(filtered(&log) >= (1 - told) as u64);
    }
}

#[test]
fn a_listener_has_no_remote_port() {
    for (args, told) in [
        (["--remote-port", "8000"], 0),
        (["--remote-port", "!8000"], 2),
        (["--local-port", "8000"], 2),
        (["--local-port", "!8000"], 0),
    ] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let tracer = Tracer::start(&[&["-e", "listen"], &args[..]].concat());
        drop(TcpListener::bind("127.0.0.1:8000").unwrap());
        let log = tracer.stop();
        assert_eq!(log.events_of(namespace.netns, "listen").len(), told, "{args:?}");
        assert!(filtered(&log) >= (2 - told) as u64);
    }
}

/// The kernel gives it a port once it listens, and it is judged before: once.
#[test]
fn a_listener_without_a_port_is_judged_once() {
    for (ports, told) in [("1024-65535", 0), ("!32768-60999", 2)] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let tracer = Tracer::start(&["-e", "listen", "--local-port", ports]);
        let socket = tcp_for(v4());
        socket.listen(1).unwrap();
        assert_ne!(local(&socket).port(), 0);
        drop(socket);
        let log = tracer.stop();
        let listens = log.events_of(namespace.netns, "listen");
        assert_eq!(listens.len(), told, "{ports}: {listens:#?}");
        assert!(filtered(&log) >= (2 - told) as u64);
    }
}
