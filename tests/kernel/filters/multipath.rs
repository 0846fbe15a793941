//! Filters by the ends of MPTCP's connections: what is accepted gets its addresses late, and its verdict before.

use serde_json::Value;
use socket2::Protocol;

use super::calls::Call;
use super::calls::Ends::Active;
use super::calls::Ends::Both;
use super::calls::Ends::Neither;
use super::calls::Ends::Passive;
use super::calls::check_of;
use super::calls::dial;
use super::calls::listen;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::tracer::Tracer;
use crate::tracer::is_end;

const SERVER: &str = "127.0.0.1:8000";
const ANY: &str = "127.0.0.1:0";

fn check(args: &[&str], calls: &[Call<'_>]) {
    check_of(Protocol::MPTCP, args, calls);
}

#[test]
fn without_filters() {
    check(&[], &[(ANY, SERVER, Both), (ANY, "0.0.0.0:8001", Both), (ANY, "[::]:9000", Both)]);
}

#[test]
fn remote_nets() {
    let calls = |ends| [(ANY, SERVER, ends), (ANY, "0.0.0.0:8001", ends), (ANY, "[::]:9000", ends)];
    check(&["--remote-net", "127.0.0.0/8"], &calls(Both));
    check(&["--remote-net", "!127.0.0.0/8"], &calls(Neither));
    check(&["--remote-net", "10.0.0.0/8"], &calls(Neither));
    check(&["--remote-net", "!10.0.0.0/8"], &calls(Both));
}

#[test]
fn local_nets() {
    let calls = |ends| [(ANY, SERVER, ends), (ANY, "0.0.0.0:8001", ends), (ANY, "[::]:9000", ends)];
    check(&["--local-net", "127.0.0.0/8"], &calls(Both));
    check(&["--local-net", "!127.0.0.0/8"], &calls(Neither));
}

#[test]
fn remote_ports() {
    let calls = |bound, chosen| [("127.0.0.1:5000", SERVER, bound), (ANY, SERVER, chosen)];
    check(&["--remote-port", "8000"], &calls(Active, Active));
    check(&["--remote-port", "!8000"], &calls(Passive, Passive));
    check(&["--remote-port", "5000"], &calls(Passive, Neither));
    check(&["--remote-port", "!5000"], &calls(Active, Both));
}

#[test]
fn local_ports() {
    let calls = |served, other| [(ANY, "[::]:8000", served), (ANY, "127.0.0.1:8001", other)];
    check(&["--local-port", "8000"], &calls(Passive, Neither));
    check(&["--local-port", "!8000"], &calls(Active, Both));
}

/// Whose listener is of IPv6, and takes IPv4 too.
#[test]
fn families() {
    let calls = |v4, v6| [(ANY, "[::]:9000", v4), ("[::1]:0", "[::]:9000", v6)];
    check(&["-4"], &calls(Both, Neither));
    check(&["-6"], &calls(Neither, Both));
}

#[test]
fn no_loopback() {
    check(
        &["--no-loopback"],
        &[
            (ANY, SERVER, Neither),
            (ANY, "0.0.0.0:8001", Neither),
            (ANY, "[::]:9000", Neither),
            ("10.1.0.1:0", "10.1.0.1:8002", Both),
        ],
    );
}

/// Nobody accepts: the close of the server's end has the verdict that its accept would have had.
#[test]
fn what_nobody_accepts() {
    for (args, client_told, server_told) in [
        (&["--remote-net", "127.0.0.0/8"][..], true, true),
        (&["--remote-net", "!127.0.0.0/8"], false, false),
        (&["--remote-port", "9000"], true, false),
        (&["--remote-port", "!9000"], false, true),
        (&["--remote-port", "5000"], false, true),
        (&["--remote-port", "!5000"], true, false),
        (&["-4"], true, true),
        (&["-6"], false, false),
        (&["--no-loopback"], false, false),
    ] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let tracer = Tracer::start(args);
        let listener = listen(Protocol::MPTCP, "[::]:9000".parse().unwrap());
        let from = "127.0.0.1:5000".parse().unwrap();
        let (socket, client, server) = dial(Protocol::MPTCP, from, &listener);
        drop((listener, socket));
        wait_until_all_have_ended();
        let log = tracer.stop();
        let closes = [(client, server), (server, client)].map(|(local, remote)| {
            let is_it = |close: &&&Value| {
                is_end(&close["local"], local) && is_end(&close["remote"], remote)
            };
            log.events_of(namespace.netns, "close").iter().filter(is_it).count()
        });
        let events = log.events(namespace.netns);
        let wanted = [client_told, server_told].map(usize::from);
        assert_eq!(closes, wanted, "{args:?}: {events:#?}");
        assert_eq!(events.len(), 2 * wanted[0] + wanted[1], "{args:?}: {events:#?}");
    }
}
