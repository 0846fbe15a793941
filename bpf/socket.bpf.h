/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a socket tells of its connection, whether it is a trusted pointer or only an address. */
#ifndef CONNLEDGER_SOCKET_BPF_H
#define CONNLEDGER_SOCKET_BPF_H

/*
 * What kind of connection a socket carries; false if it is not one of ours.
 *
 * An application's MPTCP connection is a socket of its own, which changes state as a TCP one does. The
 * TCP connections that carry it are sockets of the kernel's, marked. A plain TCP client of an MPTCP
 * listener gets a plain TCP socket, which was unmarked before it is established.
 */
static __always_inline bool protocol_of(struct sock *sk, __u8 *protocol)
{
	struct tcp_sock *tp;

	if (sk->sk_protocol == IPPROTO_TCP) {
		*protocol = CL_TCP;
		if (bpf_core_field_exists(struct tcp_sock, is_mptcp)) {
			tp = bpf_skc_to_tcp_sock(sk);
			if (tp && tp->is_mptcp)
				*protocol = CL_MPTCP_SUBFLOW;
		}
		return true;
	}
	*protocol = CL_MPTCP;
	return sk->sk_protocol == IPPROTO_MPTCP;
}

/*
 * The struct socket that a process has of it, or NULL. Pointers are not read through one that the verifier trusts: newer
 * kernels search all their types, three times, whenever it comes across that.
 */
static __always_inline struct socket *socket_of(const struct sock *sk)
{
	return BPF_CORE_READ(sk, sk_socket);
}

/* Its process is closing it, in a state in which nothing else has both directions shut. */
static __always_inline bool is_closed_whole(const struct sock *sk, __u8 old_state)
{
	return (old_state == TCP_ESTABLISHED || old_state == TCP_CLOSE_WAIT) &&
	       (sk->sk_shutdown & SHUTDOWN_MASK) == SHUTDOWN_MASK;
}

static __always_inline bool is_unspecified(const __u8 ip[16])
{
	const __u64 *words = (const void *)ip;

	return !words[0] && !words[1];
}

/* What is not known has no address and no port; a listener may listen on all addresses. */
static __always_inline void mark_unknown(struct cl_conn *conn)
{
	conn->unknown = 0;
	if (is_unspecified(conn->local_ip) && !conn->local_port)
		conn->unknown |= CL_NO_LOCAL;
	if (is_unspecified(conn->remote_ip) && !conn->remote_port)
		conn->unknown |= CL_NO_REMOTE;
}

/* Of a socket that is a trusted pointer, except its cookie and what only the connection's state knows. */
static __always_inline void fill_conn(struct cl_conn *conn, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	conn->cookie = 0;
	conn->generation = 0;
	__builtin_memset(conn->local_ip, 0, sizeof(conn->local_ip));
	__builtin_memset(conn->remote_ip, 0, sizeof(conn->remote_ip));
	conn->family = sk->__sk_common.skc_family;
	if (conn->family == AF_INET6) {
		for (int i = 0; i < 4; i++) {
			((__u32 *)conn->local_ip)[i] =
				sk->__sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i];
			((__u32 *)conn->remote_ip)[i] =
				sk->__sk_common.skc_v6_daddr.in6_u.u6_addr32[i];
		}
	} else {
		*(__u32 *)conn->local_ip = sk->__sk_common.skc_rcv_saddr;
		*(__u32 *)conn->remote_ip = sk->__sk_common.skc_daddr;
	}
	/* not skc_num, which is 0 already when a socket has become CLOSE */
	if (tp) {
		conn->local_port = tp->inet_conn.icsk_inet.inet_sport;
		/* see socket_of() */
		conn->netns = tp->inet_conn.icsk_inet.sk.__sk_common.skc_net.net->ns.inum;
	} else {
		conn->local_port = BPF_CORE_READ((struct inet_sock *)sk, inet_sport);
		conn->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	}
	conn->remote_port = sk->__sk_common.skc_dport;
	conn->scope_id = sk->__sk_common.skc_bound_dev_if;
	conn->opened_by = CL_SIDE_UNKNOWN;
	conn->protocol = CL_TCP;
	__builtin_memset(conn->pad, 0, sizeof(conn->pad));
	mark_unknown(conn);
}

/* Of what begins like a socket and is known by its address only, except its own port and its cookie. */
static __always_inline void read_common(struct cl_conn *conn, const struct sock_common *common)
{
	conn->cookie = 0;
	conn->generation = 0;
	conn->netns = BPF_CORE_READ(common, skc_net.net, ns.inum);
	__builtin_memset(conn->local_ip, 0, sizeof(conn->local_ip));
	__builtin_memset(conn->remote_ip, 0, sizeof(conn->remote_ip));
	conn->family = BPF_CORE_READ(common, skc_family);
	if (conn->family == AF_INET6) {
		BPF_CORE_READ_INTO(&conn->local_ip, common, skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&conn->remote_ip, common, skc_v6_daddr);
	} else {
		*(__u32 *)conn->local_ip = BPF_CORE_READ(common, skc_rcv_saddr);
		*(__u32 *)conn->remote_ip = BPF_CORE_READ(common, skc_daddr);
	}
	conn->local_port = bpf_htons(BPF_CORE_READ(common, skc_num));
	conn->remote_port = BPF_CORE_READ(common, skc_dport);
	conn->scope_id = BPF_CORE_READ(common, skc_bound_dev_if);
	conn->opened_by = CL_SIDE_UNKNOWN;
	conn->protocol = CL_TCP;
	__builtin_memset(conn->pad, 0, sizeof(conn->pad));
	mark_unknown(conn);
}

/* As fill_conn(), for a socket that is known by its address only. */
static __always_inline void read_conn(struct cl_conn *conn, const struct sock *sk)
{
	read_common(conn, &sk->__sk_common);
	conn->local_port = BPF_CORE_READ((const struct inet_sock *)sk, inet_sport);
	if (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_MPTCP)
		conn->protocol = CL_MPTCP;
	mark_unknown(conn);
}

/* A file's private data is a socket if that says the same of the file. */
static __always_inline bool is_socket(const struct socket *socket)
{
	const struct file *file = BPF_CORE_READ(socket, file);

	return file && BPF_CORE_READ(file, private_data) == socket;
}

/* Of a socket that is known by its address only. */
static __always_inline bool is_tcp(const struct sock *sk)
{
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);
	__u16 protocol = BPF_CORE_READ(sk, sk_protocol);

	return (family == AF_INET || family == AF_INET6) &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP) &&
	       BPF_CORE_READ(sk, sk_type) == SOCK_STREAM; /* not a raw socket for TCP */
}

#endif
