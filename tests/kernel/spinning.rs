//! Callers that ask for the socket's error again and again: they may have it before the kernel has changed the state.

use std::net::SocketAddr;
use std::net::SocketAddrV4;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;

use nix::errno::Errno;
use nix::poll::PollFd;
use nix::poll::PollFlags;
use nix::poll::PollTimeout;
use nix::sys::socket::SockFlag;
use socket2::Socket;

use crate::accepting_early::fast_open;
use crate::calls::connect;
use crate::calls::nonblocking_for;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;
use crate::sockets::State;
use crate::sockets::accept4;
use crate::sockets::tcp_info;
use crate::wire::ACK;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;
use crate::wire::Segment;
use crate::wire::THERE;

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

/// With fast open it is accepted before the handshake is over, and then it is reset instead.
#[test]
fn reset_before_the_handshake_is_over_while_it_is_asked() {
    let mut wire = None;
    let scene = Scene::prepared(|| {
        fast_open();
        wire = Some(Peer::new());
    });
    let (Some(scene), Some(peer)) = (scene, wire) else { return };
    let listener = TcpListener::bind((HERE, 0)).unwrap();
    let SocketAddr::V4(server) = listener.local_addr().unwrap() else { unreachable!("IPv4") };
    let clients: [_; ROUNDS] = std::array::from_fn(|round| {
        let client = SocketAddrV4::new(THERE, 50_000 + u16::try_from(round).unwrap());
        peer.send(&Segment { data: b"abc".to_vec(), ..Segment::syn(client, server) });
        let syn_ack = peer.receive_with(SYN);
        let accepted = Socket::from(accept4(&listener, SockFlag::empty()).unwrap());
        assert_eq!(tcp_info(&accepted).tcpi_state, State::SynRecv as u8);
        let reset = syn_ack.answer(RST | ACK);
        let errno = while_asked(&accepted, by_getsockopt, || peer.send(&reset));
        assert_eq!(errno, Errno::ECONNRESET);
        client
    });
    scene.wait_for_closes(ROUNDS);
    let told = scene.end();
    told.assert_counts(0, ROUNDS, ROUNDS);
    for client in clients {
        told.log.event(told.netns, "accept", server.into(), client.into());
        let close = told.log.event(told.netns, "close", server.into(), client.into());
        assert_eq!(close["closed_by"], "remote_reset", "{close}");
    }
}
