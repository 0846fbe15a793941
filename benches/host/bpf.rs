//! What the kernel tells of BPF programs: how often each ran, and for how long. It counts only while somebody
//! asks for it, and takes some time of each run for that; a program that does nothing shows how much.

#![allow(unsafe_code, reason = "libbpf has no other interface to these calls")]

use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::FromRawFd as _;
use std::os::fd::OwnedFd;

use libbpf_rs::Btf;
use libbpf_rs::btf::TypeId;
use libbpf_rs::btf::types::Func;
use libbpf_rs::libbpf_sys;
use libbpf_rs::query::ProgInfoIter;
use libbpf_rs::query::ProgInfoQueryOptions;
use libbpf_rs::query::ProgramInfo;

/// The kernel counts as long as this is there, whatever `kernel.bpf_stats_enabled` says. It goes with the
/// process, however that ends: there is nothing to put back.
#[derive(Debug)]
pub struct Counting {
    _asked: OwnedFd,
}

impl Counting {
    /// Asks the kernel to count.
    pub fn begin() -> io::Result<Self> {
        // SAFETY: the call takes a number, and gives a descriptor or an error.
        let asked = owned(unsafe { libbpf_sys::bpf_enable_stats(libbpf_sys::BPF_STATS_RUN_TIME) })?;
        Ok(Self { _asked: asked })
    }
}

/// What a program has done since it was loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// As its author called it.
    pub name: String,
    /// How often it ran.
    pub runs: u64,
    /// For how long, in ns.
    pub time_ns: u64,
}

/// What programs did between two looks at them.
pub fn since(before: &[Program], after: &[Program]) -> Vec<Program> {
    before
        .iter()
        .zip(after)
        .map(|(before, after)| Program {
            name: after.name.clone(),
            runs: after.runs - before.runs,
            time_ns: after.time_ns - before.time_ns,
        })
        .collect()
}

/// The programs with these ids, in the order in which they were loaded.
pub fn programs(ids: &[u32]) -> Vec<Program> {
    ProgInfoIter::with_query_opts(ProgInfoQueryOptions::default().include_func_info(true))
        .filter(|program| ids.contains(&program.id))
        .map(|program| Program {
            name: full_name(&program)
                .unwrap_or_else(|| program.name.to_string_lossy().into_owned()),
            runs: program.run_cnt,
            time_ns: program.run_time_ns,
        })
        .collect()
}

/// The name of the program's function, from its type information: the kernel keeps but 15 bytes by itself.
fn full_name(program: &ProgramInfo) -> Option<String> {
    let function = TypeId::from(program.func_info.first()?.type_id);
    let types = Btf::from_prog_id(program.id).ok()?;
    let name = types.type_by_id::<Func<'_>>(function)?.name()?.to_string_lossy().into_owned();
    Some(name)
}

/// A program that does nothing, at each change of a socket's state.
#[derive(Debug)]
pub struct Nothing {
    program: OwnedFd,
    _link: OwnedFd,
}

impl Nothing {
    /// Loads and attaches it.
    pub fn attach() -> io::Result<Self> {
        // r0 = 0; exit
        let mut instructions = [libbpf_sys::bpf_insn::default(); 2];
        instructions[0].code = 0xb7;
        instructions[1].code = 0x95;
        // SAFETY: the strings end with NUL, there are as many instructions as is said, and no options.
        let program = owned(unsafe {
            libbpf_sys::bpf_prog_load(
                libbpf_sys::BPF_PROG_TYPE_RAW_TRACEPOINT,
                c"nothing".as_ptr(),
                c"GPL".as_ptr(),
                instructions.as_ptr(),
                instructions.len() as libbpf_sys::size_t,
                std::ptr::null_mut(),
            )
        })?;
        // SAFETY: the name ends with NUL, and the program is loaded.
        let link = owned(unsafe {
            libbpf_sys::bpf_raw_tracepoint_open(
                c"inet_sock_set_state".as_ptr(),
                program.as_raw_fd(),
            )
        })?;
        Ok(Self { program, _link: link })
    }

    /// What it has done.
    pub fn done(&self) -> Option<Program> {
        let info =
            std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.program.as_raw_fd()));
        let id = crate::proc::field(&info.ok()?, "prog_id")?;
        programs(&[u32::try_from(id).ok()?]).pop()
    }
}

/// The descriptor that a call gave, or the error.
fn owned(result: i32) -> io::Result<OwnedFd> {
    if result < 0 {
        return Err(io::Error::from_raw_os_error(-result));
    }
    // SAFETY: the call has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(result) })
}
