//! Processes: the one that called, however short it lived.

#![allow(unsafe_code, reason = "fork")]

use std::fs;
use std::net::TcpListener;
use std::net::TcpStream;
use std::process;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use nix::unistd::ForkResult;
use nix::unistd::Pid;

use crate::can_trace;
use crate::namespace::Namespace;
use crate::namespace::v4;
use crate::tracer::Tracer;

/// A forked child.
pub struct Child {
    pid: Pid,
}

impl Child {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Waits until it has ended.
    pub fn wait(self) {
        let status = nix::sys::wait::waitpid(self.pid, None).expect("waitpid");
        assert_eq!(status, WaitStatus::Exited(self.pid, 0));
    }

    /// Waits until it has ended, and says whether it did so by itself.
    pub fn succeeds(self) -> bool {
        let status = nix::sys::wait::waitpid(self.pid, None).expect("waitpid");
        status == WaitStatus::Exited(self.pid, 0)
    }

    /// Kills it.
    pub fn kill(self) {
        nix::sys::signal::kill(self.pid, Signal::SIGKILL).expect("kill");
        nix::sys::wait::waitpid(self.pid, None).expect("waitpid");
    }
}

/// Runs `work` in a forked child, which exits then at once.
pub fn forked(work: impl FnOnce()) -> Child {
    // SAFETY: the child makes system calls and allocates, which glibc allows after a fork, and leaves
    // without running anything of the parent's.
    match unsafe { nix::unistd::fork() }.expect("fork") {
        ForkResult::Parent { child } => Child { pid: child },
        ForkResult::Child => {
            work();
            // SAFETY: ends the process.
            unsafe { nix::libc::_exit(0) }
        }
    }
}

/// Makes a call in a forked child. Returns its process id, and what the call returned.
pub fn called_in_child(call: impl FnOnce() -> Result<(), Errno>) -> (i32, Result<(), Errno>) {
    let child = forked(|| {
        let status = call().err().map_or(0, |errno| errno as i32);
        // SAFETY: ends the process.
        unsafe { nix::libc::_exit(status) }
    });
    let pid = child.pid();
    match nix::sys::wait::waitpid(child.pid, None).expect("waitpid") {
        WaitStatus::Exited(_, 0) => (pid, Ok(())),
        WaitStatus::Exited(_, errno) => (pid, Err(Errno::from_raw(errno))),
        status => panic!("{status:?}"),
    }
}

#[test]
fn a_process_that_is_gone_at_once_is_named() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let mut pids = Vec::new();
    for _ in 0..50 {
        let child = forked(|| {
            nix::sys::prctl::set_name(c"gone-at-once").unwrap();
            drop(TcpStream::connect(server));
            // And exits: the whole process lives for about a millisecond.
        });
        pids.push(child.pid());
        child.wait();
        drop(listener.accept().unwrap());
    }
    tracer.wait_for_events(namespace.netns, "close", 100);
    let log = tracer.stop();
    let parent = fs::read_to_string("/proc/self/comm").unwrap();
    for pid in pids {
        let of_child: Vec<_> = log
            .events(namespace.netns)
            .into_iter()
            .filter(|record| record["process"]["pid"] == pid)
            .collect();
        assert_eq!(of_child.len(), 2, "a connect and a close of {pid}");
        for record in of_child {
            assert_eq!(record["process"]["comm"], "gone-at-once");
            assert_eq!(record["process"]["ppid"], process::id());
            assert_eq!(record["process"]["parent_comm"], parent.trim_end());
            assert!(record["process"]["start"].is_string());
        }
    }
}

#[test]
fn an_exec_keeps_the_process_and_changes_the_name() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let port = listener.local_addr().unwrap().port();
    // bash connects, then becomes another bash, which connects again.
    let connect = format!("exec 3<>/dev/tcp/127.0.0.1/{port}; exec 3>&-");
    let mut shell = Command::new("bash")
        .args(["-c", &format!("{connect}; exec -a second bash -c '{connect}'")])
        .spawn()
        .unwrap();
    for _ in 0..2 {
        drop(listener.accept().unwrap());
    }
    assert!(shell.wait().unwrap().success());
    tracer.wait_for_events(namespace.netns, "close", 4);
    let log = tracer.stop();
    let connects = log.events_of(namespace.netns, "connect");
    assert_eq!(connects.len(), 2);
    for connect in &connects {
        assert_eq!(connect["process"]["pid"], shell.id());
        assert_eq!(connect["process"]["ppid"], process::id());
        assert_eq!(connect["process"]["id"], connects[0]["process"]["id"], "one process");
        assert_eq!(connect["process"]["start"], connects[0]["process"]["start"]);
    }
}

#[test]
fn hostile_names_stay_one_line_of_json() {
    if !can_trace() {
        return;
    }
    let namespace = Namespace::enter();
    let tracer = Tracer::start(&[]);
    let listener = TcpListener::bind(v4()).unwrap();
    let server = listener.local_addr().unwrap();
    let child = forked(|| {
        nix::sys::prctl::set_name(c"\"\\\n\x1b[31m\xff{}").unwrap();
        drop(TcpStream::connect(server));
    });
    child.wait();
    tracer.wait_for_events(namespace.netns, "connect", 1);
    let log = tracer.stop();
    let connect = log.events_of(namespace.netns, "connect")[0];
    assert_eq!(connect["process"]["comm"], "\"\\\n\u{1b}[31m\u{fffd}{}");
    assert_eq!(connect["process"]["comm_hex"], "225c0a1b5b33316dff7b7d");
}
