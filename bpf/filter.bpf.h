/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Filters. A connection is wanted if every filter that is set admits it. A process is judged when it
 * calls, a connection once both its ends are known; the verdict stays with it, so that its close follows
 * its beginning.
 */
#ifndef CONNLEDGER_FILTER_BPF_H
#define CONNLEDGER_FILTER_BPF_H

/* Listed process ids → enum cl_filter_entry. Filled before attach, sized before load, then constant. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} pid_filter SEC(".maps");

/* Listed user ids, in the same way. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} uid_filter SEC(".maps");

/* Listed names of threads, padded with NUL, in the same way. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, char[16]);
	__type(value, __u8);
} comm_filter SEC(".maps");

/* Listed cgroups by their ids, in the same way. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u8);
} cgroup_filter SEC(".maps");

/* Listed network namespaces by their inode numbers, in the same way. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u8);
} namespace_filter SEC(".maps");

/* Listed networks of this host's ends; the longest prefix decides. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct cl_network);
	__type(value, __u8);
} local_network_filter SEC(".maps");

/* Listed networks of the peers' ends. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct cl_network);
	__type(value, __u8);
} remote_network_filter SEC(".maps");

/* The ports that are admitted, a bit each. Set before load. */
const volatile __u64 local_port_set[CL_PORT_WORDS] = {};
const volatile __u64 remote_port_set[CL_PORT_WORDS] = {};

/* Levels of cgroups that are looked at, from the process's own upwards. */
#define CGROUP_LEVELS 32

static __always_inline bool list_admits(void *list, enum cl_filter mode, const void *key)
{
	__u8 *entry;

	if (mode == CL_FILTER_OFF)
		return true;
	entry = bpf_map_lookup_elem(list, key);
	if (entry)
		return *entry == CL_ENTRY_INCLUDE;
	return mode == CL_FILTER_ADMIT_OTHERS;
}

/* A cgroup is listed with everything below it; an exclusion anywhere above outweighs an inclusion. */
static __always_inline bool cgroup_admits(struct task_struct *task)
{
	bool admitted = config.cgroups != CL_FILTER_REFUSE_OTHERS;
	struct cgroup_subsys_state *css;

	if (config.cgroups == CL_FILTER_OFF)
		return true;
	css = &task->cgroups->dfl_cgrp->self;
	for (int level = 0; level < CGROUP_LEVELS && css; level++) {
		__u64 id = BPF_CORE_READ(css, cgroup, kn, id);
		__u8 *entry = bpf_map_lookup_elem(&cgroup_filter, &id);

		if (entry && *entry == CL_ENTRY_EXCLUDE)
			return false;
		if (entry)
			admitted = true;
		css = BPF_CORE_READ(css, parent);
	}
	return admitted;
}

static __always_inline bool comm_admits(const __u8 comm[16])
{
	__u64 name[2];

	__builtin_memcpy(name, comm, sizeof(name));
	return list_admits(&comm_filter, config.comms, name);
}

static __always_inline bool process_admits(const struct cl_owner *owner, struct task_struct *task)
{
	/* not every kernel takes a key from where owner may be */
	__u32 pid = owner->pid, uid = owner->uid;

	return pid != shared.self && list_admits(&pid_filter, config.pids, &pid) &&
	       list_admits(&uid_filter, config.uids, &uid) && comm_admits(owner->comm) &&
	       cgroup_admits(task);
}

/* Nobody is not user 0: only lists of exclusions, or none, admit him. */
static __always_inline bool owner_admits(const struct cl_owner *owner)
{
	if (owner->attribution != CL_UNATTRIBUTED)
		return owner->admitted;
	return config.pids != CL_FILTER_REFUSE_OTHERS && config.uids != CL_FILTER_REFUSE_OTHERS &&
	       config.comms != CL_FILTER_REFUSE_OTHERS && config.cgroups != CL_FILTER_REFUSE_OTHERS;
}

/* ::ffff:0:0/96: an IPv6 socket that speaks IPv4 */
static __always_inline bool is_v4_mapped(const __u8 ip[16])
{
	const __u32 *words = (const void *)ip;

	return words[0] == 0 && words[1] == 0 && words[2] == bpf_htonl(0xffff);
}

static __always_inline bool network_admits(void *list, enum cl_filter mode, __u8 family,
					   const __u8 ip[16], bool unknown)
{
	struct cl_network key = { .prefix_length = 128 };

	if (mode == CL_FILTER_OFF)
		return true;
	if (unknown)
		return mode != CL_FILTER_REFUSE_OTHERS;
	if (family == AF_INET) {
		key.ip[10] = 0xff;
		key.ip[11] = 0xff;
		__builtin_memcpy(key.ip + 12, ip, 4);
	} else {
		__builtin_memcpy(key.ip, ip, 16);
	}
	return list_admits(list, mode, &key);
}

static __always_inline bool port_admits(const volatile __u64 *set, __be16 port)
{
	__u16 number = bpf_ntohs(port);

	return set[number / 64] >> (number % 64) & 1;
}

/* As ends_admit(), without what is this host's: that is known last. */
static __always_inline bool far_end_admits(const struct cl_conn *conn)
{
	const __u8 *known = conn->unknown & CL_NO_REMOTE ? conn->local_ip : conn->remote_ip;
	/* a v4-mapped connection counts as IPv4, as it is written */
	__u32 family = conn->family == AF_INET || is_v4_mapped(known) ? CL_IPV4 : CL_IPV6;
	__u32 netns = conn->netns; /* as in process_admits() */

	return (config.families & family) &&
	       (!config.remote_ports || port_admits(remote_port_set, conn->remote_port)) &&
	       list_admits(&namespace_filter, config.namespaces, &netns) &&
	       network_admits(&remote_network_filter, config.remote_networks, conn->family,
			      conn->remote_ip, conn->unknown & CL_NO_REMOTE);
}

/* What is filtered by is in the connection's ends; an unknown one is admitted by exclusions only. */
__noinline int ends_admit(const struct cl_conn *conn)
{
	if (!conn || !config.judges_ends)
		return true;
	return far_end_admits(conn) &&
	       (!config.local_ports || port_admits(local_port_set, conn->local_port)) &&
	       network_admits(&local_network_filter, config.local_networks, conn->family,
			      conn->local_ip, conn->unknown & CL_NO_LOCAL);
}

/* A connection is wanted if its process is, and its ends are. */
static __always_inline bool is_wanted(const struct cl_owner *owner, const struct cl_conn *conn)
{
	return owner_admits(owner) && ends_admit(conn);
}

#endif
