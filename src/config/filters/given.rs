//! The filters as the `start` record repeats them.

use std::fmt::Display;

use super::Families;
use super::Filters;
use super::list::List;
use crate::ledger::FiltersGiven;

/// The longest text of a filter in a record, in bytes of JSON: all filters together leave a line short.
const LONGEST: usize = 512;

impl Filters {
    /// As the `start` record tells them; `None` if everything is wanted.
    #[must_use]
    pub fn given(&self) -> Option<FiltersGiven> {
        let mut cut = false;
        let given = FiltersGiven {
            pid: text(&self.pids, &mut cut),
            uid: text(&self.uids, &mut cut),
            comm: text(&self.comms, &mut cut),
            cgroup: text(&self.cgroups, &mut cut),
            netns: text(&self.netns, &mut cut),
            family: match self.families {
                Families::Both => None,
                Families::Ipv4 => Some("ipv4"),
                Families::Ipv6 => Some("ipv6"),
            },
            local_port: text(&self.local_ports, &mut cut),
            remote_port: text(&self.remote_ports, &mut cut),
            local_net: text(&self.local_nets, &mut cut),
            remote_net: text(&self.remote_nets, &mut cut),
            exclude_self: self.exclude_self,
            cut,
        };
        (given != FiltersGiven::default()).then_some(given)
    }
}

/// A list, as far as it has room: no item is torn.
fn text<T: Display>(list: &List<T>, cut: &mut bool) -> Option<String> {
    let mut text = String::new();
    let mut room = LONGEST;
    for (mark, item) in list.marked() {
        let separator = if text.is_empty() { "" } else { "," };
        let item = format!("{separator}{mark}{item}");
        let Some(left) = room.checked_sub(item.chars().map(escaped_len).sum()) else {
            *cut = true;
            break;
        };
        room = left;
        text.push_str(&item);
    }
    (!text.is_empty()).then_some(text)
}

/// The most bytes that JSON takes for a character.
fn escaped_len(c: char) -> usize {
    match c {
        '"' | '\\' => 2,
        _ if c.is_control() => 6,
        _ => c.len_utf8(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Cgroup;
    use super::super::CgroupList;
    use super::super::NumberList;
    use super::super::parse_names;
    use super::*;

    #[test]
    fn long_lists_are_cut_between_items() {
        let pids = NumberList { include: (1_000_000..1_001_000).collect(), exclude: vec![] };
        let given = Filters { pids, ..Filters::default() }.given().expect("filters");
        let pid = given.pid.expect("pids");
        assert!(given.cut && pid.len() <= LONGEST && pid.starts_with("1000000,"));
        assert_eq!(pid.rsplit(',').next().map(str::len), Some(7));
        assert_eq!(Filters::default().given(), None);
    }

    #[test]
    fn what_json_escapes_counts() {
        let names = [r"\xff\\"; 100].join(",");
        let comms = parse_names(names).expect("names");
        let given = Filters { comms, ..Filters::default() }.given().expect("filters");
        // `\xff\\,` is 7 characters, and 10 in JSON.
        assert_eq!(given.comm.map(|text| text.len()), Some(51 * 7 - 1));
        assert!(given.cut);
    }

    #[test]
    fn one_item_may_be_too_long() {
        let long = Cgroup::new(1, format!("/{}", "x".repeat(LONGEST)));
        let cgroups = CgroupList { include: vec![long], exclude: vec![] };
        let given = Filters { cgroups, ..Filters::default() }.given().expect("filters");
        assert_eq!((given.cgroup, given.cut), (None, true));
    }
}
