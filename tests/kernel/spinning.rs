//! Callers that ask for the socket's error again and again: they may have it before the kernel has changed the state.

use std::os::fd::AsFd as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::nonblocking_for;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;
use crate::wire::ACK;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;

/// As many as it takes for the two to meet.
const ROUNDS: usize = 30;

/// Asks until there is an error.
fn by_getsockopt(socket: &Socket) -> Errno {
    loop {
        if let Err(errno) = take_error(socket) {
            return errno;
        }
    }
}

/// Asks poll(2) first, which does not wait.
fn by_poll(socket: &Socket) -> Errno {
    loop {
        let mut poll = [PollFd::new(socket.as_fd(), PollFlags::POLLOUT)];
        if nix::poll::poll(&mut poll, PollTimeout::ZERO) != Ok(0)
            && let Err(errno) = take_error(socket)
        {
            return errno;
        }
    }
}

/// Does something while another thread asks, and has been asking for a moment. Returns what the latter got.
fn while_asked(socket: &Socket, ask: fn(&Socket) -> Errno, work: impl FnOnce()) -> Errno {
    let asks = AtomicBool::new(false);
    thread::scope(|scope| {
        let asker = scope.spawn(|| {
            asks.store(true, Relaxed);
            ask(socket)
        });
        while !asks.load(Relaxed) {
            thread::yield_now();
        }
        work();
        asker.join().unwrap()
    })
}

fn refused(ask: fn(&Socket) -> Errno) {
    let Some((scene, peer)) = Scene::wired() else { return };
    let clients = [(); ROUNDS].map(|()| {
        let socket = nonblocking_for(Peer::address());
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
        let syn = peer.receive();
        let errno = while_asked(&socket, ask, || peer.send(&syn.answer(RST | ACK)));
        assert_eq!(errno, Errno::ECONNREFUSED);
        syn.from
    });
    let told = scene.end();
    told.assert_counts(ROUNDS, 0, 0);
    for (connect, client) in told.events().into_iter().zip(clients) {
        assert_failed(connect, "refused", Errno::ECONNREFUSED);
        assert_local(connect, client.into());
        assert_remote(connect, Peer::address());
    }
}

#[test]
fn refused_while_it_is_asked() {
    refused(by_getsockopt);
}

#[test]
fn refused_while_it_is_polled() {
    refused(by_poll);
}

#[test]
fn reset_while_it_is_asked() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let clients = [(); ROUNDS].map(|()| {
        let socket = tcp_for(Peer::address());
        let ack = thread::scope(|scope| {
            let ack = scope.spawn(|| {
                peer.send(&peer.receive_with(SYN).answer(SYN | ACK));
                peer.receive_with(ACK)
            });
            assert_eq!(connect(&socket, Peer::address()), Ok(()));
            ack.join().unwrap()
        });
        let errno = while_asked(&socket, by_getsockopt, || peer.send(&ack.answer(RST | ACK)));
        assert_eq!(errno, Errno::ECONNRESET);
        ack.from
    });
    scene.wait_for_closes(ROUNDS);
    let told = scene.end();
    told.assert_counts(ROUNDS, 0, ROUNDS);
    for client in clients {
        let (_, close) = told.connected(client.into(), Peer::address());
        assert_eq!(close["closed_by"], "remote_reset", "{close}");
    }
}
