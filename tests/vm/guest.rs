//! A virtual machine that runs Debian's own kernel. It is emulated, so it needs no help of this machine's processor, and
//! no root.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::root::ramdisk;
use crate::skip::skip;

/// Longer than it takes on a busy machine, by far.
const PATIENCE: Duration = Duration::from_secs(300);

/// One processor, of a kind that the kernel takes for real without the features that are slow to emulate.
const MACHINE: &str = "-M q35 -accel tcg,thread=multi,tb-size=256 -cpu Nehalem -smp 1 -m 768 -nodefaults \
    -no-user-config -no-reboot -display none -serial stdio";

/// It reboots when it panics, which ends QEMU.
const KERNEL: &str = "console=ttyS0 panic=-1 quiet mitigations=off nokaslr";

/// What its first process has in its environment: where the program is that is tested.
const INIT: &str = concat!("CONNLEDGER=", env!("CARGO_BIN_EXE_connledger"));

/// A machine that runs, or has run.
pub struct Guest {
    qemu: Child,
    folder: TempDir,
}

impl Guest {
    /// Boots one. None where that is not possible, which is said.
    pub fn boot() -> Option<Self> {
        let Some(kernel) = kernel() else {
            skip("no kernel of Debian's: scripts/install-deps.sh test (on Debian, amd64)");
            return None;
        };
        for program in ["qemu-system-x86_64", "busybox", "setpriv"] {
            if Command::new(program).arg("--help").output().is_err() {
                skip(&format!("no {program}: scripts/install-deps.sh test"));
                return None;
            }
        }
        let folder = TempDir::new().expect("a folder");
        let console = File::create(folder.path().join("console")).expect("a console");
        // It dies with this thread, even if that is killed.
        let qemu = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(MACHINE.split_whitespace())
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(ramdisk(folder.path()))
            .args(["-append", &format!("{KERNEL} {INIT}")])
            .stdin(Stdio::null())
            .stderr(console.try_clone().expect("a console"))
            .stdout(console)
            .spawn()
            .expect("QEMU");
        Some(Self { qemu, folder })
    }

    /// Waits until it has switched itself off. Returns what stands on its console.
    pub fn end(mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        while self.qemu.try_wait().expect("wait").is_none() {
            assert!(Instant::now() < deadline, "it does not end:\n{}", self.console());
            thread::sleep(Duration::from_millis(50));
        }
        self.console()
    }

    fn console(&self) -> String {
        let text = fs::read(self.folder.path().join("console")).expect("a console");
        String::from_utf8_lossy(&text).replace('\r', "")
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        // After a failed test; otherwise it has ended.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// Debian's kernel for virtual machines: the one that was unpacked, or installed.
fn kernel() -> Option<PathBuf> {
    let unpacked =
        concat!(env!("CARGO_MANIFEST_DIR"), "/target/consumers/linux-image-cloud-amd64/boot");
    [unpacked, "/boot"].into_iter().find_map(|folder| {
        let files = fs::read_dir(Path::new(folder)).ok()?;
        let is_it = |path: &PathBuf| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.starts_with("vmlinuz-") && name.ends_with("-cloud-amd64")
        };
        files.filter_map(|file| Some(file.ok()?.path())).filter(is_it).max()
    })
}
