//! The file system of a guest: this very program, and the kernel tests, with what they need to run, in a ramdisk.

use std::env;
use std::fs;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

/// The guest's first process.
const INIT: &str = include_str!("init");

/// What the kernel tests hold against what they see.
const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");

/// Makes a ramdisk in a folder. Paths are the same inside as here, for this program knows them from when it was built.
pub fn ramdisk(folder: &Path) -> PathBuf {
    let root = folder.join("root");
    for empty in ["bin", "proc", "sys", "dev", "tmp", env!("CARGO_TARGET_TMPDIR")] {
        fs::create_dir_all(inside(&root, empty)).unwrap();
    }
    let init = root.join("init");
    fs::write(&init, INIT).unwrap();
    fs::set_permissions(&init, Permissions::from_mode(0o755)).unwrap();

    // busybox does the rest; its own setpriv cannot do enough.
    for program in ["busybox", "setpriv"] {
        add(&root, &found(program), &format!("bin/{program}"));
    }
    add(&root, &env::current_exe().unwrap(), "tests");
    add(&root, &kernel_tests(), "kernel-tests");
    let connledger = env!("CARGO_BIN_EXE_connledger");
    add(&root, Path::new(connledger), connledger);
    fs::copy(README, inside(&root, README)).unwrap();

    let image = folder.join("ramdisk");
    let mut pack = Command::new("sh");
    pack.args(["-ec", r#"cd "$1"; busybox find . | busybox cpio -o -H newc >"$2""#, "sh"]);
    assert!(pack.arg(&root).arg(&image).status().unwrap().success());
    image
}

/// The kernel tests as they were built last: `cargo test` builds all tests before it runs the first.
fn kernel_tests() -> PathBuf {
    let this = env::current_exe().unwrap();
    let built = fs::read_dir(this.parent().unwrap()).unwrap().map(|file| file.unwrap().path());
    let programs = built.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("kernel-") && !name.contains('.')
    });
    programs
        .max_by_key(|path| fs::metadata(path).and_then(|data| data.modified()).unwrap())
        .expect("the kernel tests: cargo test --no-run --test kernel")
}

/// Where a path of the guest's lies.
fn inside(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// Where a program of this machine's is.
fn found(program: &str) -> PathBuf {
    let folders = env::var_os("PATH").expect("PATH");
    let mut candidates = env::split_paths(&folders).map(|folder| folder.join(program));
    candidates.find(|path| path.is_file()).expect(program)
}

/// Adds a program, without what is for debuggers, and the libraries that it asks for.
fn add(root: &Path, program: &Path, path: &str) {
    let place = inside(root, path);
    fs::create_dir_all(place.parent().unwrap()).unwrap();
    let strip = Command::new("strip").arg("-o").arg(&place).arg(program).status();
    assert!(strip.expect("strip (Debian: binutils)").success(), "{}", program.display());

    // Of what needs none ldd says so.
    let needs = Command::new("ldd").arg(program).output().expect("ldd").stdout;
    let needs = String::from_utf8(needs).unwrap();
    for library in needs.split_whitespace().filter(|word| word.starts_with('/')) {
        let place = inside(root, library);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        fs::copy(library, place).unwrap();
    }
}
