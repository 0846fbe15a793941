//! Compiles the kernel side and generates its Rust skeletons; notes the commit for `--version`.

use std::env;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use libbpf_cargo::SkeletonBuilder;

/// What traces, and what looks up ahead of it what that attaches to.
const OBJECTS: [&str; 2] = ["connledger", "lookup"];

fn main() {
    // Cargo sets it.
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    let project = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    // The objects name the files of their sources, for the verifier's messages: ./bpf/state.bpf.h, wherever that was.
    let names = format!("-ffile-prefix-map={project}=.");
    for object in OBJECTS {
        let source = format!("bpf/{object}.bpf.c");
        SkeletonBuilder::new()
            .source(&source)
            // v3: atomic compare-and-swap, which the wake-up protocol needs (Linux 5.12).
            .clang_args(["-Wall", "-Werror", "-mcpu=v3", "-Ibpf", names.as_str()])
            .build_and_generate(out_dir.join(format!("{object}.skel.rs")))
            .unwrap_or_else(|err| {
                eprintln!("cannot build {source} (is clang installed?): {err:#}");
                std::process::exit(1)
            });
    }
    println!("cargo:rerun-if-changed=bpf");
    println!("cargo:rerun-if-changed=build.rs");

    println!("cargo:rustc-env=CONNLEDGER_LIBBPF={}", libbpf_version());
    println!("cargo:rerun-if-changed=Cargo.lock");
    println!("cargo:rustc-env=CONNLEDGER_COMMIT={}", commit());
    println!("cargo:rerun-if-env-changed=CONNLEDGER_COMMIT");
    if Path::new(".git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=.git/logs/HEAD");
    }
}

/// The commit that is built: as the packager says, or as git says, or "unknown" (a source archive).
fn commit() -> String {
    if let Ok(commit) = env::var("CONNLEDGER_COMMIT") {
        return commit;
    }
    Command::new("git")
        .args(["rev-parse", "--short=12", "HEAD"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map_or_else(|| "unknown".to_owned(), |hash| hash.trim().to_owned())
}

/// The version of libbpf that is linked in: libbpf-sys carries its sources, and names them in its own
/// version (`1.7.0+v1.7.0`).
fn libbpf_version() -> String {
    let lock = std::fs::read_to_string("Cargo.lock").unwrap_or_default();
    lock.split("[[package]]")
        .find(|package| package.contains("name = \"libbpf-sys\""))
        .and_then(|package| package.split("+v").nth(1))
        .and_then(|rest| rest.split('"').next())
        .unwrap_or("unknown")
        .to_owned()
}
