//! Threads that connect at once: each attempt is told once, of the thread that made it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;

use crate::calls::connect;
use crate::calls::disconnect;
use crate::calls::replace;
use crate::calls::tcp_for;
use crate::namespace::v4;
use crate::processes::forked;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_local;
use crate::scene::assert_remote;
use crate::wire::ACK;
use crate::wire::Peer;
use crate::wire::RST;

/// How long a thread has to get into its call.
const A_WHILE: Duration = Duration::from_millis(50);

#[test]
fn two_threads_wait_for_one_connect() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = tcp_for(Peer::address());
    let (first, second, syn) = thread::scope(|scope| {
        let call = || connect(&socket, Peer::address());
        let first = scope.spawn(move || (call(), nix::unistd::gettid().as_raw()));
        let syn = peer.receive();
        let second = scope.spawn(call);
        thread::sleep(A_WHILE);
        peer.send(&syn.answer(RST | ACK));
        (first.join().unwrap(), second.join().unwrap(), syn)
    });
    // One of them gets the error; the other one finds that it is over, by EPIPE since 6.7.
    let results = [first.0, second];
    assert!(results.contains(&Err(Errno::ECONNREFUSED)), "{results:?}");
    let over = [Err(Errno::EPIPE), Err(Errno::ECONNABORTED)];
    assert!(results.iter().any(|result| over.contains(result)), "{results:?}");
    drop(socket);
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_eq!(connect["process"]["tid"], first.1, "whose attempt it was: {connect}");
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
}

#[test]
fn another_thread_disconnects_meanwhile() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = tcp_for(Peer::address());
    let syn = thread::scope(|scope| {
        let call = scope.spawn(|| connect(&socket, Peer::address()));
        let syn = peer.receive();
        thread::sleep(A_WHILE);
        assert_eq!(disconnect(&socket), Ok(()));
        let result = call.join().unwrap();
        assert!(matches!(result, Err(Errno::EPIPE | Errno::ECONNRESET)), "{result:?}");
        syn
    });
    drop(socket);
    let told = scene.end();
    let connect = told.failed("aborted", None);
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
}

#[test]
fn a_file_descriptor_that_becomes_another_socket_meanwhile() {
    let Some((scene, peer)) = Scene::wired() else { return };
    let socket = tcp_for(Peer::address());
    let syn = thread::scope(|scope| {
        let fd = socket.as_fd();
        let call = scope.spawn(move || connect(fd, Peer::address()));
        let syn = peer.receive();
        thread::sleep(A_WHILE);
        replace(&socket, &tcp_for("[::1]:0".parse().unwrap()));
        peer.send(&syn.answer(RST | ACK));
        assert_eq!(call.join().unwrap(), Err(Errno::ECONNREFUSED));
        syn
    });
    drop(socket);
    let told = scene.end();
    let connect = told.failed("refused", Errno::ECONNREFUSED);
    assert_local(connect, syn.from.into());
    assert_remote(connect, Peer::address());
}

#[test]
fn a_thousand_attempts_of_every_kind_by_many_threads() {
    const THREADS: u16 = 4;
    const ROUNDS: usize = 250;
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let nobody = SocketAddr::new(v4().ip(), 1);
    let attempts = move |thread: u16| {
        // Its own address tells the attempts that have no route apart.
        let far = SocketAddr::from(([198, 51, 100, 1], 1000 + thread));
        for _ in 0..ROUNDS {
            let socket = tcp_for(server);
            assert_eq!(connect(&socket, far), Err(Errno::ENETUNREACH));
            assert_eq!(connect(&socket, nobody), Err(Errno::ECONNREFUSED));
            assert_eq!(connect(&socket, server), Ok(()));
        }
        nix::unistd::gettid().as_raw()
    };
    let tids: Vec<i32> = thread::scope(|scope| {
        scope.spawn(|| (0..usize::from(THREADS) * ROUNDS).for_each(|_| drop(listener.accept())));
        let threads = [0, 1, 2, 3].map(|thread| scope.spawn(move || attempts(thread)));
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all = tids.len() * ROUNDS;
    scene.wait_for_closes(2 * all);
    let told = scene.end();
    told.assert_counts(3 * all, all, 2 * all);
    let mut outcomes = HashMap::new();
    for connect in told.events_of("connect") {
        let tid = i32::try_from(connect["process"]["tid"].as_i64().unwrap()).unwrap();
        let outcome = connect["outcome"].as_str().unwrap();
        *outcomes.entry((tid, outcome)).or_insert(0) += 1;
        if outcome == "unreachable" {
            let thread = u16::try_from(tids.iter().position(|id| *id == tid).unwrap()).unwrap();
            assert_remote(connect, SocketAddr::from(([198, 51, 100, 1], 1000 + thread)));
        }
    }
    for tid in tids {
        for outcome in ["unreachable", "refused", "established"] {
            assert_eq!(outcomes[&(tid, outcome)], ROUNDS, "{outcome} of {tid}");
        }
    }
}

/// Its identity must be there though nothing else of it was ever told.
#[test]
fn processes_that_fail_and_are_gone_at_once() {
    let Some(scene) = Scene::set() else { return };
    let remote = "198.51.100.7:80".parse().unwrap();
    let pids: Vec<i32> = (0..50)
        .map(|_| {
            let child = forked(|| {
                nix::sys::prctl::set_name(c"gone-at-once").unwrap();
                assert_eq!(connect(tcp_for(remote), remote), Err(Errno::ENETUNREACH));
            });
            let pid = child.pid();
            child.wait();
            pid
        })
        .collect();
    let told = scene.end();
    told.assert_counts(pids.len(), 0, 0);
    for (connect, pid) in told.events().into_iter().zip(pids) {
        assert_failed(connect, "unreachable", Errno::ENETUNREACH);
        assert_eq!(connect["process"]["pid"], pid, "{connect}");
        assert_eq!(connect["process"]["comm"], "gone-at-once", "{connect}");
        assert!(connect["process"]["start"].is_string(), "{connect}");
    }
}
