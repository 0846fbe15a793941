//! A tool that runs: started, watched, stopped, and what it wrote.

use std::fs;
use std::fs::File;
use std::path::PathBuf;
use std::process::Child;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use anyhow::Context as _;
use anyhow::bail;
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::contestant::Contestant;
use crate::contestant::Ready;
use crate::contestant::reported_lost;
use crate::load;
use crate::scene::Scene;

/// bpftrace compiles for seconds; more than that is a tool that does not start.
const START: Duration = Duration::from_secs(20);

/// A tool that cannot write as fast as it sees writes on after the load.
const STOP: Duration = Duration::from_secs(20);

const LOOK: Duration = Duration::from_millis(10);

/// A tool has settled when it has taken no descriptor for so long.
const SETTLED: Duration = Duration::from_millis(300);

/// A tool that runs, and watches.
#[derive(Debug)]
pub struct Tool {
    contestant: Contestant,
    child: Child,
    output: PathBuf,
    errors: PathBuf,
}

/// What became of the attempt to start one.
#[derive(Debug)]
pub enum Attempt {
    /// It watches.
    Attached(Tool),
    /// It cannot, for this reason.
    Refused(String),
}

/// What a tool wrote.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// Lines about connections of the load.
    pub lines: u64,
    /// Lines about connections of anyone: more, if the machine has other traffic.
    pub all_lines: u64,
    /// All bytes.
    pub bytes: u64,
    /// What it says that it lost.
    pub reported_lost: u64,
}

impl Tool {
    /// Starts a tool that writes to a file in memory, and waits until it has attached.
    pub fn start(contestant: &Contestant, scene: &Scene) -> anyhow::Result<Attempt> {
        if !contestant.is_installed() {
            return Ok(Attempt::Refused("not installed".to_owned()));
        }
        // By name, so that several can run at once.
        let file = contestant.name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let output = scene.output_path(&format!("{file}.out"));
        let errors = scene.output_path(&format!("{file}.err"));
        let stdout = File::create(&output).context("the tool's output")?;
        let stderr = File::create(&errors).context("the tool's messages")?;
        let child = command(contestant)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .with_context(|| format!("cannot start {}", contestant.name))?;
        let mut tool = Self { contestant: contestant.clone(), child, output, errors };
        Ok(match tool.wait_until_attached()? {
            None => Attempt::Attached(tool),
            Some(reason) => Attempt::Refused(reason),
        })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The reason if it does not attach.
    fn wait_until_attached(&mut self) -> anyhow::Result<Option<String>> {
        let deadline = Instant::now() + START;
        let mut settling = Settling::new();
        while Instant::now() < deadline {
            if self.child.try_wait()?.is_some() {
                return Ok(Some(reason(&self.words()?)));
            }
            let attached = match self.contestant.ready {
                Ready::Line(line) => fs::read_to_string(&self.output)?.contains(line),
                Ready::Settled => settling.look(self.pid()),
            };
            if attached {
                return Ok(None);
            }
            thread::sleep(LOOK);
        }
        Ok(Some(format!("did not attach within {} s", START.as_secs())))
    }

    /// Stops it as Ctrl-C does, and counts what it wrote. The file is gone afterwards.
    pub fn stop(mut self) -> anyhow::Result<Written> {
        interrupt(&mut self.child)
            .with_context(|| format!("{} does not stop", self.contestant.name))?;
        let output = fs::read(&self.output)?;
        let reported = match self.contestant.ready {
            Ready::Line(_) => lost_by_its_books(&output)?,
            Ready::Settled => {
                reported_lost(&fs::read_to_string(&self.errors)?) + reported_lost_in_lines(&output)
            }
        };
        Ok(Written {
            lines: self.contestant.count_lines(&output),
            all_lines: self.contestant.count_all_lines(&output),
            bytes: output.len() as u64,
            reported_lost: reported,
        })
    }

    /// All that it said, if that is little.
    fn words(&self) -> anyhow::Result<String> {
        let mut words = fs::read_to_string(&self.output)?;
        words.push_str(&fs::read_to_string(&self.errors)?);
        Ok(words)
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        // After a failure; otherwise it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_file(&self.output);
        let _ = fs::remove_file(&self.errors);
    }
}

/// The command of a tool, on a leash: it does not outlive us, however we end.
pub fn command(contestant: &Contestant) -> std::process::Command {
    let mut arguments = vec!["leash".to_owned()];
    arguments.extend_from_slice(&contestant.command);
    let mut command = load::role(&arguments);
    command.stdin(Stdio::null());
    command
}

/// Stops a tool as Ctrl-C does.
pub fn interrupt(child: &mut Child) -> anyhow::Result<()> {
    let pid = Pid::from_raw(i32::try_from(child.id())?);
    nix::sys::signal::kill(pid, Signal::SIGINT)?;
    let deadline = Instant::now() + STOP;
    while child.try_wait()?.is_none() {
        if Instant::now() > deadline {
            bail!("still there {} s after SIGINT", STOP.as_secs());
        }
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Watches a tool take its descriptors.
struct Settling {
    held: usize,
    since: Instant,
}

impl Settling {
    fn new() -> Self {
        Self { held: 0, since: Instant::now() }
    }

    /// Whether it holds what one attaches with, and has taken nothing more for a while.
    fn look(&mut self, pid: u32) -> bool {
        let descriptors = crate::proc::descriptors(pid);
        if descriptors.len() != self.held {
            *self = Self { held: descriptors.len(), since: Instant::now() };
        }
        let ways =
            ["anon_inode:bpf_link", "anon_inode:bpf-link", "anon_inode:[perf_event]", "socket:"];
        let attached = descriptors.iter().any(|held| ways.iter().any(|way| held.starts_with(way)));
        attached && self.since.elapsed() > SETTLED
    }
}

/// Why a tool has ended, in its own words: the first of its lines that sounds like it.
pub fn reason(words: &str) -> String {
    let sounds = ["nable to", "ailed", "annot", "rror", "No such"];
    let telling = words.lines().find(|line| sounds.iter().any(|sound| line.contains(sound)));
    let line = telling.or_else(|| words.lines().last()).unwrap_or("it ended without a word");
    let short = line.split(". ").next().unwrap_or(line);
    short.chars().take(120).collect()
}

/// What connledger says that it lost.
fn lost_by_its_books(output: &[u8]) -> anyhow::Result<u64> {
    let last = output.trim_ascii_end().rsplit(|&byte| byte == b'\n').next().unwrap_or_default();
    let stop: serde_json::Value = serde_json::from_slice(last).context("connledger's last line")?;
    stop["lost"].as_u64().context("connledger's last line has no `lost`")
}

/// bpftrace says it among its lines.
fn reported_lost_in_lines(output: &[u8]) -> u64 {
    output
        .split(|&byte| byte == b'\n')
        .filter(|line| line.starts_with(b"Lost ") || line.starts_with(b"Possibly lost "))
        .map(|line| reported_lost(&String::from_utf8_lossy(line)))
        .sum()
}
