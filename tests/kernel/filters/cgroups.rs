//! --cgroup: a group and what is below it.

use std::fs;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process;

use super::calls::filtered;
use super::calls::wait_until_all_have_ended;
use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::processes::Child;
use crate::processes::forked;
use crate::tracer::Tracer;

/// A group of the version 2 hierarchy, and one below it; gone at the end.
struct Groups {
    mount: PathBuf,
    outer: PathBuf,
    inner: PathBuf,
}

impl Groups {
    fn make() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.contains(" - cgroup2 "))
            .and_then(|line| line.split(' ').nth(4))
            .expect("a cgroup2 file system");
        let outer = Path::new(mount).join(format!("connledger-test-{}", process::id()));
        let inner = outer.join("below");
        fs::create_dir_all(&inner).unwrap();
        Self { mount: mount.into(), outer, inner }
    }

    /// As connledger takes it: below the mount.
    fn name(&self, group: &Path) -> String {
        format!("/{}", group.strip_prefix(&self.mount).unwrap().display())
    }
}

impl Drop for Groups {
    fn drop(&mut self) {
        for group in [&self.inner, &self.outer] {
            // After a failed test a child may still be there; it ends soon.
            if let Err(err) = fs::remove_dir(group) {
                eprintln!("{}: {err}", group.display());
            }
        }
    }
}

fn enter(child: &Child, group: &Path) {
    fs::write(group.join("cgroup.procs"), child.pid().to_string()).unwrap();
}

/// Calls of a child in the group, of one below it, and of one elsewhere: which are told? This process, which
/// answers, is elsewhere, too.
fn check(
    list: impl FnOnce(&Groups) -> String,
    outer_told: bool,
    inner_told: bool,
    rest_told: bool,
) {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let groups = Groups::make();
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let client = |group: Option<&Path>| {
        let (go, gone) = nix::unistd::pipe().unwrap();
        let child = forked(|| {
            nix::unistd::read(&go, &mut [0]).unwrap();
            drop(TcpStream::connect(server));
        });
        if let Some(group) = group {
            enter(&child, group);
        }
        (child, gone)
    };
    let clients = [client(Some(&groups.outer)), client(Some(&groups.inner)), client(None)];
    let pids: Vec<i32> = clients.iter().map(|(child, _)| child.pid()).collect();
    let list = list(&groups);
    let tracer = Tracer::start(&["--cgroup", &list]);
    for (child, gone) in clients {
        nix::unistd::write(&gone, &[1]).unwrap();
        drop(listener.accept().unwrap());
        child.wait();
    }
    let told = [outer_told, inner_told, rest_told].map(|told| if told { 2 } else { 0 });
    let ours = if rest_told { 6 } else { 0 };
    let sum = told.iter().sum::<usize>() + ours;
    if sum != 0 {
        tracer.wait_for_events(namespace.netns, "close", sum / 2);
    }
    wait_until_all_have_ended();
    let log = tracer.stop();
    let events = log.events(namespace.netns);
    for ((pid, told), who) in pids.iter().zip(told).zip(["in it", "below it", "elsewhere"]) {
        let count = events.iter().filter(|record| record["process"]["pid"] == *pid).count();
        assert_eq!(count, told, "{who} under {list}");
    }
    assert_eq!(events.len(), sum, "under {list}");
    assert!(filtered(&log) >= 12 - sum as u64);
}

#[test]
fn cgroup_included() {
    check(|groups| groups.name(&groups.outer), true, true, false);
    check(|groups| groups.name(&groups.inner), false, true, false);
}

#[test]
fn cgroup_excluded() {
    check(|groups| format!("!{}", groups.name(&groups.outer)), false, false, true);
    check(|groups| format!("!{}", groups.name(&groups.inner)), true, false, true);
}

#[test]
fn a_cgroup_has_several_paths() {
    check(|groups| groups.outer.display().to_string(), true, true, false);
    check(
        |groups| groups.name(&groups.inner).trim_start_matches('/').to_owned(),
        false,
        true,
        false,
    );
    check(|_| "/".to_owned(), true, true, true);
}

#[test]
fn an_exclusion_outweighs_an_inclusion_around_it_and_below_it() {
    let names = |groups: &Groups| (groups.name(&groups.outer), groups.name(&groups.inner));
    check(
        |groups| {
            let (outer, inner) = names(groups);
            format!("{outer},!{inner}")
        },
        true,
        false,
        false,
    );
    check(
        |groups| {
            let (outer, inner) = names(groups);
            format!("!{outer},{inner}")
        },
        false,
        false,
        false,
    );
}

#[test]
fn the_close_follows_although_the_process_has_moved() {
    for (excluded, told) in [("", 2), ("!", 0)] {
        if !can_trace() {
            return;
        }
        let namespace = Namespace::enter();
        let groups = Groups::make();
        let listener = TcpListener::bind(v4()).unwrap();
        let server = listener.local_addr().unwrap();
        let (go, gone) = nix::unistd::pipe().unwrap();
        let child = forked(|| {
            nix::unistd::read(&go, &mut [0]).unwrap();
            let stream = TcpStream::connect(server).unwrap();
            nix::unistd::read(&go, &mut [0]).unwrap();
            drop(stream);
        });
        let pid = child.pid();
        enter(&child, &groups.inner);
        let list = format!("{excluded}{}", groups.name(&groups.inner));
        let tracer = Tracer::start(&["--cgroup", &list]);
        nix::unistd::write(&gone, &[1]).unwrap();
        let accepted = listener.accept().unwrap();
        enter(&child, &groups.outer);
        nix::unistd::write(&gone, &[1]).unwrap();
        child.wait();
        drop(accepted);
        // Whoever is told has closed: the child where it is included, this process where it is not.
        tracer.wait_for_events(namespace.netns, "close", 1);
        let log = tracer.stop();
        let events = log.events(namespace.netns);
        let of_child = events.iter().filter(|record| record["process"]["pid"] == pid).count();
        assert_eq!((of_child, events.len()), (told, 2), "under {list}");
    }
}
