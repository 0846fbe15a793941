//! Timeouts: a peer that is there no more, as far as the kernel can tell.

use std::io::ErrorKind;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use socket2::TcpKeepalive;

use crate::endings::some_data;
use crate::namespace::Dropping;
use crate::namespace::nft;
use crate::namespace::sysctl;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::sockets::State;

/// Everything is lost on the way.
const ALL: &str = "meta l4proto tcp";

/// A write that cannot be told from the outside to have failed, and the error that it comes to.
fn write_and_wait(stream: &mut TcpStream, data: &[u8], error: ErrorKind) {
    stream.write_all(data).unwrap();
    assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), error);
}

#[test]
fn keepalive() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let second = Duration::from_secs(1);
        let keepalive = TcpKeepalive::new().with_time(second).with_interval(second).with_retries(1);
        for stream in [&pair.client, &pair.server] {
            SockRef::from(stream).set_tcp_keepalive(&keepalive).unwrap();
        }
        let dropping = Dropping::incoming(ALL);
        for mut stream in [&pair.client, &pair.server] {
            assert_eq!(stream.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        }
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", "ETIMEDOUT");
    assert_ended(&server, "timeout", "ETIMEDOUT");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
    assert!(client["duration_us"].as_u64().unwrap() >= 1_900_000, "{client}");
}

#[test]
fn user_timeout() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let timeout = Some(Duration::from_millis(500));
        SockRef::from(&pair.client).set_tcp_user_timeout(timeout).unwrap();
        let dropping = Dropping::incoming(ALL);
        write_and_wait(&mut pair.client, b"lost", ErrorKind::TimedOut);
        drop(dropping);
        // The server knows nothing of it, until it sends.
        pair.server.write_all(b"lost too").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", "ETIMEDOUT");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 7, 5);
    assert_bytes(&server, 13, 3);
    assert!(client["retransmits"].as_u64().unwrap() >= 1, "{client}");
}

#[test]
fn data_that_is_never_acknowledged() {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_retries2", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(ALL);
        pair.server.write_all(b"lost too").unwrap();
        write_and_wait(&mut pair.client, b"lost", ErrorKind::TimedOut);
        assert_eq!(pair.server.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", "ETIMEDOUT");
    assert_ended(&server, "timeout", "ETIMEDOUT");
    assert_bytes(&client, 7, 5);
    assert_bytes(&server, 13, 3);
    assert!(client["retransmits"].as_u64().unwrap() >= 1, "{client}");
}

/// ICMP does not end an established connection. But when it times out, its error is what the process gets.
fn data_that_is_refused(with: &str, error: ErrorKind, errno: &str) {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_retries2", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        nft(&format!(
            "table inet t {{ chain c {{ type filter hook input priority 0; \
             meta l4proto tcp reject with icmpx type {with}; }}; }}"
        ));
        write_and_wait(&mut pair.client, b"lost", error);
        nft("delete table inet t");
        pair.server.write_all(b"lost too").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", errno);
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 7, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn data_for_a_host_that_has_become_unreachable() {
    data_that_is_refused("host-unreachable", ErrorKind::HostUnreachable, "EHOSTUNREACH");
}

/// So rejects a firewall unless it is told otherwise.
#[test]
fn data_for_a_port_that_has_become_unreachable() {
    data_that_is_refused("port-unreachable", ErrorKind::ConnectionRefused, "ECONNREFUSED");
}

#[test]
fn held_in_fin_wait1() {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_retries2", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(ALL);
        pair.client.write_all(b"lost").unwrap();
        pair.client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(pair.client.read(&mut [0; 8]).unwrap_err().kind(), ErrorKind::TimedOut);
        drop(dropping);
        pair.server.write_all(b"lost too").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", "ETIMEDOUT");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 7, 5);
    assert_bytes(&server, 13, 3);
}

#[test]
fn orphans_in_fin_wait1() {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_orphan_retries", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let dropping = Dropping::incoming(ALL);
        pair.client.write_all(b"lost").unwrap();
        pair.server.write_all(b"lost too").unwrap();
        drop((pair.client, pair.server));
        // 200 ms, twice that, and twice that again; on a busy machine later.
        thread::sleep(Duration::from_secs(3));
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "timeout", "ETIMEDOUT");
    assert_ended(&server, "timeout", "ETIMEDOUT");
    assert_bytes(&client, 7, 5);
    assert_bytes(&server, 13, 3);
    assert!(client["duration_us"].as_u64().unwrap() < 3_000_000, "{client}");
}

#[test]
fn orphan_in_last_ack() {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_orphan_retries", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(std::net::Shutdown::Write).unwrap();
        wait_for_state(&pair.server, State::CloseWait);
        wait_for_state(&pair.client, State::FinWait2);
        let dropping = Dropping::incoming(ALL);
        pair.server.write_all(b"lost too").unwrap();
        drop(pair.server);
        thread::sleep(Duration::from_secs(3));
        drop(dropping);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "timeout", "ETIMEDOUT");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}
