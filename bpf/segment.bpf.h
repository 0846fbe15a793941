/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Single segments that tell of trouble: sent again, or a reset. Told on request. */
#ifndef CONNLEDGER_SEGMENT_BPF_H
#define CONNLEDGER_SEGMENT_BPF_H

/* Whose it is and where it goes, and whether it is wanted, of a socket in any state. */
struct subject {
	struct cl_conn conn;
	struct cl_owner owner;
	bool wanted;
};

/* False if nothing is to be told of it. */
static __always_inline bool fill_subject(struct subject *subject, struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	__u8 protocol;

	if (!protocol_of(sk, &protocol))
		return false;
	/* who speaks to the socket that MPTCP listens with speaks plain TCP, unless the SYN says otherwise */
	if (sk->__sk_common.skc_state == TCP_LISTEN)
		protocol = CL_TCP;
	if (protocol == CL_MPTCP_SUBFLOW && !config.subflows)
		return false;
	fill_conn(&subject->conn, sk);
	subject->conn.protocol = protocol;
	subject->conn.cookie = bpf_get_socket_cookie(sk);
	__builtin_memset(&subject->owner, 0, sizeof(subject->owner));
	if (c) {
		/* fast open: before it is established, its state is its listener's */
		if (sk->__sk_common.skc_state != TCP_SYN_RECV)
			settle_owner(sk, c, false);
		subject->conn.generation = c->generation;
		subject->conn.opened_by = c->opened_by;
		subject->owner = c->owner;
	}
	subject->wanted = is_wanted(&subject->owner, &subject->conn);
	return true;
}

static __always_inline void tell_retransmit(const struct subject *subject, __u8 state)
{
	struct cl_retransmit *record;

	if (!admit(CL_RETRANSMIT, subject->wanted))
		return;
	record = reserve_event(struct cl_retransmit, CL_RETRANSMIT, bpf_ktime_get_boot_ns());
	if (!record)
		return;
	record->conn = subject->conn;
	record->owner = subject->owner;
	record->state = state;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

static __always_inline void tell_reset(const struct subject *subject, __u8 state, bool sent)
{
	struct cl_reset *record;

	if (!admit(CL_RESET, subject->wanted))
		return;
	record = reserve_event(struct cl_reset, CL_RESET, bpf_ktime_get_boot_ns());
	if (!record)
		return;
	record->conn = subject->conn;
	record->owner = subject->owner;
	record->state = state;
	record->sent = sent;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

static __always_inline bool asks_for_mptcp(const struct request_sock *request)
{
	const struct tcp_request_sock *tcp = (const void *)request;
	const struct mptcp_subflow_request_sock *subflow = (const void *)request;

	if (!bpf_core_field_exists(tcp->is_mptcp) || !BPF_CORE_READ(tcp, is_mptcp))
		return false;
	return BPF_CORE_READ_BITFIELD_PROBED(subflow, mp_capable) ||
	       BPF_CORE_READ_BITFIELD_PROBED(subflow, mp_join);
}

/* An answer to a SYN goes out again: there is no socket yet, only its listener. */
static __always_inline void synack_sent_again(struct sock *listener, const struct request_sock *request)
{
	bool subflow = asks_for_mptcp(request);
	struct subject subject;

	if ((subflow && !config.subflows) || !fill_subject(&subject, listener))
		return;
	read_common(&subject.conn, &request->__req_common);
	subject.conn.protocol = subflow ? CL_MPTCP_SUBFLOW : CL_TCP;
	subject.conn.opened_by = CL_SIDE_REMOTE;
	subject.wanted = is_wanted(&subject.owner, &subject.conn);
	tell_retransmit(&subject, TCP_SYN_RECV);
}

/*
 * A segment that no socket of ours takes is answered with RST: its source is the peer. Not every kernel
 * tells the device that it came in by, and so the network namespace.
 */
static __always_inline bool read_refused(struct cl_conn *conn, const struct sk_buff *skb)
{
	const unsigned char *head = BPF_CORE_READ(skb, head);
	const unsigned char *ip = head + BPF_CORE_READ(skb, network_header);
	const unsigned char *tcp = head + BPF_CORE_READ(skb, transport_header);
	struct net_device *device = BPF_CORE_READ(skb, dev);
	__be16 ports[2];

	__builtin_memset(conn, 0, sizeof(*conn));
	if (BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IP)) {
		conn->family = AF_INET;
		bpf_probe_read_kernel(conn->remote_ip, 4, ip + 12);
		bpf_probe_read_kernel(conn->local_ip, 4, ip + 16);
	} else if (BPF_CORE_READ(skb, protocol) == bpf_htons(ETH_P_IPV6)) {
		conn->family = AF_INET6;
		bpf_probe_read_kernel(conn->remote_ip, 16, ip + 8);
		bpf_probe_read_kernel(conn->local_ip, 16, ip + 24);
	} else {
		return false;
	}
	if (bpf_probe_read_kernel(ports, sizeof(ports), tcp))
		return false;
	conn->remote_port = ports[0];
	conn->local_port = ports[1];
	if (device)
		conn->netns = BPF_CORE_READ(device, nd_net.net, ns.inum);
	mark_unknown(conn);
	return true;
}

/* A listener answers a segment that belongs to no connection: the peer stands in the segment only. */
static __noinline bool fill_stranger(struct subject *subject, struct sock *sk,
				     const struct sk_buff *skb)
{
	__u32 netns = subject->conn.netns;

	if (sk->__sk_common.skc_state != TCP_LISTEN || !skb)
		return true;
	if (!read_refused(&subject->conn, skb))
		return false;
	subject->conn.netns = netns;
	subject->wanted = is_wanted(&subject->owner, &subject->conn);
	return true;
}

static __noinline void reset_without_socket(const struct sk_buff *skb)
{
	struct subject subject = {};

	if (!read_refused(&subject.conn, skb))
		return;
	subject.wanted = is_wanted(&subject.owner, &subject.conn);
	tell_reset(&subject, 0, true);
}

/* What stands for a socket in TIME_WAIT or in a handshake is smaller than one, and has no process. */
static __always_inline bool is_whole(const struct sock *sk)
{
	return sk->__sk_common.skc_state != TCP_TIME_WAIT &&
	       sk->__sk_common.skc_state != TCP_NEW_SYN_RECV;
}

#endif
