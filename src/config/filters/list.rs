//! Lists as the command line has them: items separated by commas, those behind `!` excluded.

use std::fmt;
use std::fmt::Display;
use std::str::FromStr;

/// What is included, and what is excluded. With nothing included, all others are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List<T> {
    /// Only these, if there are any.
    pub include: Vec<T>,
    /// Not these, even if included.
    pub exclude: Vec<T>,
}

/// Numbers: process ids, user ids, inode numbers.
pub type NumberList = List<u32>;

impl<T> List<T> {
    /// How many items it names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.include.len() + self.exclude.len()
    }

    /// Whether it names none, and so admits all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it admits what it does not name: it includes nothing.
    #[must_use]
    pub fn admits_others(&self) -> bool {
        self.include.is_empty()
    }

    /// Adds the items of another list.
    pub fn extend(&mut self, other: Self) {
        self.include.extend(other.include);
        self.exclude.extend(other.exclude);
    }

    /// Its items as they are written: what is included first, what is excluded behind `!`.
    pub(super) fn marked(&self) -> impl Iterator<Item = (&'static str, &T)> {
        let included = self.include.iter().map(|item| ("", item));
        included.chain(self.exclude.iter().map(|item| ("!", item)))
    }
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { include: Vec::new(), exclude: Vec::new() }
    }
}

/// What is made of several lists.
impl<T> FromIterator<Self> for List<T> {
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        let mut all = Self::default();
        for list in lists {
            all.extend(list);
        }
        all
    }
}

impl<T: Display> Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (mark, item) in self.marked() {
            write!(f, "{separator}{mark}{item}")?;
            separator = ",";
        }
        Ok(())
    }
}

/// An item of a list that is written without commas.
pub(super) trait Item: Sized {
    /// Reads it, without its `!`.
    ///
    /// # Errors
    /// What is wrong, to be read behind the item: "is not a number".
    fn read(text: &str) -> Result<Self, String>;
}

impl<T: Item> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut list = Self::default();
        for item in text.split(',') {
            let item = item.trim();
            let (items, text) = match item.strip_prefix('!') {
                Some(rest) => (&mut list.exclude, rest),
                None => (&mut list.include, item),
            };
            items.push(T::read(text).map_err(|why| format!("'{item}' {why}"))?);
        }
        Ok(list)
    }
}

impl Item for u32 {
    fn read(text: &str) -> Result<Self, String> {
        if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err("is not a number".to_owned());
        }
        text.parse().map_err(|_| "is too large".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_lists() {
        let list: NumberList = "1, 22,!3".parse().expect("a list");
        assert_eq!(list, NumberList { include: vec![1, 22], exclude: vec![3] });
        assert_eq!(list.to_string(), "1,22,!3");
        for bad in ["", "1,", "x", "-1", "!", "1,!!2", "4294967296", "+1"] {
            assert!(bad.parse::<NumberList>().is_err(), "{bad}");
        }
        assert_eq!("1,!x".parse::<NumberList>(), Err("'!x' is not a number".to_owned()));
    }

    #[test]
    fn lists_of_lists() {
        let lists = ["1,!2", "3", "!4"].map(|text| text.parse::<NumberList>().expect("a list"));
        let all: NumberList = lists.into_iter().collect();
        assert_eq!(all.to_string(), "1,3,!2,!4");
        assert!(!all.admits_others());
        assert!("!4".parse::<NumberList>().expect("a list").admits_others());
    }
}
