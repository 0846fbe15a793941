//! Lists of network namespaces: inode numbers, paths, or names that `ip netns` knows. They are looked up at
//! once, so that a namespace that is not there is an error and not an empty log.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;

use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::list::Item;
use super::list::List;
use super::list::NumberList;

/// Where `ip netns` keeps its names.
const NAMED: &str = "/run/netns";

/// Reads a list of network namespaces; what comes back are their inode numbers.
///
/// # Errors
/// If one of them is not there, or cannot be looked at: which, and why.
pub fn parse_netns(text: &str) -> Result<NumberList, String> {
    let list: List<Netns> = text.parse()?;
    let numbers = |namespaces: Vec<Netns>| namespaces.into_iter().map(|netns| netns.0).collect();
    Ok(NumberList { include: numbers(list.include), exclude: numbers(list.exclude) })
}

/// The inode number of a network namespace.
struct Netns(u32);

impl Item for Netns {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("is no network namespace".to_owned());
        }
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let named = Path::new(NAMED).join(text);
            if named.exists() {
                return Err(format!(
                    "could be an inode number, and is a name; for the name write {}",
                    named.display()
                ));
            }
            return u32::read(text).map(Self);
        }
        let path =
            if text.contains('/') { PathBuf::from(text) } else { Path::new(NAMED).join(text) };
        inode(&path).map(Self)
    }
}

fn inode(path: &Path) -> Result<u32, String> {
    let shown = path.display();
    // Only to look at it: that opens no device, and waits for nobody.
    let file =
        rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(|err| {
            match err {
                Errno::NOENT => format!("is no network namespace: there is no {shown}"),
                err => format!("cannot be looked up: {shown}: {}", io::Error::from(err)),
            }
        })?;
    let cannot = |err: io::Error| format!("cannot be looked up: {shown}: {err}");
    let inode = rustix::fs::fstat(&file).map_err(|err| cannot(err.into()))?.st_ino;
    // The kernel calls it so, as what it is or, if it is mounted here, as the root of what is mounted.
    let called = format!("net:[{inode}]");
    let link = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(cannot)?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(cannot)?;
    if link.as_os_str() == called.as_str() || is_mounted(&called, &mounts) && is_namespace(&file) {
        return u32::try_from(inode).map_err(|_| format!("is no network namespace: {inode}"));
    }
    Err(format!("is no network namespace: {shown} is something else"))
}

/// Whether something is mounted somewhere: the fourth field is the root within its file system.
fn is_mounted(root: &str, mountinfo: &str) -> bool {
    mountinfo.lines().any(|line| line.split(' ').nth(3) == Some(root))
}

/// Whether it lies on the file system of namespaces, where inode numbers are theirs.
fn is_namespace(file: &OwnedFd) -> bool {
    /// NSFS_MAGIC of linux/magic.h.
    const NSFS: u64 = 0x6e73_6673;
    #[expect(clippy::cast_sign_loss, reason = "32 bits in a signed long")]
    rustix::fs::fstatfs(file).is_ok_and(|kind| kind.f_type as u64 == NSFS)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn numbers_and_paths() {
        let own = fs::metadata("/proc/self/ns/net").expect("a namespace").ino();
        let list = parse_netns("4026531840,/proc/self/ns/net,!/proc/thread-self/ns/net,!7");
        assert_eq!(list.expect("a list").to_string(), format!("4026531840,{own},!{own},!7"));
    }

    #[test]
    fn a_mount_is_known_by_its_root() {
        let mounts = "\
            59 26 0:23 /netns /run/netns rw,nosuid shared:5 - tmpfs tmpfs rw\n\
            533 59 0:4 net:[4026532246] /run/netns/blue rw shared:284 - nsfs nsfs rw";
        assert!(is_mounted("net:[4026532246]", mounts));
        assert!(!is_mounted("net:[402653224]", mounts) && !is_mounted("/run/netns/blue", mounts));
    }

    #[test]
    fn what_is_no_namespace() {
        for (bad, why) in [
            ("", "'' is no network namespace"),
            ("1,", "'' is no network namespace"),
            ("4294967296", "is too large"),
            ("no-such-name", "there is no /run/netns/no-such-name"),
            ("!/proc/self/ns/none", "'!/proc/self/ns/none' is no network namespace: there is no"),
            ("/proc/self/ns/mnt", "/proc/self/ns/mnt is something else"),
            ("/etc/passwd", "/etc/passwd is something else"),
            ("/proc/self/exe/x", "cannot be looked up: /proc/self/exe/x: Not a directory"),
        ] {
            let said = parse_netns(bad).expect_err(bad);
            assert!(said.contains(why), "{bad}: {said}");
        }
    }
}
