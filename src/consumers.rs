//! Who reads our output: the processes behind the pipe or socket that it is, and those that read theirs. A shipper that sends every event over TCP would otherwise be an event for every event.
//!
//! They are looked for in /proc once, right before tracing begins, so that `--exclude-self` can refuse their
//! connections by process id.

use std::collections::HashMap;
use std::collections::HashSet;
use std::fs;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::parent_id;
use std::path::Path;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::Duration;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use rustix::fs::FileType;

/// So many are believed; a chain that is longer is none that people make.
const MOST: usize = 256;

/// A shell that builds a pipeline forks the readers after us, and has the pipes itself until then: a look
/// is believed if another one, so much later, finds the same, and who started us is not among them. Nor is one that finds
/// nobody at a pipe: it was handed on meanwhile, from the shell to who was not there yet when the look began.
const SETTLING: Duration = Duration::from_millis(50);

/// After so many looks the last one is believed: somebody starts and ends readers all the time, or it is
/// who started us who reads.
const MOST_LOOKS: u32 = 10;

/// PID 1 holds the listening end of sockets that other processes serve: the journal's, for one.
const INIT: u32 = 1;

const STDOUT: u32 = 1;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consumers {
    /// Their process ids, sorted; not our own.
    pub pids: Vec<u32>,
    /// What could not be found out, to be told: there may be more of them.
    pub doubts: Vec<String>,
}

/// Finds the consumers of an output of ours. A terminal or a file has none.
#[must_use]
pub fn find(output: impl AsFd) -> Consumers {
    if !is_initial_pid_namespace() {
        // The kernel side knows processes by their ids there.
        let doubt = "process ids here are not those of the host (a pid namespace)".to_owned();
        return Consumers { doubts: vec![doubt], ..Consumers::default() };
    }
    find_behind(output)
}

/// The first pid namespace of every kernel has this inode number (`PROC_PID_INIT_INO`).
fn is_initial_pid_namespace() -> bool {
    fs::metadata("/proc/self/ns/pid").is_ok_and(|ns| ns.ino() == 0xEFFF_FFFC)
}

fn find_behind(output: impl AsFd) -> Consumers {
    let ancestors = ancestors();
    let mut found = look(&output);
    let is_pipe = matches!(other_end(&output), Ok(OtherEnd::Pipe(_)));
    for _ in 1..MOST_LOOKS {
        let slipped_through = is_pipe && found.doubts.is_empty();
        if found.pids.is_empty() && !slipped_through {
            break;
        }
        thread::sleep(SETTLING);
        let before = mem::replace(&mut found, look(&output));
        let builds_still = found.pids.iter().any(|pid| ancestors.contains(pid));
        if before.pids == found.pids && !builds_still && !found.pids.is_empty() {
            break;
        }
    }
    found
}

/// Who has started us, and who them, up to init: with sudo the shell is further away than our parent.
fn ancestors() -> Vec<u32> {
    let mut ancestors = Vec::new();
    let mut pid = parent_id();
    while pid > INIT && ancestors.len() < MOST {
        ancestors.push(pid);
        pid = parent_of(pid).unwrap_or(INIT);
    }
    ancestors
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
}

fn look(output: impl AsFd) -> Consumers {
    let mut consumers = Consumers::default();
    match other_end(&output) {
        Ok(OtherEnd::Pipe(name)) => Pipes::of_all_processes(&name).follow(&name, &mut consumers),
        Ok(OtherEnd::Socket(INIT)) => {
            let doubt = "init listens at the socket that is the output; who reads it is not known";
            consumers.doubts.push(doubt.to_owned());
        }
        Ok(OtherEnd::Socket(0)) => {
            let doubt = "who is at the other end of the socket that is the output is not known";
            consumers.doubts.push(doubt.to_owned());
        }
        Ok(OtherEnd::Socket(pid)) => consumers.pids.push(pid),
        Ok(OtherEnd::Nobody) => {}
        Err(err) => consumers.doubts.push(format!("cannot tell who reads the output: {err}")),
    }
    consumers.pids.retain(|&pid| pid != process::id());
    consumers.pids.sort_unstable();
    consumers
}

/// What is at the other end of a descriptor.
enum OtherEnd {
    /// Whoever has this pipe open, as /proc calls it.
    Pipe(PathBuf),
    /// The process that made the other socket, or listened there; 0 if the kernel does not say.
    Socket(u32),
    /// A terminal, a file, another host.
    Nobody,
}

fn other_end(output: impl AsFd) -> io::Result<OtherEnd> {
    let output = output.as_fd();
    Ok(match FileType::from_raw_mode(rustix::fs::fstat(output)?.st_mode) {
        FileType::Fifo => {
            OtherEnd::Pipe(fs::read_link(format!("/proc/self/fd/{}", output.as_raw_fd()))?)
        }
        FileType::Socket => {
            OtherEnd::Socket(getsockopt(&output, PeerCredentials)?.pid().unsigned_abs())
        }
        _ => OtherEnd::Nobody,
    })
}

/// Who has which pipe open.
#[derive(Default)]
struct Pipes {
    /// Processes, and descriptors of theirs.
    holders: HashMap<PathBuf, Vec<(u32, u32)>>,
    /// Which pipe is a process's stdout.
    stdouts: HashMap<u32, PathBuf>,
    /// How many processes could not be looked into.
    closed: usize,
}

impl Pipes {
    /// The pipes without a name, and `first`, which may have one.
    fn of_all_processes(first: &Path) -> Self {
        let mut pipes = Self::default();
        for pid in numbers_in("/proc").unwrap_or_default() {
            match pipes.add(pid, first) {
                Ok(()) => {}
                // It is gone.
                Err(err) if err.kind() == io::ErrorKind::NotFound => {}
                Err(_) => pipes.closed += 1,
            }
        }
        pipes
    }

    fn add(&mut self, pid: u32, first: &Path) -> io::Result<()> {
        for fd in numbers_in(&format!("/proc/{pid}/fd"))? {
            // The link's text tells enough: the file itself may lie on a file system that hangs.
            let Ok(file) = fs::read_link(format!("/proc/{pid}/fd/{fd}")) else { continue };
            if file != first && !file.as_os_str().as_bytes().starts_with(b"pipe:[") {
                continue;
            }
            if fd == STDOUT {
                self.stdouts.insert(pid, file.clone());
            }
            self.holders.entry(file).or_default().push((pid, fd));
        }
        Ok(())
    }

    /// Who reads a pipe, who reads the stdout of these, and so on.
    fn follow<'a>(&'a self, pipe: &'a PathBuf, consumers: &mut Consumers) {
        let mut followed = HashSet::new();
        let mut pipes = vec![pipe];
        while let Some(pipe) = pipes.pop() {
            if !followed.insert(pipe) {
                continue;
            }
            for &(pid, fd) in self.holders.get(pipe).into_iter().flatten() {
                if pid == process::id() || !reads(pid, fd) || consumers.pids.contains(&pid) {
                    continue;
                }
                if consumers.pids.len() == MOST {
                    consumers.doubts.push(format!("there are more than {MOST} of them"));
                    return;
                }
                consumers.pids.push(pid);
                pipes.extend(self.stdouts.get(&pid));
            }
        }
        if self.closed != 0 {
            consumers
                .doubts
                .push(format!("CAP_SYS_PTRACE is missing to look into {} processes", self.closed));
        }
    }
}

/// The names in a folder that are numbers.
fn numbers_in(folder: &str) -> io::Result<Vec<u32>> {
    let names = fs::read_dir(folder)?.map_while(|entry| entry.ok().map(|entry| entry.file_name()));
    Ok(names.filter_map(|name| name.to_str()?.parse().ok()).collect())
}

/// Whether a descriptor is open for reading.
fn reads(pid: u32, fd: u32) -> bool {
    const ACCESS: u32 = 0o3;
    const WRITE_ONLY: u32 = 0o1;
    let Ok(info) = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")) else { return false };
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
    flags
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| flags & ACCESS != WRITE_ONLY)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::process::Command;
    use std::process::Stdio;
    use std::sync::Mutex;
    use std::sync::PoisonError;

    use super::*;

    const NONE: [u32; 0] = [];

    /// A child has every pipe of this process until it has become what it shall be.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

    #[test]
    fn a_file_has_no_consumer() {
        let file = fs::File::open("/dev/null").expect("it is there");
        assert_eq!(find_behind(file), Consumers::default());
    }

    #[test]
    fn who_reads_a_pipe_and_who_reads_his() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, output) = io::pipe().expect("a pipe");
        // We hold the reading end, and are never meant.
        assert_eq!(look(&output).pids, NONE);
        let mut relay =
            Command::new("cat").stdin(reader).stdout(Stdio::piped()).spawn().expect("cat");
        let relayed = relay.stdout.take().expect("it is piped");
        let mut last =
            Command::new("cat").stdin(relayed).stdout(Stdio::piped()).spawn().expect("cat");
        let pids = look(&output).pids;
        let mut expected = [relay.id(), last.id()];
        expected.sort_unstable();
        assert_eq!(pids, expected, "the pipe behind is read by us");
        drop(output);
        let mut rest = Vec::new();
        last.stdout.take().expect("it is piped").read_to_end(&mut rest).expect("nothing");
        for child in [&mut relay, &mut last] {
            assert!(child.wait().expect("wait").success());
        }
    }

    /// As in a pipeline whose shell is slow to start the reader.
    #[test]
    fn who_comes_while_it_is_looked_for() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, output) = io::pipe().expect("a pipe");
        let starting = thread::spawn(move || {
            thread::sleep(2 * SETTLING);
            Command::new("cat").stdin(reader).stdout(Stdio::null()).spawn().expect("cat")
        });
        let found = find_behind(&output);
        let mut cat = starting.join().expect("it starts");
        assert_eq!(found.pids, [cat.id()]);
        drop(output);
        assert!(cat.wait().expect("wait").success());
    }

    #[test]
    fn who_holds_the_writing_end_is_none() {
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        let (reader, output) = io::pipe().expect("a pipe");
        let writer = output.try_clone().expect("another one");
        let mut child = Command::new("sleep").arg("60").stdout(writer).spawn().expect("sleep");
        assert_eq!(look(&output).pids, NONE);
        child.kill().expect("kill");
        child.wait().expect("wait");
        drop(reader);
    }

    #[test]
    fn who_is_at_the_other_end_of_a_socket() {
        let (output, _ours) = UnixStream::pair().expect("sockets");
        // A pair belongs to the one that made it.
        assert!(
            matches!(other_end(&output).expect("ours"), OtherEnd::Socket(pid) if pid == process::id())
        );
        assert_eq!(look(&output), Consumers::default());
        let unconnected = std::os::unix::net::UnixDatagram::unbound().expect("a socket");
        assert_eq!(look(&unconnected).doubts.len(), 1);
    }
}
