//! A Debian of its own that is booted by its systemd in a container: where the service is installed and run. It lies
//! over the one that scripts/debian-root.sh makes, in memory, and is gone with this.
//!
//! The kernel is this host's: what is traced inside is what happens everywhere.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::unistd::Pid;
use tempfile::TempDir;

use crate::skip::can_trace;
use crate::skip::skip;

/// Longer than anything takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// In a mount namespace of its own, and killed with the thread that started it: mounts the root, and boots it. Its
/// arguments: the cgroup to live in, the folder to mount at, the root below, the machine's name. It is the first process
/// of a pid namespace, too: who kills systemd-nspawn alone leaves the machine running.
///
/// systemd-nspawn keeps bpf and `perf_event_open` from its containers, unless told; and folders under /run, which
/// need not be in memory.
const BOOT: &str = r#"
set -e
[ -z "$1" ] || echo 0 >"$1/cgroup.procs"
mount -t tmpfs -o mode=755 connledger-test "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay -o "lowerdir=$3,upperdir=$2/upper,workdir=$2/work" connledger-test "$2/root"
mkdir -p /run/systemd
mount -t tmpfs -o mode=755 connledger-test /run/systemd
export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
exec systemd-nspawn --quiet --machine="$4" --directory="$2/root" --register=no --keep-unit --capability=all \
    --system-call-filter='bpf perf_event_open' --private-network --boot --console=pipe
"#;

/// What the name of each begins with, before the process id of its test.
const NAME: &str = "connledger-test-";

/// How many this process has booted: each has a name of its own.
static BOOTED: AtomicU32 = AtomicU32::new(0);

/// A machine that is up.
pub struct Machine {
    leader: Pid,
    _nspawn: Nspawn,
    _folder: TempDir,
}

/// What runs it, and where. It ends with this, also if the machine never comes up.
struct Nspawn {
    unshare: Child,
    cgroup: Option<PathBuf>,
}

impl Drop for Nspawn {
    fn drop(&mut self) {
        // Everything in its pid namespace dies with it.
        let _ = self.unshare.kill();
        let _ = self.unshare.wait();
        if let Some(cgroup) = &self.cgroup {
            remove_cgroup(cgroup, Instant::now() + Duration::from_secs(10));
        }
    }
}

impl Machine {
    /// Boots one. None where that is not possible, which is said.
    pub fn boot() -> Option<Self> {
        if !can_trace() || !has_programs() {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/debian-root.sh");
        if !Command::new(script).status().expect("debian-root.sh").success() {
            skip("scripts/debian-root.sh cannot make the root");
            return None;
        }
        let number = BOOTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("{NAME}{}-{number}", std::process::id());
        let folder = TempDir::new().expect("a folder");
        let cgroup = own_cgroup(&name);
        let unshare = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--mount", "--propagation", "private"])
            .args(["--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", BOOT, "sh"])
            .arg(cgroup.as_deref().unwrap_or(Path::new("")))
            .arg(folder.path())
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/roots/debian"))
            .arg(&name)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("systemd-nspawn");
        let mut nspawn = Nspawn { unshare, cgroup };
        let leader = leader(&mut nspawn.unshare);
        let machine = Self { leader, _nspawn: nspawn, _folder: folder };
        wait_until("a machine that is up", || {
            let said = machine.try_run("systemctl is-system-running");
            matches!(String::from_utf8_lossy(&said.stdout).trim(), "running" | "degraded")
        });
        Some(machine)
    }

    /// Where a path of the machine is seen from here. Not through a symbolic link that is absolute.
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.leader))
    }

    /// What a file of the machine says.
    pub fn read(&self, inside: &str) -> String {
        fs::read_to_string(self.path(inside)).expect(inside)
    }

    /// Makes a file in the machine, with the folders above it; root's, 0644.
    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a folder")).expect(inside);
        fs::write(&path, text).expect(inside);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect(inside);
    }

    /// Copies a file of this host into the machine, with its mode.
    pub fn copy(&self, from: &Path, inside: &str) {
        let path = self.path(inside);
        fs::create_dir_all(path.parent().expect("a folder")).expect(inside);
        fs::copy(from, path).expect(inside);
    }

    /// Runs a shell's commands inside, as root, that must succeed. Returns what they print.
    pub fn run(&self, commands: &str) -> String {
        let output = self.try_run(commands);
        let said = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{commands}: {}: {said}{printed}", output.status);
        printed.into_owned()
    }

    /// Runs a shell's commands inside, as root, whatever comes of it.
    pub fn try_run(&self, commands: &str) -> Output {
        Command::new("nsenter")
            .args(["-t", &self.leader.to_string(), "-a", "sh", "-c", commands])
            .current_dir("/")
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(Stdio::null())
            .output()
            .expect("nsenter")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if thread::panicking() {
            let journal = self.try_run("journalctl --no-pager --lines=60");
            eprintln!("the machine's journal:\n{}", String::from_utf8_lossy(&journal.stdout));
        }
    }
}

/// Waits until something is so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "still not: {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn has_programs() -> bool {
    for program in ["systemd-nspawn", "debootstrap", "nsenter", "setpriv", "unshare"] {
        let found = Command::new(program).arg("--version").stdout(Stdio::null()).status();
        if found.is_err() {
            skip(&format!("needs {program}"));
            return false;
        }
    }
    true
}

/// The machine's first process: the child of systemd-nspawn, which is the child of unshare.
fn leader(nspawn: &mut Child) -> Pid {
    let pid = nspawn.id().to_string();
    let mut leader = None;
    wait_until("the machine's first process", || {
        let ended = nspawn.try_wait().expect("wait");
        assert!(ended.is_none(), "systemd-nspawn ended, {ended:?}");
        let mut grandchildren = children(&pid).into_iter().flat_map(|child| children(&child));
        // As systemd, not as the helper that it begins as.
        leader = grandchildren.find(|child| {
            let name = fs::read_to_string(format!("/proc/{child}/comm"));
            name.is_ok_and(|name| name.trim() == "systemd")
        });
        leader.is_some()
    });
    Pid::from_raw(leader.and_then(|pid| pid.parse().ok()).expect("it was waited for"))
}

fn children(pid: &str) -> Vec<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    children.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// A cgroup of version 2 of its own: two machines in one would mix up their units. None where there are none.
fn own_cgroup(name: &str) -> Option<PathBuf> {
    let own = fs::read_to_string("/proc/self/cgroup").expect("/proc/self/cgroup");
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = fs::read_to_string("/proc/self/mounts").expect("/proc/self/mounts");
    let mount = mounts.lines().find_map(|line| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        (kind == "cgroup2").then_some(place)
    })?;
    let above = Path::new(mount).join(own);
    remove_stale_cgroups(&above);
    let path = above.join(name);
    fs::create_dir(&path).expect("a cgroup");
    Some(path)
}

/// Removes the cgroups of tests that were killed: their machines died with them.
fn remove_stale_cgroups(above: &Path) {
    for entry in fs::read_dir(above).into_iter().flatten().flatten() {
        let name = entry.file_name().into_string().unwrap_or_default();
        let pid = name.strip_prefix(NAME).and_then(|rest| rest.split_once('-')).map(|(pid, _)| pid);
        let Some(Ok(pid)) = pid.map(str::parse::<u32>) else { continue };
        if !Path::new(&format!("/proc/{pid}")).exists() {
            remove_cgroup(&entry.path(), Instant::now());
        }
    }
}

/// Removes a cgroup with all below it, once its processes are gone.
fn remove_cgroup(cgroup: &Path, deadline: Instant) {
    let inner = fs::read_dir(cgroup).into_iter().flatten().flatten();
    for folder in inner.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
        remove_cgroup(&folder.path(), deadline);
    }
    while fs::remove_dir(cgroup).is_err() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(10));
    }
}
