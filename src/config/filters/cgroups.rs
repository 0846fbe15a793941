//! Lists of control groups of the version 2 hierarchy: /system.slice/app.service. They are looked up at once,
//! so that one that is not there is an error and not an empty log.

use std::fmt;
use std::fmt::Display;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::path::PathBuf;

use super::list::Item;
use super::list::List;

/// CGROUP_SUPER_MAGIC of linux/magic.h.
const VERSION_1: u64 = 0x0027_e0eb;
/// CGROUP2_SUPER_MAGIC.
const VERSION_2: u64 = 0x6367_7270;

/// A control group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Cgroup {
    /// As the kernel's bpf_get_current_cgroup_id() tells it: the inode number of its directory.
    pub id: u64,
    /// Below the mount, beginning with a slash.
    path: PathBuf,
}

/// Control groups, each with all that are below it.
pub type CgroupList = List<Cgroup>;

impl Cgroup {
    /// A control group by its id, called so.
    #[must_use]
    pub fn new(id: u64, path: impl Into<PathBuf>) -> Self {
        Self { id, path: path.into() }
    }
}

impl Display for Cgroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

impl Item for Cgroup {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is no cgroup".to_owned());
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")
            .map_err(|err| format!("cannot be looked up: /proc/self/mountinfo: {err}"))?;
        let mount = mount_of_version_2(&mounts).ok_or(
            "cannot be looked up: no cgroup file system of version 2 is mounted \
             (mount -t cgroup2 none /sys/fs/cgroup)",
        )?;
        look_up(text, &mount)
    }
}

/// `text` is a path of the file system, or one below the mount, with or without a slash in front.
fn look_up(text: &str, mount: &Path) -> Result<Cgroup, String> {
    let cannot =
        |path: &Path, err: &io::Error| format!("cannot be looked up: {}: {err}", path.display());
    if text.starts_with('/') {
        match magic(Path::new(text)) {
            Some(VERSION_2) => return open(Path::new(text), mount),
            Some(VERSION_1) => {
                return Err(format!(
                    "is a cgroup of version 1; connections are told apart by those of version 2 only, \
                     which are mounted at {}",
                    mount.display()
                ));
            }
            _ => {}
        }
    }
    let path = mount.join(text.trim_start_matches('/'));
    match fs::symlink_metadata(&path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            return Err(format!("is no cgroup: there is no {}", path.display()));
        }
        Err(err) => return Err(cannot(&path, &err)),
        Ok(_) => {}
    }
    open(&path, mount)
}

fn open(path: &Path, mount: &Path) -> Result<Cgroup, String> {
    let cannot = |err| format!("cannot be looked up: {}: {err}", path.display());
    // Without `..`, by which it could have left the mount.
    let path = path.canonicalize().map_err(cannot)?;
    let metadata = fs::metadata(&path).map_err(cannot)?;
    if !metadata.is_dir() || magic(&path) != Some(VERSION_2) {
        return Err(format!("is no cgroup: {} is something else", path.display()));
    }
    let below = path.strip_prefix(mount).map(|below| Path::new("/").join(below));
    Ok(Cgroup { id: metadata.ino(), path: below.unwrap_or(path) })
}

/// The kind of the file system that a file is on.
fn magic(path: &Path) -> Option<u64> {
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    #[expect(clippy::cast_sign_loss, reason = "32 bits in a signed long")]
    Some(kind as u64 & 0xffff_ffff)
}

/// Where the hierarchy of version 2 is mounted: as a whole, if it is. The first one mounted is the one that
/// the system uses; hybrid systems have it beside those of version 1.
fn mount_of_version_2(mountinfo: &str) -> Option<PathBuf> {
    let mut found = None;
    for line in mountinfo.lines() {
        // 41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
        let Some((before, behind)) = line.split_once(" - ") else { continue };
        if behind.split(' ').next() != Some("cgroup2") {
            continue;
        }
        let mut fields = before.split(' ').skip(3);
        let (Some(root), Some(point)) = (fields.next(), fields.next()) else { continue };
        if root == "/" {
            return Some(unescaped(point));
        }
        found.get_or_insert_with(|| unescaped(point));
    }
    found
}

/// The kernel writes a space, tab, newline or backslash in a path as an octal number.
fn unescaped(path: &str) -> PathBuf {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    PathBuf::from(escapes.iter().fold(path.to_owned(), |path, (from, to)| path.replace(from, to)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "24 1 0:22 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate";
    const HYBRID: &str = "\
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n\
        54 44 0:38 / /tmp/other rw,relatime - cgroup2 cgroup2 rw";

    #[test]
    fn the_mount_is_found() {
        let found =
            |mountinfo: &str| mount_of_version_2(mountinfo).map(|path| path.display().to_string());
        assert_eq!(found(UNIFIED).as_deref(), Some("/sys/fs/cgroup"));
        assert_eq!(found(HYBRID).as_deref(), Some("/sys/fs/cgroup/unified"));
        let parts =
            "1 2 0:3 /a/b /mnt/a\\040b rw - cgroup2 x rw\n2 2 0:3 /c /mnt/c rw - cgroup2 x rw";
        assert_eq!(found(parts).as_deref(), Some("/mnt/a b"));
        assert_eq!(found(&format!("{parts}\n{UNIFIED}")).as_deref(), Some("/sys/fs/cgroup"));
        let version_1 = "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup2 rw,cpu";
        assert_eq!(found(version_1), None);
        assert_eq!(found("- \n cgroup2 - cgroup2\n"), None);
    }

    #[test]
    fn one_group_has_many_paths() {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        let Some(mount) = mount_of_version_2(&mounts) else {
            println!("SKIP: no cgroup2 file system is mounted");
            return;
        };
        let id = fs::metadata(&mount).expect("the mount").ino();
        for text in ["/", mount.to_str().expect("UTF-8"), &format!("{}/", mount.display()), "."] {
            assert_eq!(Cgroup::read(text), Ok(Cgroup { id, path: "/".into() }), "{text}");
        }
    }

    #[test]
    fn what_is_no_cgroup() {
        for (bad, why) in [
            ("", "'' is no cgroup"),
            ("/no/such", "/no/such' is no cgroup: there is no /"),
            ("!no-such", "'!no-such' is no cgroup: there is no /"),
            ("cgroup.procs", "cgroup.procs is something else"),
            ("../../../../../../etc", "/etc is something else"),
            ("cgroup.procs/x", "cgroup.procs/x: Not a directory"),
        ] {
            let said = bad.parse::<CgroupList>().expect_err(bad);
            let unmounted = said.contains("no cgroup file system of version 2 is mounted");
            assert!(said.contains(why) || unmounted, "{bad}: {said}");
        }
    }
}
