//! Cgroups of a test's own, and programs that refuse there what a process asks for.

#![allow(unsafe_code, reason = "the bpf system call")]

use std::fs;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process;
use std::ptr;

use libbpf_rs::libbpf_sys;

/// An empty cgroup of the unified hierarchy. It goes with this value; by then whoever entered must have ended.
pub struct Cgroup {
    path: PathBuf,
}

impl Cgroup {
    /// Makes one below the hierarchy's root.
    pub fn new(name: &str) -> Self {
        let path = unified().join(format!("connledger-{name}-{}", process::id()));
        fs::create_dir(&path).expect("a cgroup");
        Self { path }
    }

    /// Moves the calling process into it.
    pub fn enter(&self) {
        fs::write(self.path.join("cgroup.procs"), "0").expect("cgroup.procs");
    }

    /// Attaches a program that refuses: of the type of BPF_CGROUP_INET4_CONNECT and its like.
    pub fn refuse(&self, attach_type: libbpf_sys::bpf_attach_type) {
        // r0 = 0; exit
        let instruction = |code| libbpf_sys::bpf_insn { code, ..Default::default() };
        let program = [instruction(0xb7), instruction(0x95)];
        let options = libbpf_sys::bpf_prog_load_opts {
            sz: size_of::<libbpf_sys::bpf_prog_load_opts>() as u64,
            expected_attach_type: attach_type,
            ..Default::default()
        };
        // SAFETY: all of it lives through the call.
        let fd = unsafe {
            libbpf_sys::bpf_prog_load(
                libbpf_sys::BPF_PROG_TYPE_CGROUP_SOCK_ADDR,
                ptr::null(),
                c"GPL".as_ptr(),
                program.as_ptr(),
                program.len() as u64,
                (&raw const options).cast_mut(),
            )
        };
        assert!(fd >= 0, "load: {fd}");
        // SAFETY: it is a new file descriptor of ours.
        let program = unsafe { OwnedFd::from_raw_fd(fd) };
        let cgroup = File::open(&self.path).unwrap();
        // SAFETY: both are open. The cgroup keeps the program for as long as it lives.
        let result = unsafe {
            libbpf_sys::bpf_prog_attach(program.as_raw_fd(), cgroup.as_raw_fd(), attach_type, 0)
        };
        assert_eq!(result, 0, "attach");
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fs::remove_dir(&self.path).expect("an empty cgroup");
    }
}

/// Where the unified hierarchy is mounted.
fn unified() -> PathBuf {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    let mount = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let mount = mount.into_iter().find(|fields| fields[2] == "cgroup2").expect("cgroup2");
    mount[1].into()
}
