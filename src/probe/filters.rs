//! The filters, as the kernel side wants them: lists in maps, sets of ports in its constants.

use anyhow::Context as _;
use libbpf_rs::MapCore as _;
use libbpf_rs::MapFlags;
use libbpf_rs::MapMut;
use libbpf_rs::OpenMapMut;

use super::skel::ConnledgerMaps;
use super::skel::OpenConnledgerMaps;
use super::skel::types::cl_config;
use super::skel::types::cl_filter;
use super::skel::types::cl_filter_entry;
use crate::config::Families;
use crate::config::Filters;
use crate::config::List;
use crate::config::NetList;
use crate::config::PortList;

/// Sets what cannot be changed once the object is loaded: sizes of maps, modes, sets of ports.
///
/// # Errors
/// If libbpf refuses a size.
pub(super) fn configure(
    filters: &Filters,
    maps: &mut OpenConnledgerMaps<'_>,
    config: &mut cl_config,
) -> anyhow::Result<()> {
    resize(&mut maps.pid_filter, filters.pids.len())?;
    resize(&mut maps.uid_filter, filters.uids.len())?;
    resize(&mut maps.comm_filter, filters.comms.len())?;
    resize(&mut maps.cgroup_filter, filters.cgroups.len())?;
    resize(&mut maps.namespace_filter, filters.netns.len())?;
    resize(&mut maps.local_network_filter, filters.local_nets.compile().len())?;
    resize(&mut maps.remote_network_filter, filters.remote_nets.compile().len())?;

    config.pids = mode(&filters.pids);
    config.uids = mode(&filters.uids);
    config.comms = mode(&filters.comms);
    config.cgroups = mode(&filters.cgroups);
    config.namespaces = mode(&filters.netns);
    config.local_networks = mode(&filters.local_nets);
    config.remote_networks = mode(&filters.remote_nets);
    config.local_ports = u32::from(!filters.local_ports.is_empty());
    config.remote_ports = u32::from(!filters.remote_ports.is_empty());
    config.families = match filters.families {
        Families::Both => 0b11,
        Families::Ipv4 => 0b01,
        Families::Ipv6 => 0b10,
    };
    config.judges_ends = u32::from(
        config.families != 0b11
            || !filters.local_ports.is_empty()
            || !filters.remote_ports.is_empty()
            || !filters.netns.is_empty()
            || !filters.local_nets.is_empty()
            || !filters.remote_nets.is_empty(),
    );
    let rodata =
        maps.rodata_data.as_mut().context("the kernel side's configuration is not mapped")?;
    rodata.local_port_set = ports(&filters.local_ports);
    rodata.remote_port_set = ports(&filters.remote_ports);
    Ok(())
}

fn resize(map: &mut OpenMapMut<'_>, entries: usize) -> anyhow::Result<()> {
    map.set_max_entries(u32::try_from(entries.max(1))?)?;
    Ok(())
}

fn ports(list: &PortList) -> [u64; 1024] {
    *list.admitted()
}

fn mode<T>(list: &List<T>) -> u32 {
    if list.is_empty() {
        cl_filter::CL_FILTER_OFF.0
    } else if list.admits_others() {
        cl_filter::CL_FILTER_ADMIT_OTHERS.0
    } else {
        cl_filter::CL_FILTER_REFUSE_OTHERS.0
    }
}

/// Fills the maps, before anything is attached.
///
/// # Errors
/// If the kernel refuses an entry.
pub(super) fn fill(filters: &Filters, maps: &ConnledgerMaps<'_>) -> anyhow::Result<()> {
    fill_list(&maps.pid_filter, &filters.pids, |pid| pid.to_ne_bytes().to_vec())?;
    fill_list(&maps.uid_filter, &filters.uids, |uid| uid.to_ne_bytes().to_vec())?;
    fill_list(&maps.comm_filter, &filters.comms, |name| name.0.to_vec())?;
    fill_list(&maps.cgroup_filter, &filters.cgroups, |cgroup| cgroup.id.to_ne_bytes().to_vec())?;
    fill_list(&maps.namespace_filter, &filters.netns, |inode| inode.to_ne_bytes().to_vec())?;
    fill_networks(&maps.local_network_filter, &filters.local_nets)?;
    fill_networks(&maps.remote_network_filter, &filters.remote_nets)
}

fn fill_list<T>(
    map: &MapMut<'_>,
    list: &List<T>,
    key: impl Fn(&T) -> Vec<u8>,
) -> anyhow::Result<()> {
    for item in &list.include {
        put(map, &key(item), true)?;
    }
    // An exclusion outweighs an inclusion of the same item: it is written last.
    for item in &list.exclude {
        put(map, &key(item), false)?;
    }
    Ok(())
}

fn fill_networks(map: &MapMut<'_>, list: &NetList) -> anyhow::Result<()> {
    for rule in list.compile() {
        // As struct cl_network.
        let mut key = rule.prefix_len.to_ne_bytes().to_vec();
        key.extend_from_slice(&rule.address);
        put(map, &key, rule.admit)?;
    }
    Ok(())
}

fn put(map: &MapMut<'_>, key: &[u8], admit: bool) -> anyhow::Result<()> {
    let entry =
        if admit { cl_filter_entry::CL_ENTRY_INCLUDE } else { cl_filter_entry::CL_ENTRY_EXCLUDE };
    map.update(key, &[u8::try_from(entry.0)?], MapFlags::ANY).context("cannot set a filter")
}
