//! The kinds of events, as the command line names them.

use std::str::FromStr;

use crate::event::Kind;

/// Kinds of events: `connect,close`, or `all`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KindList(Vec<Kind>);

impl KindList {
    /// The kinds of all these lists, each once, in the order of the wire's numbers.
    #[must_use]
    pub fn merged(lists: &[Self]) -> Vec<Kind> {
        let named = |kind: &Kind| lists.iter().any(|list| list.0.contains(kind));
        Kind::ALL.into_iter().filter(named).collect()
    }
}

impl FromStr for KindList {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut kinds = Vec::new();
        for item in text.split(',') {
            match item.trim() {
                "all" => kinds.extend(Kind::ALL),
                name => match Kind::ALL.into_iter().find(|kind| kind.name() == name) {
                    Some(kind) => kinds.push(kind),
                    None => return Err(format!("'{name}' is none of {}, all", names())),
                },
            }
        }
        Ok(Self(kinds))
    }
}

fn names() -> String {
    Kind::ALL.map(Kind::name).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_named_once() {
        let lists = ["close, connect,close", "connect"].map(|text| text.parse().expect(text));
        assert_eq!(KindList::merged(&lists), [Kind::Connect, Kind::Close]);
        let all = ["reset,all"].map(|text| text.parse().expect(text));
        assert_eq!(KindList::merged(&all), Kind::ALL);
    }

    #[test]
    fn what_is_no_kind() {
        for bad in ["", "connect,", "Connect", "everything"] {
            let said = bad.parse::<KindList>().expect_err(bad);
            assert!(said.contains("is none of connect, accept,"), "{said}");
        }
    }
}
