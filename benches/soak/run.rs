//! One run of connledger under load: where it writes, how it is disturbed, how it ends, and what its log says.

use std::fs;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use nix::sys::signal::Signal;

use crate::checker::Checker;
use crate::checker::Ending;
use crate::children::Process;
use crate::children::to_file;
use crate::follow::Fault;
use crate::follow::Follower;
use crate::memory;
use crate::random::Random;

/// Time to attach under full load, and to let go: each hook waits for all CPUs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often memory is looked at.
const SAMPLING: Duration = Duration::from_millis(500);

/// How often the log is looked at.
const TICK: Duration = Duration::from_millis(20);

/// Where a run writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// A file is its standard output.
    File,
    /// A pipe, whose reader copies it to a file.
    Pipe,
}

/// What is to happen in a run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Where it writes.
    pub output: Output,
    /// Whether it is killed, or asked to stop.
    pub kill: bool,
    /// How long it lasts.
    pub length: Duration,
    /// Its ring buffer: the smaller, the sooner a pause makes it lose.
    pub ring_size: &'static str,
    /// Whether to judge its memory.
    pub judge_memory: bool,
}

/// A run.
pub struct Run {
    plan: Plan,
    path: PathBuf,
    tracer: Process,
    reader: Option<Process>,
    follower: Follower,
    begun: Instant,
    samples: Vec<u64>,
    /// When those that are paused go on, or the next one is paused.
    next_change: Instant,
    paused: bool,
    pauses: u32,
}

/// What became of a run.
pub struct Outcome {
    /// What its log said.
    pub checker: Checker,
    /// How long it ran.
    pub lasted: Duration,
    /// How often it or its reader was paused.
    pub pauses: u32,
    /// Its memory, if it ran long enough.
    pub memory: Option<memory::Verdict>,
}

impl Run {
    /// Starts it; its log and its complaints go to files of this name.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn begin(plan: Plan, path: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create_new(true).append(true).open(path)?;
        let complaints = File::create(path.with_extension("stderr"))?;
        let role = ["trace", "--", "-q", "--heartbeat", "1", "--ring-size", plan.ring_size];
        let stdout = match plan.output {
            Output::File => to_file(&log)?,
            Output::Pipe => Stdio::piped(),
        };
        let mut tracer = Process::start(&role, Stdio::null(), stdout, complaints.into())?;
        let reader = match tracer.take_stdout() {
            Some(pipe) => {
                Some(Process::start(&["read"], pipe.into(), to_file(&log)?, Stdio::inherit())?)
            }
            None => None,
        };
        // Written as well as read: holes are punched into what was checked.
        let follower = Follower::new(OpenOptions::new().read(true).write(true).open(path)?);
        let now = Instant::now();
        Ok(Self {
            plan,
            path: path.to_owned(),
            tracer,
            reader,
            follower,
            begun: now,
            samples: Vec::new(),
            next_change: now,
            paused: false,
            pauses: 0,
        })
    }

    /// Lets it run, disturbs it, follows its log. `goes_on` is asked all the time, and shown the run.
    ///
    /// # Errors
    /// If its log is wrong, or it ends by itself.
    pub fn last(
        &mut self,
        random: &mut Random,
        mut goes_on: impl FnMut(&Self) -> bool,
    ) -> Result<(), Fault> {
        while self.begun.elapsed() < self.plan.length && goes_on(self) {
            if self.tracer.ended()?.is_some() {
                return Err(self.trouble("connledger has ended by itself"));
            }
            let ready = self.follower.checker().is_ready();
            if !ready && self.begun.elapsed() > PATIENCE {
                return Err(self.trouble("connledger does not get ready"));
            }
            if ready {
                self.disturb(random);
            }
            self.sample();
            if self.follower.catch_up()? {
                thread::sleep(TICK);
            }
        }
        Ok(())
    }

    /// Pauses the tracer or its reader for a while, now and then.
    fn disturb(&mut self, random: &mut Random) {
        if Instant::now() < self.next_change {
            return;
        }
        let wait = if self.paused {
            self.resume();
            random.between(500, 4000)
        } else {
            match &mut self.reader {
                Some(reader) if random.below(2) == 0 => reader.pause(),
                _ => self.tracer.pause(),
            }
            self.paused = true;
            self.pauses += 1;
            random.between(200, 1500)
        };
        self.next_change = Instant::now() + Duration::from_millis(wait);
    }

    fn resume(&mut self) {
        self.tracer.resume();
        if let Some(reader) = &mut self.reader {
            reader.resume();
        }
        self.paused = false;
    }

    fn sample(&mut self) {
        if self.begun.elapsed() >= SAMPLING * u32::try_from(self.samples.len()).unwrap_or(u32::MAX)
        {
            self.samples.extend(memory::rss_anon_kib(self.tracer.pid()));
        }
    }

    /// Ends it as planned, and checks what its log says in the end. The log of a run without findings is removed.
    ///
    /// # Errors
    /// If its log is wrong, it does not end, or its memory grew.
    pub fn end(mut self) -> Result<Outcome, Fault> {
        let lasted = self.begun.elapsed();
        if self.plan.kill {
            self.tracer.signal(Signal::SIGKILL);
        } else {
            self.tracer.signal(Signal::SIGINT);
        }
        self.resume();
        let mut fault = Ok(true);
        let follower = &mut self.follower;
        let status = self.tracer.wait(PATIENCE, || {
            if fault.is_ok() {
                fault = follower.catch_up();
            }
        })?;
        fault?;
        match status {
            None => return Err(self.trouble("connledger does not end")),
            Some(status) if !self.plan.kill && !status.success() => {
                return Err(self.trouble(&format!("connledger: {status}")));
            }
            Some(_) => {}
        }
        if let Some(mut reader) = self.reader.take()
            && reader.wait(PATIENCE, || ())?.is_none()
        {
            return Err(self.trouble("the reader finds no end"));
        }
        self.follower.end(match (self.plan.kill, self.plan.output) {
            (false, _) => Ending::Stopped,
            (true, Output::File) => Ending::Killed,
            (true, Output::Pipe) => Ending::KilledUntorn,
        })?;
        let memory = self.plan.judge_memory.then(|| memory::Verdict::of(&self.samples)).flatten();
        if let Some(complaint) = memory.and_then(memory::Verdict::complaint) {
            return Err(self.trouble(&complaint));
        }
        fs::remove_file(&self.path)?;
        fs::remove_file(self.path.with_extension("stderr"))?;
        let Self { follower, pauses, .. } = self;
        Ok(Outcome { checker: follower.into_checker(), lasted, pauses, memory })
    }

    /// A finding about this run, with what it said on stderr.
    fn trouble(&self, what: &str) -> Fault {
        let said = fs::read_to_string(self.path.with_extension("stderr")).unwrap_or_default();
        let last_words: Vec<&str> = said.lines().rev().take(3).collect();
        let what = match last_words.as_slice() {
            [] => what.to_owned(),
            words => format!("{what}; stderr, last first: {}", words.join(" | ")),
        };
        self.follower.checker().finding(what).into()
    }

    /// What is to happen in it.
    pub fn plan(&self) -> Plan {
        self.plan
    }

    /// What its log said so far.
    pub fn checker(&self) -> &Checker {
        self.follower.checker()
    }

    /// What it took when memory was looked at last, KiB.
    pub fn memory(&self) -> Option<u64> {
        self.samples.last().copied()
    }
}
