//! What must be there before anything is loaded, said in the words of who has to provide it.

use std::env;
use std::path::Path;

use anyhow::Context as _;
use anyhow::bail;
use rustix::thread::CapabilitySet;

/// Below it, socket storage, socket cookies and cgroup ids are missing in tracing programs.
const OLDEST_KERNEL: (u32, u32) = (5, 12);

const KERNEL_BTF: &str = "/sys/kernel/btf/vmlinux";

/// Checks the kernel's version, its type information, and this process's capabilities.
///
/// # Errors
/// Names the first that is missing, and what to do.
pub fn check() -> anyhow::Result<()> {
    let uname = rustix::system::uname();
    check_version(&uname.release().to_string_lossy())?;
    if !Path::new(KERNEL_BTF).exists() {
        bail!(
            "this kernel has no type information ({KERNEL_BTF} is missing): \
             it must be built with CONFIG_DEBUG_INFO_BTF=y, as the distributions' kernels are; \
             in a container, mount /sys"
        );
    }
    check_capabilities()
}

fn check_version(release: &str) -> anyhow::Result<()> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    let version = next()
        .zip(next())
        .with_context(|| format!("cannot read the kernel's version from '{release}'"))?;
    if version < OLDEST_KERNEL {
        let (major, minor) = OLDEST_KERNEL;
        bail!("this kernel is {release}: connledger needs Linux {major}.{minor} or newer");
    }
    Ok(())
}

fn check_capabilities() -> anyhow::Result<()> {
    let effective = rustix::thread::capabilities(None)
        .context("cannot read this process's capabilities")?
        .effective;
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Ok(());
    }
    let missing: Vec<&str> =
        [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")]
            .into_iter()
            .filter(|(capability, _)| !effective.contains(*capability))
            .map(|(_, name)| name)
            .collect();
    if !missing.is_empty() {
        let program = env::current_exe();
        let program = program.as_deref().unwrap_or(Path::new("connledger")).display();
        bail!(
            "not permitted to trace: {} missing; run it as root (sudo connledger), or let whoever may run it trace: \
             sudo setcap cap_bpf,cap_perfmon=ep {program}",
            missing.join(" and ")
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_version;

    #[test]
    fn versions() {
        for release in ["5.12.0", "5.12", "6.1.0-28-amd64", "6.18.44-fc-v657", "10.0.1"] {
            assert!(check_version(release).is_ok(), "{release}");
        }
        for release in ["5.10.0-33-amd64", "4.18.0-553.el8.x86_64", "2.6.78", "", "x"] {
            assert!(check_version(release).is_err(), "{release}");
        }
    }
}
