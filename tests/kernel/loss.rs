//! Loss: bytes are exact, however often they were sent.
//!
//! This kernel (6.18) has no netem (CONFIG_NET_SCH_NETEM is not set; tc says "Specified qdisc kind is unknown"), but
//! nftables with `numgen` (CONFIG_NFT_NUMGEN), so packets are lost by rules: at random, or every nth. In the input hook
//! the network seems to have lost them; in the output hook the sender's own attempt to transmit fails.

use std::cell::Cell;
use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::TcpStream;
use std::thread;

use serde_json::Value;

use crate::namespace::Dropping;
use crate::namespace::sysctl;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::sockets::State;
use crate::sockets::tcp_info;

const LONG: usize = 10 << 20;

/// Sends so many bytes while it receives so many, and then all that is left until the peer's FIN.
fn exchange(stream: &TcpStream, sent: usize, received: usize) {
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut stream = stream;
            stream.write_all(&vec![b'x'; sent]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        });
        let mut all = Vec::new();
        let mut stream = stream;
        stream.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), received);
    });
}

/// Both ends send at once, under a rule that drops some of the packets. Returns the two closes, whose bytes are checked.
fn lossy(
    rule: impl FnOnce(&Pair) -> Dropping,
    from_client: usize,
    from_server: usize,
) -> Option<(Value, Value)> {
    let (client, server) = traced(|| {
        // Lost packets are not waited for as long as on the Internet.
        sysctl("net.ipv4.tcp_rto_min_us", "20000");
        sysctl("net.ipv4.tcp_rto_max_ms", "1000");
        let pair = Pair::new();
        let ends = pair.ends();
        let dropping = rule(&pair);
        thread::scope(|scope| {
            scope.spawn(|| exchange(&pair.server, from_server, from_client));
            exchange(&pair.client, from_client, from_server);
        });
        drop(pair);
        drop(dropping);
        ends
    })?;
    assert_bytes(&client, from_client, from_server);
    assert_bytes(&server, from_server, from_client);
    for close in [&client, &server] {
        assert!(["local", "remote"].contains(&close["closed_by"].as_str().unwrap()), "{close}");
        assert!(close.get("errno").is_none(), "{close}");
    }
    Some((client, server))
}

fn retransmits(close: &Value) -> u64 {
    close["retransmits"].as_u64().unwrap()
}

#[test]
fn lost_at_random() {
    let rule = |_: &Pair| Dropping::incoming("meta l4proto tcp numgen random mod 100 < 5");
    let Some((client, server)) = lossy(rule, LONG, LONG) else { return };
    assert!(retransmits(&client) > 0, "{client}");
    assert!(retransmits(&server) > 0, "{server}");
}

#[test]
fn every_tenth_packet_lost() {
    let rule = |_: &Pair| Dropping::incoming("meta l4proto tcp numgen inc mod 10 == 5");
    let Some((client, server)) = lossy(rule, LONG, LONG) else { return };
    assert!(retransmits(&client) > 0, "{client}");
    assert!(retransmits(&server) > 0, "{server}");
}

#[test]
fn one_way_lost() {
    let rule = |pair: &Pair| {
        let port = pair.server.local_addr().unwrap().port();
        Dropping::incoming(&format!("tcp dport {port} numgen random mod 10 < 2"))
    };
    let Some((client, _)) = lossy(rule, LONG, 0) else { return };
    assert!(retransmits(&client) > 0, "{client}");
}

#[test]
fn only_acknowledgements_lost() {
    let rule = |pair: &Pair| {
        let port = pair.client.local_addr().unwrap().port();
        Dropping::incoming(&format!("tcp dport {port} numgen random mod 10 < 3"))
    };
    lossy(rule, 1 << 20, 0);
}

#[test]
fn transmissions_that_fail_locally() {
    let rule = |_: &Pair| Dropping::outgoing("meta l4proto tcp numgen random mod 100 < 5");
    lossy(rule, LONG, LONG);
}

/// What was lost when a connection is given up was sent all the same.
#[test]
fn given_up_before_it_arrived() {
    let sent = Cell::new(9);
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        let dropping = Dropping::incoming("meta l4proto tcp");
        pair.client.write_all(&[b'x'; 1000]).unwrap();
        wait_until(|| tcp_info(&pair.client).tcpi_retransmits > 1, "a retransmission");
        linger_zero(&pair.client);
        drop(pair.client);
        drop(dropping);
        // On a busy machine the client's reset is looked at only now that nothing is dropped.
        if pair.server.write_all(b"to nobody").is_err() {
            sent.set(0);
        }
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 1000, 0);
    assert_bytes(&server, sent.get(), 0);
    assert!(retransmits(&client) > 0, "{client}");
}
