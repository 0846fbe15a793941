//! What is wrong, by kind: how often, and the first places of each.

use serde::Serialize;

/// So many places of a kind are named, the rest is counted.
pub const NAMED: usize = 20;

/// The longest text that is told of one problem, in characters: it may quote the line.
const LONGEST: usize = 200;

/// Where something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the sources.
    pub file: usize,
    /// Which line, from 1.
    pub line: u64,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A line that is not as the schema has it.
    Malformed,
    /// A line of another major version of the schema.
    OtherMajor,
    /// A line that ends in the middle.
    Torn,
    /// A number that came twice, and the second time with something else.
    Altered,
    /// A `start` that is not the first record, or a record behind the `stop`.
    Misplaced,
    /// Figures that do not balance, or not with what was read.
    Books,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Malformed,
        Self::OtherMajor,
        Self::Torn,
        Self::Altered,
        Self::Misplaced,
        Self::Books,
    ];

    /// What it is called, of several.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Malformed => "malformed lines",
            Self::OtherMajor => "lines of another major version",
            Self::Torn => "torn lines",
            Self::Altered => "records that came twice, and not the same",
            Self::Misplaced => "records out of place",
            Self::Books => "books that do not balance",
        }
    }
}

/// A problem.
#[derive(Debug)]
pub struct Problem {
    /// Where; `None` if it is of a run as a whole.
    pub place: Option<Place>,
    /// What is wrong.
    pub what: String,
}

/// The problems of one kind.
#[derive(Debug, Default)]
pub struct Problems {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Problem>,
}

/// All problems.
#[derive(Debug, Default)]
pub struct Ledger([Problems; Kind::ALL.len()]);

impl Ledger {
    /// Adds one. It is put into words only if there is room for it.
    pub fn add(&mut self, kind: Kind, place: Option<Place>, what: impl FnOnce() -> String) {
        let problems = &mut self.0[kind as usize];
        problems.count += 1;
        if problems.first.len() < NAMED {
            problems.first.push(Problem { place, what: printable(&what()) });
        }
    }

    /// Those that there are.
    pub fn iter(&self) -> impl Iterator<Item = (Kind, &Problems)> {
        Kind::ALL.into_iter().zip(&self.0).filter(|(_, problems)| problems.count != 0)
    }
}

/// A text that cannot drive a terminal, and has an end.
#[must_use]
pub fn printable(text: &str) -> String {
    let mut printable = String::new();
    for (i, c) in text.chars().enumerate() {
        if i == LONGEST {
            printable.push('…');
            break;
        }
        if c.is_control() {
            printable.extend(c.escape_default());
        } else {
            printable.push(c);
        }
    }
    printable
}
