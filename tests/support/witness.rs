//! A witness for what a tracer cannot see. There are kernels that run no BPF program while certain tasks are the
//! current one, and count no miss either (the guests of some clouds hide a supervisor of theirs so); what a
//! softirq does that interrupts such a task is seen by nobody. The kernel's own tracing sees it.

#![allow(unsafe_code, reason = "a program of six instructions")]

use std::fs;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;
use std::os::fd::RawFd;
use std::thread;
use std::time::Duration;

use libbpf_rs::libbpf_sys;
use perf_event::Builder;
use perf_event::Counter;
use perf_event::events::Tracepoint;

use crate::tracefs::Tracefs;

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(50);

/// Counts the changes of state of all sockets, in two ways.
struct Witness {
    /// By the kernel's own tracing, one a CPU.
    counters: Vec<Counter>,
    /// By a program that counts its runs in a map of one number.
    program: OwnedFd,
    runs: OwnedFd,
    _attached: OwnedFd,
}

impl Witness {
    fn new() -> Self {
        let runs = map_of_one_number();
        let program = counting_program(&runs);
        // SAFETY: a terminated name, and a program's descriptor.
        let attached = owned(unsafe {
            libbpf_sys::bpf_raw_tracepoint_open(
                c"inet_sock_set_state".as_ptr(),
                program.as_raw_fd(),
            )
        });
        let id = Tracefs::open().id("sock/inet_sock_set_state");
        let counters = (0..libbpf_rs::num_possible_cpus().unwrap())
            .filter_map(|cpu| {
                let mut builder = Builder::new(Tracepoint::with_id(id));
                // A CPU that is possible need not be there.
                let mut counter = builder.any_pid().one_cpu(cpu).include_kernel().build().ok()?;
                counter.enable().unwrap();
                Some(counter)
            })
            .collect();
        Self { counters, program, runs, _attached: attached }
    }

    /// How many more the kernel has seen than programs had a chance to.
    fn hidden(&mut self) -> i64 {
        loop {
            let seen = self.seen();
            let shown = self.shown();
            // Otherwise there were some in between.
            if seen == self.seen() {
                return i64::try_from(seen).unwrap() - i64::try_from(shown).unwrap();
            }
        }
    }

    fn seen(&mut self) -> u64 {
        self.counters.iter_mut().map(|counter| counter.read().unwrap()).sum()
    }

    fn shown(&self) -> u64 {
        let (key, mut runs) = (0_u32, 0_u64);
        // SAFETY: the map's key and value are of these types.
        let failed = unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.runs.as_raw_fd(),
                (&raw const key).cast(),
                (&raw mut runs).cast(),
            )
        };
        assert_eq!(failed, 0);
        let info = format!("/proc/self/fdinfo/{}", self.program.as_raw_fd());
        let info = fs::read_to_string(info).unwrap();
        let misses = info.lines().find_map(|line| line.strip_prefix("recursion_misses:")).unwrap();
        runs + misses.trim().parse::<u64>().unwrap()
    }
}

fn owned(fd: RawFd) -> OwnedFd {
    assert!(fd >= 0, "{}", std::io::Error::from_raw_os_error(-fd));
    // SAFETY: the kernel has just made it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

fn map_of_one_number() -> OwnedFd {
    let array = libbpf_sys::BPF_MAP_TYPE_ARRAY;
    // SAFETY: no name, no options.
    owned(unsafe { libbpf_sys::bpf_map_create(array, std::ptr::null(), 4, 8, 1, std::ptr::null()) })
}

fn counting_program(number: &OwnedFd) -> OwnedFd {
    let instruction = |code: u32, dst: u8, src: u8, imm: i32| {
        let mut instruction = libbpf_sys::bpf_insn { imm, ..Default::default() };
        instruction.code = u8::try_from(code).unwrap();
        instruction.set_dst_reg(dst);
        instruction.set_src_reg(src);
        instruction
    };
    let value_of_map = u8::try_from(libbpf_sys::BPF_PSEUDO_MAP_VALUE).unwrap();
    let code = [
        // r1 = &number; in two halves
        instruction(0x18, 1, value_of_map, number.as_raw_fd()),
        instruction(0, 0, 0, 0),
        // r2 = 1
        instruction(0xb7, 2, 0, 1),
        // lock *r1 += r2
        instruction(0xdb, 1, 2, 0),
        // return 0
        instruction(0xb7, 0, 0, 0),
        instruction(0x95, 0, 0, 0),
    ];
    let kind = libbpf_sys::BPF_PROG_TYPE_RAW_TRACEPOINT;
    // SAFETY: so many instructions, no name, a terminated licence, no options.
    owned(unsafe {
        libbpf_sys::bpf_prog_load(
            kind,
            std::ptr::null(),
            c"GPL".as_ptr(),
            code.as_ptr(),
            code.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    })
}

/// Writes how many there were to the file that `CONNLEDGER_HIDDEN` names, at each look, until it or its parent is
/// ended. The file's age tells what the number does not cover yet.
#[test]
#[ignore = "run beside the others by scripts/run-tests.sh"]
fn watch() {
    let path = std::env::var("CONNLEDGER_HIDDEN").unwrap();
    let mut witness = Witness::new();
    // What happened while it was made.
    let before = witness.hidden();
    let parent = nix::unistd::getppid();
    // Who ended without ending this is not to be outlived.
    while nix::unistd::getppid() == parent {
        let hidden = witness.hidden() - before;
        // All of it or nothing: somebody may read meanwhile.
        fs::write(format!("{path}.new"), hidden.to_string()).unwrap();
        fs::rename(format!("{path}.new"), &path).unwrap();
        thread::sleep(INTERVAL);
    }
}
