//! Giving up: what makes our own end send RST instead of FIN, or after it.

use std::io::Write as _;
use std::net::Shutdown;
use std::process::Command;

use nix::libc;

use crate::calls::disconnect;
use crate::calls::set_option;
use crate::endings::some_data;
use crate::namespace::Dropping;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::resets::fin_to;
use crate::sockets::State;

#[test]
fn negative_linger2_does_not_wait_for_the_peers_fin() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        set_option(&pair.client, libc::IPPROTO_TCP, libc::TCP_LINGER2, -1);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn negative_linger2_in_fin_wait2() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        set_option(&pair.client, libc::IPPROTO_TCP, libc::TCP_LINGER2, -1);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn unread_data_in_fin_wait2() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        pair.server.write_all(b"unread").unwrap();
        assert_eq!(pair.client.peek(&mut [0; 8]).unwrap(), 6);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 11);
    assert_bytes(&server, 11, 3);
}

#[test]
fn unread_data_in_fin_wait1() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(&fin_to(ends.1));
        pair.client.shutdown(Shutdown::Write).unwrap();
        pair.server.write_all(b"unread").unwrap();
        assert_eq!(pair.client.peek(&mut [0; 8]).unwrap(), 6);
        wait_for_state(&pair.client, State::FinWait1);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 11);
    assert_bytes(&server, 11, 3);
}

#[test]
fn unread_data_in_close_wait() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.server.write_all(b"unread").unwrap();
        pair.server.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::CloseWait);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 11);
    assert_bytes(&server, 11, 3);
}

#[test]
fn unread_data_in_last_ack() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.server.write_all(b"unread").unwrap();
        pair.server.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::CloseWait);
        let dropping = Dropping::incoming(&fin_to(ends.1));
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::LastAck);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 11);
    assert_bytes(&server, 11, 3);
}

#[test]
fn unread_data_that_the_peers_fin_followed_is_no_reset() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        pair.server.write_all(b"unread").unwrap();
        drop(pair.server);
        // It has ended in order before anybody gives up the data.
        wait_for_state(&pair.client, State::Close);
        drop(pair.client);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 11);
    assert_bytes(&server, 11, 3);
}

#[test]
fn linger_zero_in_fin_wait2() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        linger_zero(&pair.client);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn linger_zero_in_close_wait() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.server.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::CloseWait);
        linger_zero(&pair.client);
        drop(pair.client);
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

/// connect(2) with AF_UNSPEC.
#[test]
fn dissolved_by_connect_to_nowhere() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        disconnect(&pair.client).unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn dissolved_in_fin_wait2() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        disconnect(&pair.client).unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

/// Destroys a socket as an administrator does.
fn destroy(source_port: u16) {
    let ss = format!("ss --kill --tcp --numeric state all 'sport = :{source_port}'");
    let output = Command::new("sh").args(["-c", &ss]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).lines().count() > 1, "it killed something");
}

#[test]
fn destroyed_by_an_administrator() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        destroy(ends.0.port());
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "ECONNABORTED");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn destroyed_in_fin_wait2() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait2);
        destroy(ends.0.port());
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "ECONNABORTED");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}
