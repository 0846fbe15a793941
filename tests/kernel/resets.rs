//! Resets: the peer's RST after FIN, and our kernel's when data comes that nobody will read.

use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;

use crate::endings::orphan_in_fin_wait2;
use crate::endings::some_data;
use crate::namespace::Dropping;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::sockets::State;

/// Conditions of a rule: a FIN to this end.
pub fn fin_to(end: SocketAddr) -> String {
    format!("tcp dport {} tcp flags & fin == fin", end.port())
}

#[test]
fn fin_wait1_that_is_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(&fin_to(ends.1));
        pair.client.shutdown(Shutdown::Write).unwrap();
        linger_zero(&pair.server);
        drop(pair.server);
        wait_for_state(&pair.client, State::Close);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn orphan_in_fin_wait1_that_is_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(&fin_to(ends.1));
        drop(pair.client);
        linger_zero(&pair.server);
        drop(pair.server);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn fin_wait2_that_is_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        linger_zero(&pair.server);
        drop(pair.server);
        wait_for_state(&pair.client, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn orphan_in_fin_wait2_that_is_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let server = orphan_in_fin_wait2(pair);
        linger_zero(&server);
        drop(server);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn orphan_in_fin_wait2_that_gets_data() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let mut server = orphan_in_fin_wait2(pair);
        server.write_all(b"too late").unwrap();
        wait_for_state(&server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    // Our kernel resets, though its socket's error is the one of a connection that was reset by the peer.
    assert_eq!(client["closed_by"], "local_reset", "{client}");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn data_after_the_shutdown_of_both_directions() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Both).unwrap();
        wait_for_state(&pair.server, State::CloseWait);
        wait_for_state(&pair.client, State::FinWait2);
        pair.server.write_all(b"too late").unwrap();
        wait_for_state(&pair.server, State::Close);
        wait_for_state(&pair.client, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "local_reset", "{client}");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn data_that_acknowledges_the_fin_of_an_orphan() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        // The server has not answered for a while, and does not acknowledge the FIN at once but with its data.
        drop(pair.client);
        wait_for_state(&pair.server, State::CloseWait);
        pair.server.write_all(b"too late").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "local_reset", "{client}");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn data_for_an_orphan_in_fin_wait1() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(&fin_to(ends.1));
        drop(pair.client);
        pair.server.write_all(b"too late").unwrap();
        wait_for_state(&pair.server, State::Close);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_eq!(client["closed_by"], "local_reset", "{client}");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn close_wait_that_is_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.server.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::CloseWait);
        linger_zero(&pair.server);
        drop(pair.server);
        wait_for_state(&pair.client, State::Close);
        pair.client.write_all(b"x").unwrap_err();
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "EPIPE");
    assert_ended(&server, "local_reset", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}
