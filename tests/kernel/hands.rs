//! Sockets that change hands: whoever called connect() is named, in the close too, whoever closes.

use std::fs;
use std::fs::File;
use std::io::IoSlice;
use std::io::IoSliceMut;
use std::io::Read as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::process;
use std::process::Command;
use std::process::Stdio;
use std::thread;

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::sys::socket::ControlMessage;
use nix::sys::socket::ControlMessageOwned;
use nix::sys::socket::MsgFlags;
use socket2::Socket;

use crate::calls::connect;
use crate::calls::local;
use crate::calls::tcp_for;
use crate::connecting::assert_caller;
use crate::endings::some_data;
use crate::namespace::ip;
use crate::namespace::v4;
use crate::pairs::Pair;
use crate::pairs::assert_bytes;
use crate::pairs::only_story;
use crate::processes::called_in_child;
use crate::processes::forked;
use crate::scene::Scene;
use crate::scene::assert_failed;
use crate::scene::assert_remote;

/// A server of this thread.
struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    fn new() -> Self {
        let listener = TcpListener::bind(v4()).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// Accepts a connection, waits until its client has closed it, and closes it. Returns the client.
    fn serve(&self) -> SocketAddr {
        let (mut stream, client) = self.listener.accept().unwrap();
        assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0);
        client
    }
}

/// One connection, both of whose ends are told, with the client's end in the hands of this process.
fn assert_connected_by(scene: Scene, client: SocketAddr, server: SocketAddr, pid: impl Into<i64>) {
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (connect, _) = told.connected(client, server);
    assert_eq!(connect["process"]["pid"], pid.into(), "{connect}");
}

#[test]
fn another_thread_connects() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let socket = tcp_for(server.address);
    let (tid, socket) = thread::Builder::new()
        .name("connector".to_owned())
        .spawn(move || {
            assert_eq!(connect(&socket, server.address), Ok(()));
            (nix::unistd::gettid().as_raw(), socket)
        })
        .unwrap()
        .join()
        .unwrap();
    let client = local(&socket);
    // Closed by this thread.
    drop(socket);
    server.serve();
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    let (connect, close) = told.connected(client, server.address);
    for record in [connect, close] {
        assert_eq!(record["process"]["pid"], process::id(), "{record}");
        assert_eq!(record["process"]["tid"], tid, "{record}");
        assert_eq!(record["process"]["comm"], "connector", "{record}");
    }
}

#[test]
fn another_thread_fails_to_connect() {
    let Some(scene) = Scene::set() else { return };
    let remote = "198.51.100.7:80".parse().unwrap();
    let tid = thread::Builder::new()
        .name("connector".to_owned())
        .spawn(move || {
            assert_eq!(connect(tcp_for(remote), remote), Err(Errno::ENETUNREACH));
            nix::unistd::gettid().as_raw()
        })
        .unwrap()
        .join()
        .unwrap();
    let told = scene.end();
    let connect = told.failed("unreachable", Errno::ENETUNREACH);
    assert_eq!(connect["process"]["pid"], process::id(), "{connect}");
    assert_eq!(connect["process"]["tid"], tid, "{connect}");
    assert_eq!(connect["process"]["comm"], "connector", "{connect}");
}

/// The socket's namespace is where it was made, wherever its thread is by now. The namespace in which the
/// thread then is has no route at all, not even a loopback device that is up.
#[test]
fn a_thread_that_has_left_the_sockets_network_namespace() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let address = server.address;
    let remote = "198.51.100.7:80".parse().unwrap();
    let client = thread::spawn(move || {
        let (socket, hopeless) = (tcp_for(address), tcp_for(remote));
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert_eq!(connect(tcp_for(address), address), Err(Errno::ENETUNREACH), "elsewhere");
        assert_eq!(connect(&hopeless, remote), Err(Errno::ENETUNREACH));
        assert_eq!(connect(&socket, address), Ok(()));
        local(&socket)
    })
    .join()
    .unwrap();
    server.serve();
    scene.wait_for_closes(2);
    let told = scene.end_with_elsewhere();
    told.assert_counts(2, 1, 2);
    assert_eq!(told.connected(client, address).0["process"]["pid"], process::id());
    let failed = told.events_of("connect")[0];
    assert_failed(failed, "unreachable", Errno::ENETUNREACH);
    assert_remote(failed, remote);
    // The one that was made elsewhere is told as well, but not of here.
    let mut elsewhere = told.of_this_process();
    elsewhere.retain(|record| record["netns"] != told.netns);
    assert_eq!(elsewhere.len(), 1, "{elsewhere:#?}");
    assert_failed(elsewhere[0], "unreachable", Errno::ENETUNREACH);
    assert!(elsewhere[0]["netns"].is_u64(), "{}", elsewhere[0]);
}

/// A thread enters another namespace and comes back: what it connects there is of there.
#[test]
fn a_thread_that_visits_another_network_namespace() {
    let Some(scene) = Scene::set() else { return };
    let home = File::open("/proc/thread-self/ns/net").unwrap();
    let server = Server::new();
    let address = server.address;
    let client = thread::spawn(move || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
        nix::sched::setns(home, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = tcp_for(address);
        assert_eq!(connect(&socket, address), Ok(()));
        local(&socket)
    })
    .join()
    .unwrap();
    server.serve();
    assert_connected_by(scene, client, address, process::id());
}

#[test]
fn a_process_that_has_become_another_program() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    // bash connects, and becomes cat with the socket open, which ends when its input does.
    let script = format!("exec 3<>/dev/tcp/127.0.0.1/{}; exec cat", server.address.port());
    let mut shell =
        Command::new("bash").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap();
    let comm = || fs::read_to_string(format!("/proc/{}/comm", shell.id())).unwrap();
    while comm() != "cat\n" {
        thread::yield_now();
    }
    drop(shell.stdin.take());
    let client = server.serve();
    assert!(shell.wait().unwrap().success());
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    for record in <[_; 2]>::from(told.connected(client, server.address)) {
        assert_eq!(record["process"]["pid"], shell.id(), "{record}");
        assert_eq!(record["process"]["comm"], "bash", "who connected: {record}");
    }
}

#[test]
fn a_program_that_got_its_socket_by_exec() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    // This process connects; cat has the socket for its input, and ends when the server does.
    let socket = tcp_for(server.address);
    assert_eq!(connect(&socket, server.address), Ok(()));
    let client = local(&socket);
    let mut cat = Command::new("cat").stdin(OwnedFd::from(socket)).spawn().unwrap();
    let (accepted, _) = server.listener.accept().unwrap();
    drop(accepted);
    assert!(cat.wait().unwrap().success());
    scene.wait_for_closes(2);
    let told = scene.end();
    told.assert_counts(1, 1, 2);
    for record in <[_; 2]>::from(told.connected(client, server.address)) {
        assert_caller(record);
    }
}

#[test]
fn a_child_closes_what_its_parent_connected() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let socket = tcp_for(server.address);
    assert_eq!(connect(&socket, server.address), Ok(()));
    let client = local(&socket);
    let (mut go, gone) = UnixStream::pair().unwrap();
    let child = forked(|| {
        (&gone).read_exact(&mut [0]).unwrap();
    });
    // The child is the last who has it.
    drop(socket);
    go.write_all(&[1]).unwrap();
    child.wait();
    server.serve();
    assert_connected_by(scene, client, server.address, process::id());
}

#[test]
fn a_child_connects_what_its_parent_made() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let socket = tcp_for(server.address);
    let (child, result) = called_in_child(|| connect(&socket, server.address));
    assert_eq!(result, Ok(()));
    let client = local(&socket);
    // The child is gone; the parent is the last who has it.
    drop(socket);
    server.serve();
    assert_connected_by(scene, client, server.address, child);
}

#[test]
fn a_child_fails_to_connect_what_its_parent_made() {
    let Some(scene) = Scene::set() else { return };
    let remote = "198.51.100.7:80".parse().unwrap();
    let socket = tcp_for(remote);
    let (child, result) = called_in_child(|| connect(&socket, remote));
    assert_eq!(result, Err(Errno::ENETUNREACH));
    assert_eq!(connect(&socket, remote), Err(Errno::ENETUNREACH));
    drop(socket);
    let told = scene.end();
    told.assert_counts(2, 0, 0);
    let connects = told.events();
    assert_eq!(connects[0]["process"]["pid"], child, "{}", connects[0]);
    assert_caller(connects[1]);
}

/// Gives a file descriptor away over a UNIX socket.
pub fn give(over: &UnixStream, socket: Socket) {
    let fds = [socket.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let data = [IoSlice::new(&[1])];
    let flags = MsgFlags::empty();
    nix::sys::socket::sendmsg::<()>(over.as_raw_fd(), &data, &rights, flags, None).unwrap();
    drop(socket);
}

/// Takes one.
pub fn take(over: &UnixStream) -> Socket {
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut byte = [0];
    let mut data = [IoSliceMut::new(&mut byte)];
    let flags = MsgFlags::empty();
    let message =
        nix::sys::socket::recvmsg::<()>(over.as_raw_fd(), &mut data, Some(&mut space), flags)
            .unwrap();
    let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else {
        panic!("no socket came");
    };
    crate::calls::adopt(fds[0])
}

#[test]
fn a_socket_that_was_given_away_is_connected() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let (here, there) = UnixStream::pair().unwrap();
    let child = forked(|| {
        assert_eq!(connect(take(&there), server.address), Ok(()));
    });
    let pid = child.pid();
    give(&here, tcp_for(server.address));
    child.wait();
    let client = server.serve();
    assert_connected_by(scene, client, server.address, pid);
}

#[test]
fn a_socket_that_was_given_away_is_closed() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let (here, there) = UnixStream::pair().unwrap();
    let child = forked(|| {
        let socket = take(&there);
        nix::unistd::write(there.as_fd(), &[1]).unwrap();
        (&there).read_exact(&mut [0]).unwrap();
        drop(socket);
    });
    let socket = tcp_for(server.address);
    assert_eq!(connect(&socket, server.address), Ok(()));
    let client = local(&socket);
    give(&here, socket);
    // The child has it, and nobody else.
    (&here).read_exact(&mut [0]).unwrap();
    (&here).write_all(&[1]).unwrap();
    child.wait();
    server.serve();
    assert_connected_by(scene, client, server.address, process::id());
}

#[test]
fn a_socket_whose_connecting_process_is_gone() {
    let Some(scene) = Scene::set() else { return };
    let server = Server::new();
    let (here, there) = UnixStream::pair().unwrap();
    let child = forked(|| {
        let socket = tcp_for(server.address);
        assert_eq!(connect(&socket, server.address), Ok(()));
        give(&there, socket);
    });
    let pid = child.pid();
    let socket = take(&here);
    child.wait();
    let client = local(&socket);
    drop(socket);
    server.serve();
    assert_connected_by(scene, client, server.address, pid);
}

/// The tracer sees the whole host, whatever namespace it is in itself.
#[test]
fn a_connection_in_another_network_namespace() {
    let Some(scene) = Scene::set() else { return };
    let there = || {
        nix::sched::unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip(&["link", "set", "lo", "up"]);
        let netns = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
        let mut pair = Pair::new();
        some_data(&mut pair);
        (netns, pair.ends(), nix::unistd::gettid().as_raw())
    };
    let (netns, ends, tid) = thread::spawn(there).join().unwrap();
    scene.tracer.wait_for_events(netns, "close", 2);
    let told = scene.end_with_elsewhere();
    told.assert_counts(0, 0, 0);
    let (client, server) = only_story(&told.log, netns, ends);
    assert_bytes(&client, 3, 5);
    assert_bytes(&server, 5, 3);
    for close in [client, server] {
        assert_eq!(close["process"]["pid"], process::id(), "{close}");
        assert_eq!(close["process"]["tid"], tid, "{close}");
    }
}
