//! Connects that the process interrupts, resumes or gives up while nobody answers.

use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::Value;
use socket2::Socket;

use crate::calls::Interruptible;
use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::nonblocking_for;
use crate::calls::take_error;
use crate::calls::tcp_for;
use crate::calls::wait_writable;
use crate::connecting::assert_caller;
use crate::processes::forked;
use crate::scene::Scene;
use crate::scene::assert_local;
use crate::scene::assert_remote;
use crate::wire::ACK;
use crate::wire::FIN;
use crate::wire::HERE;
use crate::wire::Peer;
use crate::wire::RST;
use crate::wire::SYN;
use crate::wire::Segment;

/// A namespace that has a wire with a peer.
struct Wired {
    scene: Scene,
    peer: Peer,
}

impl Wired {
    fn set() -> Option<Self> {
        Scene::wired().map(|(scene, peer)| Self { scene, peer })
    }

    /// Begins to connect, without blocking. Returns the SYN too.
    fn begin(&self) -> (Socket, Segment) {
        let socket = nonblocking_for(Peer::address());
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
        (socket, self.peer.receive())
    }

    /// There is one record: given up, by this process.
    fn end_aborted(self, syn: &Segment) -> Value {
        self.end_failed(syn, "aborted", None)
    }

    fn end_failed(self, syn: &Segment, outcome: &str, errno: Option<Errno>) -> Value {
        let told = self.scene.end();
        let connect = told.failed(outcome, errno);
        assert_local(connect, syn.from.into());
        assert_remote(connect, Peer::address());
        connect.clone()
    }

    /// There is one connection, which this thread made.
    fn end_connected(self, syn: &Segment) {
        self.scene.wait_for_closes(1);
        let told = self.scene.end();
        told.assert_counts(1, 0, 1);
        let (connect, _) = told.connected(syn.from.into(), Peer::address());
        assert_caller(connect);
    }
}

/// Blocks in connect() until a signal comes.
fn interrupted(wired: &Wired) -> (Socket, Segment) {
    let socket = tcp_for(Peer::address());
    let here = Interruptible::here(false);
    let syn = thread::scope(|scope| {
        let syn = scope.spawn(|| {
            let syn = wired.peer.receive();
            here.interrupt();
            syn
        });
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINTR));
        syn.join().unwrap()
    });
    (socket, syn)
}

#[test]
fn interrupted_and_closed() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = interrupted(&wired);
    drop(socket);
    assert_caller(&wired.end_aborted(&syn));
}

#[test]
fn interrupted_and_resumed_by_a_second_call() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = interrupted(&wired);
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            wired.peer.send(&syn.answer(SYN | ACK));
        });
        assert_eq!(connect(&socket, Peer::address()), Ok(()));
    });
    wired.peer.send(&wired.peer.receive_with(ACK).answer(RST | ACK));
    drop(socket);
    wired.end_connected(&syn);
}

#[test]
fn interrupted_and_resumed_by_poll() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = interrupted(&wired);
    wired.peer.send(&syn.answer(SYN | ACK));
    wait_writable(&socket);
    assert_eq!(take_error(&socket), Ok(()));
    wired.peer.send(&wired.peer.receive_with(ACK).answer(RST | ACK));
    drop(socket);
    wired.end_connected(&syn);
}

#[test]
fn interrupted_and_refused_afterwards() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = interrupted(&wired);
    wired.peer.send(&syn.answer(RST | ACK));
    // The second call only collects what became of the first.
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::ECONNREFUSED));
    drop(socket);
    assert_caller(&wired.end_failed(&syn, "refused", Some(Errno::ECONNREFUSED)));
}

#[test]
fn interrupted_by_a_signal_that_restarts_the_call() {
    let Some(wired) = Wired::set() else { return };
    let socket = tcp_for(Peer::address());
    let here = Interruptible::here(true);
    let syn = thread::scope(|scope| {
        let syn = scope.spawn(|| {
            let syn = wired.peer.receive();
            for _ in 0..3 {
                here.interrupt();
                thread::sleep(Duration::from_millis(20));
            }
            wired.peer.send(&syn.answer(SYN | ACK));
            syn
        });
        // The kernel calls it again by itself, which is not a new attempt.
        assert_eq!(connect(&socket, Peer::address()), Ok(()));
        syn.join().unwrap()
    });
    wired.peer.send(&wired.peer.receive_with(ACK).answer(RST | ACK));
    drop(socket);
    wired.end_connected(&syn);
}

#[test]
fn interrupted_by_a_signal_that_restarts_the_call_and_refused() {
    let Some(wired) = Wired::set() else { return };
    let socket = tcp_for(Peer::address());
    let here = Interruptible::here(true);
    let syn = thread::scope(|scope| {
        let syn = scope.spawn(|| {
            let syn = wired.peer.receive();
            here.interrupt();
            thread::sleep(Duration::from_millis(20));
            wired.peer.send(&syn.answer(RST | ACK));
            syn
        });
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::ECONNREFUSED));
        syn.join().unwrap()
    });
    drop(socket);
    assert_caller(&wired.end_failed(&syn, "refused", Some(Errno::ECONNREFUSED)));
}

#[test]
fn a_send_timeout_that_expires_and_a_close() {
    let Some(wired) = Wired::set() else { return };
    let socket = tcp_for(Peer::address());
    socket.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // For the kernel it goes on.
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = wired.peer.receive();
    drop(socket);
    let connect = wired.end_aborted(&syn);
    assert!(connect["latency_us"].as_u64().unwrap() >= 200_000, "{connect}");
    assert_caller(&connect);
}

#[test]
fn a_send_timeout_that_expires_and_an_answer() {
    let Some(wired) = Wired::set() else { return };
    let socket = tcp_for(Peer::address());
    socket.set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
    let syn = wired.peer.receive();
    wired.peer.send(&syn.answer(SYN | ACK));
    assert_eq!(connect(&socket, Peer::address()), Ok(()));
    wired.peer.send(&wired.peer.receive_with(ACK).answer(RST | ACK));
    drop(socket);
    wired.end_connected(&syn);
}

#[test]
fn closed_while_nobody_answers() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = wired.begin();
    drop(socket);
    assert_caller(&wired.end_aborted(&syn));
}

#[test]
fn disconnected_while_nobody_answers() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = wired.begin();
    assert_eq!(disconnect(&socket), Ok(()));
    drop(socket);
    assert_caller(&wired.end_aborted(&syn));
}

#[test]
fn shut_down_while_nobody_answers() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = wired.begin();
    socket.shutdown(std::net::Shutdown::Both).unwrap();
    drop(socket);
    assert_caller(&wired.end_aborted(&syn));
}

#[test]
fn a_process_that_exits_while_nobody_answers() {
    let Some(wired) = Wired::set() else { return };
    let child = forked(|| {
        let socket = nonblocking_for(Peer::address());
        assert_eq!(connect(&socket, Peer::address()), Err(Errno::EINPROGRESS));
        // And exits with the socket open.
        std::mem::forget(socket);
    });
    let pid = child.pid();
    child.wait();
    let syn = wired.peer.receive();
    assert_eq!(wired.end_aborted(&syn)["process"]["pid"], pid);
}

#[test]
fn a_process_that_is_killed_while_nobody_answers() {
    let Some(wired) = Wired::set() else { return };
    let child = forked(|| {
        let _ = connect(tcp_for(Peer::address()), Peer::address());
    });
    let pid = child.pid();
    let syn = wired.peer.receive();
    child.kill();
    assert_eq!(wired.end_aborted(&syn)["process"]["pid"], pid);
}

#[test]
fn killed_by_an_administrator() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = wired.begin();
    let peer: SocketAddr = Peer::address();
    let status = Command::new("ss")
        .args(["-K", "state", "syn-sent", "dst", &peer.ip().to_string()])
        .status()
        .expect("ss (Debian: iproute2)");
    assert!(status.success());
    assert_eq!(take_error(&socket), Err(Errno::ECONNABORTED));
    drop(socket);
    assert_caller(&wired.end_failed(&syn, "aborted", Some(Errno::ECONNABORTED)));
    assert_eq!(syn.from.ip(), &HERE);
}

/// The peer connects as well, and the socket is closed before the peer has acknowledged that.
fn closed_in_syn_recv(args: &[&str]) {
    let mut peer = None;
    let Some(scene) = Scene::with(args, || peer = Some(Peer::new())) else { return };
    let wired = Wired { scene, peer: peer.unwrap() };
    let (socket, syn) = wired.begin();
    wired.peer.send(&Segment::syn(syn.to, syn.from));
    let syn_ack = wired.peer.receive();
    assert_eq!(syn_ack.flags, SYN | ACK, "the kernel is in SYN_RECV");
    drop(socket);
    // The kernel ends in order what it has not begun: with a FIN once its own SYN is acknowledged.
    wired.peer.send(&syn_ack.answer(ACK));
    let fin = wired.peer.receive_with(FIN);
    wired.peer.send(&fin.answer(FIN | ACK));
    assert_eq!(wired.peer.receive().flags, ACK, "of the FIN: it is over");
    assert_caller(&wired.end_aborted(&syn));
}

#[test]
fn closed_while_the_peer_connects_as_well() {
    closed_in_syn_recv(&[]);
}

#[test]
fn closed_while_the_peer_connects_as_well_and_only_connects_are_told() {
    closed_in_syn_recv(&["-e", "connect"]);
}

/// The same, of which the peer says nothing more.
#[test]
fn closed_while_the_peer_connects_as_well_and_leaves() {
    let Some(wired) = Wired::set() else { return };
    let (socket, syn) = wired.begin();
    wired.peer.send(&Segment::syn(syn.to, syn.from));
    let syn_ack = wired.peer.receive();
    assert_eq!(syn_ack.flags, SYN | ACK, "the kernel is in SYN_RECV");
    drop(socket);
    wired.peer.send(&syn_ack.answer(RST | ACK));
    assert_caller(&wired.end_aborted(&syn));
}
