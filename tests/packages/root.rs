//! A Debian to install packages into: it is not booted, its file system lies over the one that
//! scripts/debian-root.sh makes, in memory, and is gone with this.

use std::collections::BTreeSet;
use std::fs;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

use tempfile::TempDir;

use crate::made;
use crate::made::printed;

/// Mounts it in a mount namespace of its own, which lives as long as this reads its input. Its arguments: the folder,
/// the root below, the folder with the packages, which is seen as /mnt.
const HOLD: &str = r#"
set -e
mount -t tmpfs -o mode=755 connledger-test "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay -o "lowerdir=$2,upperdir=$1/upper,workdir=$1/work" connledger-test "$1/root"
mount -t proc proc "$1/root/proc"
mount --rbind /dev "$1/root/dev"
mount --bind "$3" "$1/root/mnt"
echo mounted
exec cat
"#;

/// One that is mounted.
#[derive(Debug)]
pub struct Root {
    holder: Child,
    folder: TempDir,
}

impl Root {
    /// Mounts one.
    pub fn mount() -> Self {
        printed(&mut Command::new(Path::new(made::PROJECT).join("scripts/debian-root.sh")));
        let folder = TempDir::new().unwrap();
        let mut holder = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", HOLD, "sh"])
            .arg(folder.path())
            .arg(lower())
            .arg(made::folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        Self { holder, folder }
    }

    /// Runs a shell's commands in it that must succeed. Returns what they print.
    pub fn run(&self, commands: &str) -> String {
        printed(&mut self.command(commands))
    }

    /// Runs a shell's commands in it, whatever comes of it.
    pub fn try_run(&self, commands: &str) -> Output {
        self.command(commands).output().unwrap()
    }

    fn command(&self, commands: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--target", &self.holder.id().to_string(), "--mount", "chroot"]);
        command.arg(self.folder.path().join("root")).args(["sh", "-c", commands]);
        command
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null());
        command
    }

    /// Every path that is there and was not, is not there and was, or is not as it was.
    pub fn changed(&self) -> BTreeSet<String> {
        let upper = PathBuf::from(format!("/proc/{}/root", self.holder.id()))
            .join(self.folder.path().strip_prefix("/").unwrap())
            .join("upper");
        let mut changed = BTreeSet::new();
        collect(&upper, Path::new(""), &mut changed);
        changed
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        // With its process the namespace goes, and what was mounted in it.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

fn lower() -> PathBuf {
    Path::new(made::PROJECT).join("target/roots/debian")
}

fn collect(upper: &Path, inner: &Path, changed: &mut BTreeSet<String>) {
    for entry in fs::read_dir(upper.join(inner)).unwrap() {
        let path = inner.join(entry.unwrap().file_name());
        let (above, below) = (upper.join(&path), lower().join(&path));
        if !is_same(&above, &below) {
            changed.insert(format!("/{}", path.display()));
        }
        if fs::symlink_metadata(&above).unwrap().is_dir() {
            collect(upper, &path, changed);
        }
    }
}

fn is_same(one: &Path, two: &Path) -> bool {
    let Ok(before) = fs::symlink_metadata(two) else { return false };
    let after = fs::symlink_metadata(one).unwrap();
    let properties = |of: &fs::Metadata| (of.mode(), of.uid(), of.gid());
    if properties(&before) != properties(&after) {
        return false;
    }
    if after.is_symlink() {
        return fs::read_link(one).unwrap() == fs::read_link(two).unwrap();
    }
    !after.is_file() || fs::read(one).unwrap() == fs::read(two).unwrap()
}
