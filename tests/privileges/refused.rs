//! Where perf_event_open(2) is refused, as Debian's kernels do it, the kernel's functions are traced instead; and where
//! that cannot be either, both reasons are told.

#![allow(unsafe_code, reason = "a filter of system calls, set between fork and exec")]

use std::io;
use std::net::TcpListener;
use std::net::TcpStream;
use std::os::unix::process::CommandExt as _;
use std::process;

use nix::libc;

use crate::log::Log;
use crate::namespace::v4;
use crate::scene::Running;
use crate::scene::Scene;
use crate::scene::wait_until;
use crate::who::Who;

/// The calling process, and what it becomes, gets EACCES from perf_event_open(2).
fn refuse_events() -> io::Result<()> {
    let errno = libc::SECCOMP_RET_ERRNO | libc::EACCES.cast_unsigned();
    let call = u32::try_from(libc::SYS_perf_event_open).unwrap();
    // The number of the system call; if it is this one, the error; otherwise go on.
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let jump = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let end = libc::BPF_RET | libc::BPF_K;
    let step =
        |code, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt, jf, k };
    let mut filter = [
        step(load, 0, 0, 0),
        step(jump, 0, 1, call),
        step(end, 0, 0, errno),
        step(end, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives until the call returns.
    let result = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program, 0, 0)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn the_kernels_functions_are_traced_or_both_reasons_told() {
    let Some(scene) = Scene::set() else { return };
    for who in Who::ALL {
        let path = scene.path(&format!("{who:?}"));
        let output = format!("file:{}", path.display());
        let mut command = who.command(&scene, &["-o", &output]);
        // SAFETY: it makes one system call, and allocates nothing.
        unsafe { command.pre_exec(refuse_events) };
        let mut running = Running::spawn(&mut command);
        let is_ready = |running: &Running| running.times_said("tracing; Ctrl-C stops") > 0;
        wait_until("it traces or ends", || {
            is_ready(&running) || running.said().contains("cannot learn who accepts")
        });
        if !is_ready(&running) {
            assert_eq!(running.wait().code(), Some(1));
            let said = running.said();
            for reason in
                ["tracepoint/syscalls/sys_exit_accept: ", "perf_event_open(2)", "fexit/__"]
            {
                assert!(said.contains(reason), "{who:?}: {said}");
            }
            continue;
        }
        let listener = TcpListener::bind(v4()).unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        drop((listener.accept().unwrap(), client));
        let log = || std::fs::read_to_string(&path).unwrap();
        wait_until("both ends", || log().matches("\"event\":\"close\"").count() == 2);
        running.stop();
        let log = Log::read(&path);
        log.check(&output);
        for hook in ["accept", "connect"] {
            let name = log.records[0]["hooks"][hook].as_str().unwrap();
            assert!(name.starts_with("fexit/__"), "{name}");
        }
        let accepts: Vec<_> = log.of_kind("accept").collect();
        assert_eq!(accepts.len(), 1);
        assert_eq!(accepts[0]["attributed_to"], "accept");
        assert_eq!(accepts[0]["process"]["pid"], process::id());
    }
}
