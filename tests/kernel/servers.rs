//! Servers of every kind: each accept names the process that took the connection, and so does its close.

use std::io::Read as _;
use std::io::Write as _;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::fd::AsRawFd as _;
use std::process;
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::resource::Resource;
use nix::sys::resource::setrlimit;
use nix::sys::socket::SockFlag;
use serde_json::Value;

use crate::calls::Interruptible;
use crate::connecting::assert_caller;
use crate::namespace::sysctl;
use crate::namespace::v4;
use crate::pairs::assert_bytes;
use crate::pairs::assert_ended;
use crate::pairs::linger_zero;
use crate::pairs::told_once;
use crate::pairs::traced_accept;
use crate::pairs::traced_accept_with;
use crate::pairs::wait_for_state;
use crate::pairs::wait_until;
use crate::processes::forked;
use crate::scene::Scene;
use crate::sockets::State;
use crate::sockets::accept;
use crate::sockets::accept4;
use crate::sockets::tcp_info;

fn assert_waited(accept: &Value, micros: std::ops::Range<u64>) {
    let wait = accept["wait_us"].as_u64().unwrap();
    assert!(micros.contains(&wait), "{accept}");
}

#[test]
fn prefork_workers() {
    const CONNECTIONS: usize = 30;
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let workers: Vec<_> = (0..3)
        .map(|_| {
            forked(|| {
                loop {
                    let (mut stream, _) = listener.accept().unwrap();
                    // Others get their turn.
                    thread::sleep(Duration::from_millis(1));
                    stream.write_all(&process::id().to_ne_bytes()).unwrap();
                }
            })
        })
        .collect();
    let mut clients: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(server).unwrap()).collect();
    let worked: Vec<(SocketAddr, u32)> = clients
        .iter_mut()
        .map(|stream| {
            let mut pid = [0; 4];
            stream.read_exact(&mut pid).unwrap();
            (stream.local_addr().unwrap(), u32::from_ne_bytes(pid))
        })
        .collect();
    drop(clients);
    scene.wait_for_closes(2 * CONNECTIONS);
    for worker in workers {
        worker.kill();
    }
    let told = scene.end();
    told.assert_counts(CONNECTIONS, CONNECTIONS, 2 * CONNECTIONS);
    for (client, pid) in &worked {
        let (_, close) = told_once(&told.log, told.netns, (*client, server));
        assert_eq!(close["process"]["pid"], *pid, "{close}");
        assert_eq!(close["attributed_to"], "accept", "{close}");
    }
    assert!(worked.iter().any(|(_, pid)| *pid != worked[0].1), "more than one worked");
}

#[test]
fn accept_without_its_4() {
    let told = traced_accept(|listener, stream| {
        let accepted = accept(listener).unwrap();
        drop((stream, accepted));
    });
    let Some((accept, close)) = told else { return };
    assert_caller(&accept);
    assert_caller(&close);
}

#[test]
fn accept_that_does_not_block() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(accept4(&listener, SockFlag::SOCK_NONBLOCK).unwrap_err(), Errno::EAGAIN);
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let accepted = accept4(&listener, SockFlag::SOCK_NONBLOCK).unwrap();
    assert_eq!(nix::unistd::read(&accepted, &mut [0]), Err(Errno::EAGAIN));
    assert_eq!(accept4(&listener, SockFlag::SOCK_NONBLOCK).unwrap_err(), Errno::EAGAIN);
    drop((stream, accepted));
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    assert_eq!(close["attributed_to"], "accept", "{close}");
    assert_caller(&close);
}

#[test]
fn no_descriptor_left_to_accept_with() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let child = forked(|| {
        let none = u64::try_from(listener.as_raw_fd()).unwrap() + 1;
        // Every lower number is taken.
        while let Ok(fd) = nix::unistd::dup(&listener) {
            let number = u64::try_from(fd.as_raw_fd()).unwrap();
            std::mem::forget(fd);
            if number > none {
                break;
            }
        }
        let (_, hard) = nix::sys::resource::getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, none, hard).unwrap();
        for _ in 0..5 {
            assert_eq!(accept4(&listener, SockFlag::empty()).unwrap_err(), Errno::EMFILE);
            thread::sleep(Duration::from_millis(100));
        }
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        let mut accepted = TcpStream::from(accept4(&listener, SockFlag::empty()).unwrap());
        accepted.write_all(b"at last").unwrap();
    });
    let pid = child.pid();
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    assert_eq!(received, b"at last");
    drop(stream);
    child.wait();
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    assert_eq!(close["process"]["pid"], pid, "{close}");
    assert_eq!(close["attributed_to"], "accept", "{close}");
    assert_bytes(&close, 7, 0);
    assert_waited(told.events_of("accept")[0], 450_000..900_000);
}

#[test]
fn accept_interrupted_by_a_signal() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let (sender, receiver) = std::sync::mpsc::channel();
    let acceptor = thread::spawn(move || {
        sender.send(Interruptible::here(false)).unwrap();
        assert_eq!(accept4(&listener, SockFlag::empty()).unwrap_err(), Errno::EINTR);
        sender.send(Interruptible::here(true)).unwrap();
        // Interrupted once more, and goes on by itself.
        drop(accept4(&listener, SockFlag::empty()).unwrap());
        nix::unistd::gettid().as_raw()
    });
    for _ in 0..2 {
        let thread = receiver.recv().unwrap();
        thread::sleep(Duration::from_millis(100));
        thread.interrupt();
        thread::sleep(Duration::from_millis(50));
    }
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let tid = acceptor.join().unwrap();
    drop(stream);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    assert_eq!(close["process"]["tid"], tid, "{close}");
    assert_eq!(close["attributed_to"], "accept", "{close}");
}

#[test]
fn listener_shut_down_while_a_thread_accepts() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let (mut accepted, _) = listener.accept().unwrap();
    thread::scope(|scope| {
        let acceptor = scope.spawn(|| accept4(&listener, SockFlag::empty()).unwrap_err());
        thread::sleep(Duration::from_millis(100));
        nix::sys::socket::shutdown(listener.as_raw_fd(), nix::sys::socket::Shutdown::Both).unwrap();
        assert_eq!(acceptor.join().unwrap(), Errno::EINVAL);
    });
    drop(listener);
    // What was accepted before goes on.
    accepted.write_all(b"still there").unwrap();
    stream.read_exact(&mut [0; 11]).unwrap();
    drop(accepted);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    drop(stream);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    assert_eq!(close["attributed_to"], "accept", "{close}");
    assert_ended(&close, "local", "");
    assert_bytes(&close, 11, 0);
}

/// A call that waits keeps the listener open: it still takes a connection.
#[test]
fn listener_closed_while_a_thread_accepts() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let number = listener.as_raw_fd();
    let acceptor = thread::spawn(move || {
        let accepted = accept4(&listener, SockFlag::empty()).unwrap();
        // Closed already.
        std::mem::forget(listener);
        drop(accepted);
        nix::unistd::gettid().as_raw()
    });
    thread::sleep(Duration::from_millis(100));
    nix::unistd::close(number).unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let client = stream.local_addr().unwrap();
    let tid = acceptor.join().unwrap();
    wait_for_state(&stream, State::CloseWait);
    TcpStream::connect(server).unwrap_err();
    drop(stream);
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(2, 1, 2);
    assert_eq!(told.events_of("connect")[1]["outcome"], "refused");
    let (_, close) = told_once(&told.log, told.netns, (client, server));
    assert_eq!(close["process"]["tid"], tid, "{close}");
    assert_eq!(close["attributed_to"], "accept", "{close}");
}

#[test]
fn accepted_connections_outlive_the_listener_and_the_queued_do_not() {
    let Some(scene) = Scene::set() else { return };
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut streams = [(); 3].map(|()| TcpStream::connect(server).unwrap());
    let clients = [0, 1, 2].map(|n: usize| streams[n].local_addr().unwrap());
    let (mut accepted, first) = listener.accept().unwrap();
    assert_eq!(first, clients[0]);
    drop(listener);
    accepted.write_all(b"hello").unwrap();
    streams[0].read_exact(&mut [0; 5]).unwrap();
    drop(accepted);
    wait_for_state(&streams[0], State::CloseWait);
    drop(streams);
    scene.wait_for_closes(6);
    let told = scene.end();
    told.assert_counts(3, 1, 6);
    let (_, close) = told_once(&told.log, told.netns, (clients[0], server));
    assert_ended(&close, "local", "");
    assert_bytes(&close, 5, 0);
    for client in &clients[1..] {
        let close = told.log.event(told.netns, "close", server, *client);
        assert_ended(close, "local_reset", "");
        assert_eq!(close["attributed_to"], "listener", "{close}");
    }
}

/// The acceptor is named, whoever has the descriptor afterwards.
#[test]
fn worked_for_by_a_child_of_the_acceptor() {
    let mut pid = 0;
    let told = traced_accept(|listener, mut stream| {
        let (mut accepted, _) = listener.accept().unwrap();
        stream.write_all(b"abc").unwrap();
        let child = forked(|| {
            accepted.read_exact(&mut [0; 3]).unwrap();
            accepted.write_all(b"defgh").unwrap();
            accepted.shutdown(Shutdown::Both).unwrap();
        });
        pid = child.pid();
        drop(accepted);
        stream.read_exact(&mut [0; 5]).unwrap();
        assert_eq!(stream.read(&mut [0]).unwrap(), 0);
        child.wait();
    });
    let Some((accept, close)) = told else { return };
    assert_ne!(pid, 0);
    assert_caller(&accept);
    assert_caller(&close);
    assert_bytes(&close, 5, 3);
}

#[test]
fn worked_for_by_another_thread() {
    let told = traced_accept(|listener, mut stream| {
        let (mut accepted, _) = listener.accept().unwrap();
        let worker = thread::spawn(move || accepted.write_all(b"hello").unwrap());
        let mut received = Vec::new();
        stream.read_to_end(&mut received).unwrap();
        worker.join().unwrap();
    });
    let Some((accept, close)) = told else { return };
    assert_caller(&accept);
    assert_caller(&close);
    assert_bytes(&close, 5, 0);
}

#[test]
fn data_and_fin_before_the_accept() {
    let told = traced_accept(|listener, mut stream| {
        stream.write_all(b"hello").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        wait_for_state(&stream, State::FinWait2);
        thread::sleep(Duration::from_millis(500));
        let (mut accepted, _) = listener.accept().unwrap();
        let mut received = Vec::new();
        accepted.read_to_end(&mut received).unwrap();
        assert_eq!(received, b"hello");
    });
    let Some((accept, close)) = told else { return };
    assert_waited(&accept, 500_000..900_000);
    assert_ended(&close, "remote", "");
    assert_bytes(&close, 0, 5);
    assert_caller(&close);
}

#[test]
fn data_and_rst_before_the_accept() {
    let told = traced_accept(|listener, mut stream| {
        stream.write_all(b"hello").unwrap();
        wait_until(|| tcp_info(&stream).tcpi_unacked == 0, "the acknowledgement");
        linger_zero(&stream);
        drop(stream);
        thread::sleep(Duration::from_millis(500));
        drop(listener.accept().unwrap());
    });
    let Some((accept, close)) = told else { return };
    assert_waited(&accept, 500_000..900_000);
    assert_eq!(accept["attributed_to"], "accept", "{accept}");
    assert_ended(&close, "remote_reset", "ECONNRESET");
    assert_bytes(&close, 0, 5);
}

#[test]
fn handshake_with_a_syn_cookie() {
    let told = traced_accept_with(
        || sysctl("net.ipv4.tcp_syncookies", "2"),
        |listener, stream| {
            let (accepted, _) = listener.accept().unwrap();
            drop((stream, accepted));
        },
    );
    let Some((accept, close)) = told else { return };
    assert_caller(&accept);
    assert_caller(&close);
}
