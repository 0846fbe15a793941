//! --netns: two namespaces, by number, path and name.

use std::fs;
use std::fs::File;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::process;
use std::sync::mpsc;
use std::thread;

use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use super::calls::filtered;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::ip;
use crate::namespace::v4;
use crate::tracer::Tracer;

/// What `ip netns` calls the other namespace.
const NAME: &str = "connledger-other";

fn one_call() {
    let listener = TcpListener::bind(v4()).unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    drop((listener.accept().unwrap(), stream));
}

/// One call in the test's namespace and one in another: are they told? `list` makes the list from the
/// other one's number, and a path of it.
fn check(list: impl FnOnce(u64, &str) -> String, ours_told: bool, other_told: bool) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    // The name is known to this thread and its children only.
    nix::sched::unshare(CloneFlags::CLONE_NEWNS).unwrap();
    nix::mount::mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_REC | MsFlags::MS_PRIVATE,
        None::<&str>,
    )
    .unwrap();
    nix::mount::mount(Some("none"), "/run", Some("tmpfs"), MsFlags::empty(), None::<&str>).unwrap();
    ip(&["netns", "add", NAME]);
    let other = File::open(format!("/run/netns/{NAME}")).unwrap();
    let number = other.metadata().unwrap().ino();
    let (go, gone) = mpsc::channel();
    let (path, paths) = mpsc::channel();
    let there = thread::spawn(move || {
        nix::sched::setns(other, CloneFlags::CLONE_NEWNET).unwrap();
        ip(&["link", "set", "lo", "up"]);
        path.send(format!("/proc/{}/task/{}/ns/net", process::id(), nix::unistd::gettid()))
            .unwrap();
        gone.recv().unwrap();
        one_call();
    });
    let path = paths.recv().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), number);

    let list = list(number, &path);
    let tracer = Tracer::start(&["--netns", &list]);
    go.send(()).unwrap();
    there.join().unwrap();
    one_call();
    for (netns, told) in [(namespace.netns, ours_told), (number, other_told)] {
        if told {
            tracer.wait_for_events(netns, "close", 2);
        }
    }
    let log = tracer.stop();
    for (netns, told) in [(namespace.netns, ours_told), (number, other_told)] {
        assert_eq!(log.events(netns).len(), if told { 4 } else { 0 }, "{netns} under {list}");
    }
    assert!(filtered(&log) >= if ours_told && other_told { 0 } else { 4 });
}

fn own() -> u64 {
    fs::metadata("/proc/thread-self/ns/net").unwrap().ino()
}

#[test]
fn netns_included() {
    check(|number, _| number.to_string(), false, true);
    check(|_, path| path.to_owned(), false, true);
    check(|_, _| NAME.to_owned(), false, true);
    check(|_, _| format!("/run/netns/{NAME},{}", own()), true, true);
}

#[test]
fn netns_excluded() {
    check(|number, _| format!("!{number}"), true, false);
    check(|_, path| format!("!{path}"), true, false);
    check(|number, _| format!("{number},{},!{NAME}", own()), true, false);
    check(|_, _| "!1".to_owned(), true, true);
}
