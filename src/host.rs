//! What identifies this host, this boot and this run in the record.

use std::fs;
use std::io::Read as _;

use anyhow::Context as _;
use nix::unistd::SysconfVar;
use nix::unistd::sysconf;

/// Names of host, boot and run.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The host's name at start.
    pub host: String,
    /// /etc/machine-id, if there is one.
    pub host_id: Option<String>,
    /// The kernel's random id of this boot, 32 hexadecimal digits.
    pub boot_id: String,
    /// Random, 16 hexadecimal digits: distinguishes this run from every other one.
    pub run: String,
    /// The kernel's release.
    pub kernel: String,
}

impl Identity {
    /// Reads them from the system.
    ///
    /// # Errors
    /// If /proc or /dev are not there.
    pub fn read() -> anyhow::Result<Self> {
        let uname = rustix::system::uname();
        Ok(Self {
            host: uname.nodename().to_string_lossy().into_owned(),
            host_id: fs::read_to_string("/etc/machine-id")
                .ok()
                .map(|id| id.trim().to_owned())
                .filter(|id| is_id(id)),
            boot_id: boot_id().context("cannot read the id of this boot")?,
            run: random_id().context("cannot make an id for this run")?,
            kernel: uname.release().to_string_lossy().into_owned(),
        })
    }

    /// The first eight digits of the boot id: with a socket's cookie or a process's start they name it
    /// once and for all on this host.
    #[must_use]
    pub fn short_boot_id(&self) -> &str {
        self.boot_id.get(..8).unwrap_or(&self.boot_id)
    }
}

/// The CPUs that are running; 1 if the system does not say.
#[must_use]
pub fn online_cpus() -> u32 {
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1)
}

/// One more than the highest number that a CPU of this host can ever have. They need not follow each other.
///
/// # Errors
/// If the system does not say.
pub fn cpu_numbers() -> anyhow::Result<usize> {
    let path = "/sys/devices/system/cpu/possible";
    let ranges = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    after_last(&ranges).with_context(|| format!("{path} does not hold numbers of CPUs"))
}

/// What follows the end of a list as 0-3,8-11.
fn after_last(ranges: &str) -> Option<usize> {
    let last = ranges.trim_end().rsplit([',', '-']).next()?;
    last.parse::<usize>().ok()?.checked_add(1)
}

fn boot_id() -> anyhow::Result<String> {
    let path = "/proc/sys/kernel/random/boot_id";
    let id: String = fs::read_to_string(path)
        .with_context(|| format!("cannot read {path}"))?
        .chars()
        .filter(char::is_ascii_hexdigit)
        .collect();
    anyhow::ensure!(id.len() == 32, "{path} does not hold an id");
    Ok(id)
}

fn random_id() -> anyhow::Result<String> {
    let mut bytes = [0; 8];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_be_bytes(bytes)))
}

/// As machine-id(5) has it: 32 lower-case hexadecimal digits.
pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_cpu_counts() {
        for (ranges, numbers) in [("0\n", 1), ("0-1\n", 2), ("0-3,8-11\n", 12), ("0,2,5\n", 6)] {
            assert_eq!(after_last(ranges), Some(numbers), "{ranges}");
        }
        assert_eq!(after_last("\n"), None);
        assert!(cpu_numbers().is_ok_and(|numbers| numbers >= online_cpus() as usize));
    }
}
