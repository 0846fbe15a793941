/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Filters. A connection is judged once, when its process becomes known, and the verdict stays with it,
 * so that its close follows its connect or accept. Every filter that is set must admit it.
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

static __always_inline bool list_admits(void *list, enum cl_filter mode, __u32 number)
{
	__u8 *entry;

	if (mode == CL_FILTER_OFF)
		return true;
	entry = bpf_map_lookup_elem(list, &number);
	if (entry)
		return *entry == CL_ENTRY_INCLUDE;
	return mode == CL_FILTER_ADMIT_OTHERS;
}

/* ::ffff:0:0/96: an IPv6 socket that speaks IPv4 */
static __always_inline bool is_v4_mapped(const __u32 ip[4])
{
	return ip[0] == 0 && ip[1] == 0 && ip[2] == bpf_htonl(0xffff);
}

/* A v4-mapped connection counts as IPv4, as it is written. */
static __always_inline bool family_admits(const struct sock *sk)
{
	__u32 family = CL_IPV4;

	if (config.families == (CL_IPV4 | CL_IPV6))
		return true;
	/* read by address: the socket is a typed pointer on some hooks only */
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		struct in6_addr remote;

		BPF_CORE_READ_INTO(&remote, sk, __sk_common.skc_v6_daddr);
		family = is_v4_mapped(remote.in6_u.u6_addr32) ? CL_IPV4 : CL_IPV6;
	}
	return config.families & family;
}

static __always_inline bool owner_admits(const struct cl_owner *owner)
{
	/* nobody is not user 0: only a list of exclusions, or none, admits him */
	if (owner->attribution == CL_UNATTRIBUTED)
		return config.pids != CL_FILTER_REFUSE_OTHERS &&
		       config.uids != CL_FILTER_REFUSE_OTHERS;
	return list_admits(&pid_filter, config.pids, owner->pid) &&
	       list_admits(&uid_filter, config.uids, owner->uid);
}

#endif
