//! What a process takes, and whether that is flat.

use std::fs;

/// Memory may grow by so much after the warm-up, KiB. The table of processes alone is allowed to: two generations
/// of 8,192, which fill as processes come, each about 100 bytes, in tables that double (3 MiB when full); the
/// allocator's own fragments make up the rest. What leaks with each event has long passed it: a byte for each of
/// 40,000 events a second is 4 MiB after two minutes.
pub const GROWTH_KIB: u64 = 4 * 1024;

/// The most that it may take at any time, KiB: what the project promises for 10,000 processes.
pub const PEAK_KIB: u64 = 24 * 1024;

/// Fewer samples tell nothing.
const ENOUGH: usize = 16;

/// Anonymous memory of a process now, KiB; `None` if it is gone.
pub fn rss_anon_kib(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What was found out about a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Median of the first quarter after the warm-up, KiB.
    pub first: u64,
    /// Median of the last quarter, KiB.
    pub last: u64,
    /// The most at any time, KiB.
    pub peak: u64,
}

impl Verdict {
    /// Judges samples taken at even intervals. The first quarter of them is the warm-up. `None` if there are too
    /// few.
    #[must_use]
    pub fn of(samples: &[u64]) -> Option<Self> {
        if samples.len() < ENOUGH {
            return None;
        }
        let warm = &samples[samples.len() / 4..];
        let quarter = warm.len() / 4;
        Some(Self {
            first: median(&warm[..quarter]),
            last: median(&warm[warm.len() - quarter..]),
            peak: samples.iter().copied().max().unwrap_or(0),
        })
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub fn complaint(self) -> Option<String> {
        let Self { first, last, peak } = self;
        if last > first + GROWTH_KIB {
            return Some(format!(
                "memory grows: from {first} to {last} KiB, which is more than {GROWTH_KIB}"
            ));
        }
        (peak > PEAK_KIB).then(|| format!("memory: {peak} KiB, which is more than {PEAK_KIB}"))
    }
}

fn median(samples: &[u64]) -> u64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable();
    sorted[sorted.len() / 2]
}
