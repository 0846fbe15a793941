//! Endings: every order of FIN and RST between two ends that are both ours.
//!
//! This is what ends in order; resets.rs has what ends with RST.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use nix::libc;

use crate::calls::set_option;
use crate::namespace::Dropping;
use crate::namespace::sysctl;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::sockets::State;

/// A FIN is not always acknowledged at once, but after 40 ms at the latest.
pub const FIN_IS_ACKNOWLEDGED: Duration = Duration::from_millis(100);

/// Three bytes from the client, five from the server, read there.
pub fn some_data(pair: &mut Pair) {
    pair.client.write_all(b"abc").unwrap();
    pair.server.read_exact(&mut [0; 3]).unwrap();
    pair.server.write_all(b"defgh").unwrap();
    pair.client.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn client_first() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        drop(pair.client);
        assert_eq!(pair.server.read(&mut [0; 8]).unwrap(), 0);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn server_first() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        drop(pair.server);
        assert_eq!(pair.client.read(&mut [0; 8]).unwrap(), 0);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn both_at_once() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        // Neither sees the other's FIN before it has sent its own.
        let dropping = Dropping::incoming("tcp flags & fin == fin");
        pair.client.shutdown(Shutdown::Write).unwrap();
        pair.server.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.client, State::FinWait1);
        wait_for_state(&pair.server, State::FinWait1);
        drop(dropping);
        assert_eq!(pair.client.read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(pair.server.read(&mut [0; 8]).unwrap(), 0);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "local", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

#[test]
fn half_closed_for_a_while() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&pair.server, State::CloseWait);
        for _ in 0..3 {
            thread::sleep(Duration::from_millis(100));
            pair.server.write_all(&[b's'; 1000]).unwrap();
            pair.client.read_exact(&mut [0; 1000]).unwrap();
        }
        drop(pair.server);
        assert_eq!(pair.client.read(&mut [0; 8]).unwrap(), 0);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 3005);
    assert_bytes(&server, 3005, 3);
    for close in [client, server] {
        let duration = close["duration_us"].as_u64().unwrap();
        assert!((300_000..700_000).contains(&duration), "{close}");
    }
}

#[test]
fn shutdown_of_both_directions_then_close() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        pair.client.shutdown(Shutdown::Both).unwrap();
        wait_for_state(&pair.server, State::CloseWait);
        pair.server.shutdown(Shutdown::Both).unwrap();
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
}

/// Once its FIN is acknowledged the kernel keeps but the addresses of a socket that nobody holds: it is closed for
/// good, whatever the peer does. What comes later is answered with RST, which only the peer hears of.
#[test]
fn fin_wait2_that_nobody_holds() {
    let closes = traced(|| {
        sysctl("net.ipv4.tcp_fin_timeout", "1");
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        drop(pair.client);
        wait_for_state(&pair.server, State::CloseWait);
        thread::sleep(Duration::from_millis(1500));
        pair.server.write_all(b"too late").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
    assert!(client["duration_us"].as_u64().unwrap() < 1_000_000, "{client}");
    assert!(server["duration_us"].as_u64().unwrap() >= 1_500_000, "{server}");
}

#[test]
fn data_for_the_rest_of_a_closed_socket() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        drop(pair.client);
        wait_for_state(&pair.server, State::CloseWait);
        thread::sleep(FIN_IS_ACKNOWLEDGED);
        pair.server.write_all(b"too late").unwrap();
        wait_for_state(&pair.server, State::Close);
        ends
    });
    let Some((client, server)) = closes else { return };
    // It was over for the client's end before the data came.
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote_reset", "EPIPE");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 13, 3);
}

/// A socket that nobody holds stays in FIN_WAIT2 for what TCP_LINGER2 says beyond 60 seconds.
pub fn orphan_in_fin_wait2(pair: Pair) -> TcpStream {
    set_option(&pair.client, libc::IPPROTO_TCP, libc::TCP_LINGER2, 61);
    drop(pair.client);
    wait_for_state(&pair.server, State::CloseWait);
    thread::sleep(FIN_IS_ACKNOWLEDGED);
    pair.server
}

#[test]
fn orphan_in_fin_wait2_whose_peer_never_closes() {
    let closes = traced(|| {
        let mut pair = Pair::new();
        let ends = pair.ends();
        some_data(&mut pair);
        let server = orphan_in_fin_wait2(pair);
        thread::sleep(Duration::from_millis(1500));
        drop(server);
        ends
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
    let duration = client["duration_us"].as_u64().unwrap();
    assert!((900_000..1_450_000).contains(&duration), "{client}");
}
