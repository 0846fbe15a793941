//! The report as a person reads it: a paragraph a run, then what is wrong, then one line that says it all.

use std::fmt::Write as _;
use std::io;
use std::io::Write as _;

use anstyle::AnsiColor;
use anstyle::Style;

use super::problems::NAMED;
use super::report::Follows;
use super::report::Lost;
use super::report::Missing;
use super::report::ProblemReport;
use super::report::Report;
use super::report::RunReport;
use super::report::Verdict;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const NOTE: Style = AnsiColor::Yellow.on_default();
const NAME: Style = Style::new().bold();

/// Prints the report as JSON, on one line.
pub fn print_json(report: &Report) -> io::Result<()> {
    let mut json = serde_json::to_vec(report)?;
    json.push(b'\n');
    printed(io::stdout().write_all(&json))
}

/// Prints the report for people; with colours on a terminal only.
pub fn print(report: &Report) -> io::Result<()> {
    printed(anstream::stdout().write_all(text(report).as_bytes()))
}

/// A reader that went away has seen what it wanted.
fn printed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(err) if err.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// All of it. (Writing to a String does not fail.)
fn text(report: &Report) -> String {
    let mut text = String::new();
    for run in &report.runs {
        text += &run_text(run);
    }
    for file in &report.files {
        if let Some(error) = &file.error {
            let _ = writeln!(text, "{BAD}cannot read {}{BAD:#}: {error}", file.file);
        }
    }
    for problems in &report.problems {
        text += &problem_text(problems);
    }
    text += &verdict(report);
    text
}

/// A run: where and when, what there is, and whatever is not as it should be.
fn run_text(run: &RunReport) -> String {
    let RunReport { run: id, host, first_time, last_time, .. } = run;
    let mut text = format!("{NAME}run {id}{NAME:#} on {host}, {first_time} to {last_time}\n");
    let mut line = |style: Style, what: &str| {
        let _ = writeln!(text, "  {style}{what}{style:#}");
    };
    let (first, last) = (run.first_seq, run.last_seq);
    let own = run.records.saturating_sub(run.events);
    let outputs = if run.outputs.is_empty() {
        String::new()
    } else {
        format!(", by {}", run.outputs.join(" and "))
    };
    let plain = Style::new();
    line(
        plain,
        &format!("{first} to {last}: {} events and {own} of the ledger's own{outputs}", run.events),
    );
    if !run.started {
        line(NOTE, &format!("begins at {first}: what was before is not in these files"));
    }
    match run.stopped {
        Some(reason) => line(plain, &format!("stopped: {reason}")),
        None => line(NOTE, &unended_text(run)),
    }
    if let Some(lost) = &run.lost {
        line(NOTE, &lost_text(lost));
    }
    if let Some(missing) = &run.missing {
        line(BAD, &missing_text(missing));
    }
    if run.doubles != 0 {
        line(plain, &doubles_text(run));
    }
    if let Some(follows) = &run.follows {
        let overlaps = follows.after_us.is_some_and(|after| after < 0);
        let is_odd = overlaps || !follows.found || follows.also_before.is_some();
        line(if is_odd || follows.lacks_runs() { NOTE } else { plain }, &follows_text(follows));
    }
    text
}

fn lost_text(lost: &Lost) -> String {
    let causes: Vec<String> =
        lost.causes.iter().map(|(cause, count)| format!("{cause} {count}")).collect();
    let but_there = match lost.but_there {
        0 => String::new(),
        count => format!("; {count} of them are there all the same"),
    };
    format!("declared lost {}: {}{but_there}", lost.records, causes.join(", "))
}

fn missing_text(missing: &Missing) -> String {
    let range = |&(first, last): &(u64, u64)| {
        if first == last { first.to_string() } else { format!("{first} to {last}") }
    };
    let ranges: Vec<String> = missing.ranges.iter().map(range).collect();
    let more = match missing.gaps.saturating_sub(missing.ranges.len() as u64) {
        0 => String::new(),
        more => format!(", and {more} gaps more"),
    };
    let torn: Vec<String> = missing.torn.iter().map(u64::to_string).collect();
    let torn = match torn.len() {
        0 => String::new(),
        1 => format!("; {} is torn", torn[0]),
        _ => format!("; {} are torn", torn.join(", ")),
    };
    format!("missing {}, undeclared: {}{more}{torn}", missing.records, ranges.join(", "))
}

fn doubles_text(run: &RunReport) -> String {
    let uncompared = match run.uncompared {
        0 => String::new(),
        count => format!("; {count} of them too far from the first to be compared"),
    };
    format!("{} came twice{uncompared}", run.doubles)
}

/// A run without a `stop`.
fn unended_text(run: &RunReport) -> String {
    let last = run.last_seq;
    let missing = run.missing.as_ref().map_or(0, |missing| missing.at_end);
    match &run.followed_by {
        Some(next) => {
            let there = last - missing;
            let how = if next.stopped { "its stop is missing" } else { "without a stop: killed" };
            format!("ended after {there}, {how}; it had given {}, says run {}", next.seq, next.run)
        }
        None => format!("ended after {last}, without a stop: killed, or still running"),
    }
}

fn follows_text(follows: &Follows) -> String {
    let Follows { run, found, expected, unwritten, also_before, stopped, gap_us, after_us, .. } =
        follows;
    let Some(stopped) = stopped else {
        let after = after_us.unwrap_or_default();
        let span = span(after.unsigned_abs());
        return if after < 0 {
            format!("overlaps with run {run}, for {span}")
        } else {
            format!("begins {span} after run {run} ended")
        };
    };
    let how = if *stopped { "stopped" } else { "was killed or crashed" };
    let most = if *stopped { "" } else { "at most " };
    let gap = match gap_us {
        Some(gap) => format!("nobody watched for {most}{}, since run {run} {how}", span(*gap)),
        None => {
            format!("run {run} before it {how}; the clock was set back, and the gap is not known")
        }
    };
    let mut text = gap;
    match (found, expected) {
        (true, _) => {}
        (_, false) => text.push_str("; that one is not in these files"),
        (_, true) => {
            text.push_str("; that one is missing in these files, which have an earlier one");
        }
    }
    if *unwritten != 0 {
        let _ = write!(text, "; runs between that left no line: {unwritten}");
    }
    if let Some(other) = also_before {
        let _ = write!(text, "; run {other} names the same one: the state was set back");
    }
    text
}

/// A span in the two largest units that it has.
fn span(micros: u64) -> String {
    let (seconds, minutes, hours) =
        (micros / 1_000_000, micros / 60_000_000, micros / 3_600_000_000);
    match (hours, minutes, seconds) {
        (24.., ..) => format!("{} d {} h", hours / 24, hours % 24),
        (1.., ..) => format!("{hours} h {} min", minutes % 60),
        (_, 1.., _) => format!("{minutes} min {} s", seconds % 60),
        (_, _, 1..) => format!("{seconds}.{} s", micros / 100_000 % 10),
        _ => format!("{}.{:03} ms", micros / 1000, micros % 1000),
    }
}

fn problem_text(problems: &ProblemReport) -> String {
    let mut text = format!("{BAD}{}{BAD:#}: {}\n", problems.kind.title(), problems.count);
    for problem in &problems.first {
        match (&problem.file, problem.line) {
            (Some(file), Some(line)) => {
                let _ = writeln!(text, "  {file}:{line}: {}", problem.what);
            }
            _ => {
                let _ = writeln!(text, "  {}", problem.what);
            }
        }
    }
    if problems.count > NAMED as u64 {
        let _ = writeln!(text, "  and {} more", problems.count - NAMED as u64);
    }
    text
}

fn verdict(report: &Report) -> String {
    let sum =
        |count: fn(&RunReport) -> u64| report.runs.iter().map(count).fold(0, u64::saturating_add);
    let missing = sum(|run| run.missing.as_ref().map_or(0, |missing| missing.records));
    let lost = sum(|run| run.lost.as_ref().map_or(0, |lost| lost.records));
    let problems: u64 = report.problems.iter().map(|problems| problems.count).sum();
    let unended = sum(|run| u64::from(!run.started || run.stopped.is_none()));
    let absent = sum(|run| {
        run.follows.as_ref().map_or(0, |follows| follows.unwritten + u64::from(follows.expected))
    });
    let lines = report.lines;
    let runs = match report.runs.len() {
        1 => "1 run".to_owned(),
        count => format!("{count} runs"),
    };
    let mut said = vec![format!("{missing} missing"), format!("{lost} declared lost")];
    if problems != 0 {
        said.push(format!("{problems} wrong"));
    }
    if report.strict && unended != 0 {
        said.push(format!("{unended} runs without start or stop"));
    }
    if report.strict && absent != 0 {
        said.push(format!("{absent} runs missing as a whole"));
    }
    if report.newer_records != 0 {
        said.push(format!("{} of a newer minor, judged by what is known", report.newer_records));
    }
    let (style, word) = match report.verdict {
        Verdict::Sound => (GOOD, "sound"),
        Verdict::Faulty => (BAD, "faulty"),
        Verdict::Unread => (BAD, "not all could be read"),
    };
    let strictly = if report.strict { ", strictly" } else { "" };
    format!("{style}{word}{style:#}{strictly}: {lines} lines, {runs}, {}\n", said.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        for (micros, text) in [
            (0, "0.000 ms"),
            (1_500, "1.500 ms"),
            (2_345_678, "2.3 s"),
            (61_000_000, "1 min 1 s"),
            (3_720_000_000, "1 h 2 min"),
            (90_000_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(micros), text);
        }
    }
}
