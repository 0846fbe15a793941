//! Errors that wait at a socket and have nothing to do with its end: with IP_RECVERR an ICMP message leaves one.

use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::os::fd::AsFd as _;

use nix::libc;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use serde_json::Value;

use crate::calls::set_option;
use crate::endings::some_data;
use crate::namespace::nft;
use crate::namespace::v4;
use crate::namespace::v6;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::traced;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::sockets::State;

/// Whether an error waits. It is not taken.
fn is_pending(stream: &TcpStream) -> bool {
    let mut poll = [PollFd::new(stream.as_fd(), PollFlags::empty())];
    nix::poll::poll(&mut poll, PollTimeout::ZERO).unwrap();
    poll[0].revents().unwrap().contains(PollFlags::POLLERR)
}

/// A connection that a router calls impossible for a while. Its client has an error then, goes on all the same,
/// and ends so.
fn ended_with_an_error(address: SocketAddr, end: impl FnOnce(Pair)) -> Option<(Value, Value)> {
    traced(|| {
        let mut pair = Pair::at(address);
        let ends = pair.ends();
        some_data(&mut pair);
        set_option(&pair.client, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
        if address.is_ipv6() {
            set_option(&pair.client, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1);
        }
        nft("table inet t { chain c { type filter hook input priority 0; \
             meta l4proto tcp reject with icmpx type host-unreachable; }; }");
        pair.client.write_all(b"again").unwrap();
        wait_until(|| is_pending(&pair.client), "error of a retransmission");
        nft("delete table inet t");
        pair.server.read_exact(&mut [0; 5]).unwrap();
        assert!(is_pending(&pair.client), "still");
        end(pair);
        ends
    })
}

fn closed_in_order(address: SocketAddr) {
    let closes = ended_with_an_error(address, |mut pair| {
        drop(pair.client);
        assert_eq!(pair.server.read(&mut [0; 8]).unwrap(), 0);
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local", "");
    assert_ended(&server, "remote", "");
    assert_bytes(&client, 8, 5);
    assert_bytes(&server, 5, 8);
    assert!(client["retransmits"].as_u64().unwrap() >= 1, "{client}");
}

#[test]
fn closed_in_order_with_an_error_of_before() {
    closed_in_order(v4());
}

#[test]
fn closed_in_order_with_an_error_of_before_over_ipv6() {
    closed_in_order(v6());
}

#[test]
fn reset_with_an_error_of_before() {
    let closes = ended_with_an_error(v4(), |mut pair| {
        linger_zero(&pair.client);
        drop(pair.client);
        pair.server.read(&mut [0; 8]).unwrap_err();
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "local_reset", "");
    assert_ended(&server, "remote_reset", "ECONNRESET");
    assert_bytes(&client, 8, 5);
    assert_bytes(&server, 5, 8);
}

#[test]
fn reset_by_the_peer_with_an_error_of_before() {
    let closes = ended_with_an_error(v4(), |pair| {
        linger_zero(&pair.server);
        drop(pair.server);
        // Nobody has asked for the error, and now it is this one.
        wait_for_state(&pair.client, State::Close);
    });
    let Some((client, server)) = closes else { return };
    assert_ended(&client, "remote_reset", "ECONNRESET");
    assert_ended(&server, "local_reset", "");
}
