//! What runs in the guest: a user with two capabilities, on a kernel as Debian sets it.

use std::fs;
use std::io::Read as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::sync::mpsc;
use std::thread;

use nix::libc;

use crate::log::Log;
use crate::namespace::v4;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::sight::checked;
use crate::sight::sees_everything;
use crate::sight::wait_for;
use crate::who::Who;

/// Both ladders are on a rung of this kind.
fn assert_hooks(log: &Log, kind: &str) {
    let hooks = &log.records[0]["hooks"];
    for hook in ["accept", "connect"] {
        assert!(hooks[hook].as_str().is_some_and(|name| name.starts_with(kind)), "{hooks}");
    }
}

#[test]
#[ignore = "runs in the guest"]
fn all_but_root_see_by_functions() {
    let paranoid = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap();
    assert_eq!(paranoid, "3\n", "Debian's default");
    let scene = Scene::set().expect("root");
    for who in Who::ALL {
        let kind = if who == Who::Root { "tracepoint/syscalls/" } else { "fexit/__x64_sys_" };
        assert_hooks(&sees_everything(&scene, who), kind);
    }
}

/// The one accept that functions do not show: it began before they were attached. Nothing announces it, so reads and
/// writes are not followed yet, even where they can be.
#[test]
#[ignore = "runs in the guest"]
fn who_was_waiting_is_told_at_the_close() {
    let scene = Scene::set().expect("root");
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let (tell, thread) = mpsc::channel();
    let waiting = thread::spawn(move || {
        tell.send(nix::unistd::gettid()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        stream.read_exact(&mut [0]).unwrap();
    });
    let call = format!("/proc/self/task/{}/syscall", thread.recv().unwrap());
    let accept = format!("{} ", libc::SYS_accept4);
    wait_until("a thread in accept4", || {
        fs::read_to_string(&call).is_ok_and(|text| text.starts_with(&accept))
    });

    let path = scene.path("log");
    let running = Who::User.start(&scene, &["-o", &format!("file:{}", path.display())]);
    let mut client = TcpStream::connect(server).unwrap();
    client.write_all(b"!").unwrap();
    waiting.join().unwrap();
    drop(client);
    wait_for(&path, "close", 2);
    let log = checked(running, &path);
    assert_hooks(&log, "fexit/__x64_sys_");
    let accepts: Vec<_> = log.of_kind("accept").collect();
    assert_eq!(accepts.len(), 1, "{accepts:#?}");
    assert_eq!(accepts[0]["process"]["pid"], process::id());
    assert_eq!(accepts[0]["attributed_to"], "listener");
}
