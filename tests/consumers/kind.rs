//! Which consumers there are, and how each is run by hand.

use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use crate::place::Place;

/// A consumer, by a way to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    RsyslogStream,
    RsyslogDatagram,
    SyslogNg,
}

impl Kind {
    /// The package of Debian that has it. It is unpacked, not installed.
    pub fn package(self) -> &'static str {
        match self {
            Self::RsyslogStream | Self::RsyslogDatagram => "rsyslog",
            Self::SyslogNg => "syslog-ng-core",
        }
    }

    /// Where scripts/unpack.sh has unpacked it.
    pub fn unpacked(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/consumers").join(self.package())
    }

    /// The configuration that we ship for it.
    pub fn example(self) -> &'static str {
        match self {
            Self::RsyslogStream | Self::RsyslogDatagram => {
                include_str!("../../examples/rsyslog/connledger.conf")
            }
            Self::SyslogNg => include_str!("../../examples/syslog-ng/connledger.conf"),
        }
    }

    /// The configuration around it: what the host's own would have. No way leads to the host's logs.
    pub fn frame(self, example: &Path) -> String {
        let example = example.display();
        match self {
            Self::RsyslogStream | Self::RsyslogDatagram => format!(
                "module(load=\"imuxsock\" sysSock.use=\"off\")\ninclude(file=\"{example}\")\n"
            ),
            Self::SyslogNg => format!(
                "@version: current\noptions {{ use-dns(no); dns-cache(no); stats-freq(0); }};\n\
                 @include \"{example}\"\n"
            ),
        }
    }

    /// The name of its socket.
    pub fn socket(self) -> &'static str {
        match self {
            Self::RsyslogStream | Self::SyslogNg => "connledger.sock",
            Self::RsyslogDatagram => "connledger-dgram.sock",
        }
    }

    /// Whether a record is a datagram.
    pub fn takes_datagrams(self) -> bool {
        self == Self::RsyslogDatagram
    }

    /// How many records it takes with it when it dies, and had not read. What it has not read of a stream is sent
    /// again; of its datagrams nobody can know. Eleven may wait (net.unix.max_dgram_qlen is 10), and it may have one in
    /// hand.
    pub fn not_read(self) -> u64 {
        if self.takes_datagrams() { 12 } else { 0 }
    }

    /// How many it may have read besides, and not written: both read 64 KiB of a stream at a time.
    pub fn in_hand(self) -> u64 {
        if self.takes_datagrams() { self.not_read() } else { 300 }
    }

    /// What runs it in the foreground.
    pub fn command(self, place: &Place) -> Command {
        let unpacked = self.unpacked();
        let (program, module) = match self {
            Self::RsyslogStream | Self::RsyslogDatagram => ("rsyslogd", "imptcp.so"),
            Self::SyslogNg => ("syslog-ng", "libafsocket.so"),
        };
        let directories = libraries(&unpacked);
        let modules = directories.iter().find(|directory| directory.join(module).exists());
        let modules = modules.expect(module);
        let mut command = Command::new(unpacked.join("usr/sbin").join(program));
        command.env("LD_LIBRARY_PATH", list(&directories));
        match self {
            Self::RsyslogStream | Self::RsyslogDatagram => {
                command.arg("-n").arg("-iNONE").arg("-f").arg(place.configuration());
                command.arg("-M").arg(modules);
            }
            Self::SyslogNg => {
                command
                    .arg("--foreground")
                    .arg("--no-caps")
                    .arg("--cfgfile")
                    .arg(place.configuration());
                command.arg("--module-path").arg(modules);
                command.arg("--pidfile").arg(place.file("pid"));
                command.arg("--control").arg(place.file("control"));
                command.arg("--persist-file").arg(place.file("persist"));
            }
        }
        command
    }
}

/// All directories below this one that hold libraries.
fn libraries(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut holds = false;
    for entry in fs::read_dir(directory).expect("unpacked") {
        let entry = entry.expect("unpacked");
        if entry.file_type().expect("its type").is_dir() {
            found.extend(libraries(&entry.path()));
        } else {
            holds |= entry.file_name().to_string_lossy().contains(".so");
        }
    }
    if holds {
        found.push(directory.to_owned());
    }
    found
}

fn list(directories: &[PathBuf]) -> OsString {
    std::env::join_paths(directories).expect("no colons")
}
