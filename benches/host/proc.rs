//! What /proc tells of a running process.

use std::fs;

use anyhow::Context as _;

/// Ticks a second in /proc/PID/stat: USER_HZ, which is 100 on every architecture that we build for.
const TICKS_A_SECOND: f64 = 100.0;

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// CPU time of all its threads that live, in ns: exact.
    pub cpu_ns: u64,
    /// CPU time in its own code, in s: the kernel divides the whole by what it saw at its ticks.
    pub user_s: f64,
    /// CPU time in the kernel on its behalf, in s.
    pub system_s: f64,
    /// Times that one of its threads went to sleep.
    pub slept: u64,
    /// Times that one was interrupted for another.
    pub preempted: u64,
}

impl Usage {
    /// What process `pid` has used.
    pub fn of(pid: u32) -> anyhow::Result<Self> {
        let mut usage = Self::default();
        (usage.user_s, usage.system_s) =
            cpu_times(&read(&format!("/proc/{pid}/stat"))?).context("/proc/PID/stat")?;
        for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
            let thread = thread?.path();
            let thread = thread.display();
            let Ok(status) = read(&format!("{thread}/status")) else { continue };
            usage.slept += field(&status, "voluntary_ctxt_switches").unwrap_or(0);
            usage.preempted += field(&status, "nonvoluntary_ctxt_switches").unwrap_or(0);
            let run_time = read(&format!("{thread}/schedstat"))?;
            usage.cpu_ns +=
                run_time.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(usage)
    }

    /// What was used since `before`.
    pub fn since(&self, before: &Self) -> Self {
        Self {
            cpu_ns: self.cpu_ns.saturating_sub(before.cpu_ns),
            user_s: self.user_s - before.user_s,
            system_s: self.system_s - before.system_s,
            slept: self.slept.saturating_sub(before.slept),
            preempted: self.preempted.saturating_sub(before.preempted),
        }
    }

    /// CPU time in its own code, in ns: the exact whole, divided as the kernel divides it.
    pub fn user_ns(&self) -> f64 {
        let whole = self.user_s + self.system_s;
        if whole > 0.0 { self.cpu_ns as f64 * self.user_s / whole } else { 0.0 }
    }
}

/// CPU time of those threads of this process whose names begin so, in ns: exact.
pub fn cpu_ns_of_threads(prefix: &str) -> anyhow::Result<u64> {
    let mut cpu_ns = 0;
    for thread in fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        // One that has ended in the meantime counts no more.
        let Ok(name) = fs::read_to_string(thread.join("comm")) else { continue };
        let Ok(run_time) = fs::read_to_string(thread.join("schedstat")) else { continue };
        if name.starts_with(prefix) {
            cpu_ns += run_time.split(' ').next().and_then(|ns| ns.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(cpu_ns)
}

/// Anonymous memory of a process, in KiB: what it has allocated. What it maps, as its program and the ring,
/// is not in it.
pub fn anonymous_kib(pid: u32) -> anyhow::Result<u64> {
    field(&read(&format!("/proc/{pid}/status"))?, "RssAnon").context("no RssAnon")
}

/// What the descriptors of a process are, as the kernel names them: `anon_inode:bpf-prog`, `socket:[4711]`, ….
pub fn descriptors(pid: u32) -> Vec<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .map(|target| target.to_string_lossy().into_owned())
        .collect()
}

/// The ids of the BPF programs that a process holds, by themselves or by a link.
pub fn programs(pid: u32) -> anyhow::Result<Vec<u32>> {
    let mut ids: Vec<u32> = fs::read_dir(format!("/proc/{pid}/fdinfo"))?
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter_map(|info| field(&info, "prog_id"))
        .filter_map(|id| u32::try_from(id).ok())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

fn read(path: &str) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.to_owned())
}

/// The number of a field, as in `RssAnon:     1234 kB`.
pub fn field(text: &str, name: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?
        .split_whitespace()
        .next()?
        .parse()
        .ok()
}

/// The times in user and kernel mode, in s. The name before them may hold anything, also `)`.
fn cpu_times(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11).map(str::parse::<f64>);
    let (user, system) = (fields.next()?.ok()?, fields.next()?.ok()?);
    Some((user / TICKS_A_SECOND, system / TICKS_A_SECOND))
}
