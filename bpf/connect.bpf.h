/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connecting. An attempt that sends a SYN shows as changes of the socket's state, however it was made. Two
 * things only the call itself knows: that an attempt failed before there was a SYN, and the error of one
 * that failed within the call without leaving an error with the socket (no port was free).
 */
#ifndef CONNLEDGER_CONNECT_BPF_H
#define CONNLEDGER_CONNECT_BPF_H

/* A thread's call of connect(2) on a socket that was not connecting: the attempt that it makes. */
struct connect_call {
	__u64 socket;  /* the address of its struct socket; 0 between calls */
	__u64 address; /* where the caller keeps the peer's */
	__s32 address_length;
	__u8 begun;   /* the socket became SYN_SENT in this call */
	__u8 bound;   /* it had a port before */
	__u8 failed;  /* and became CLOSE again, for a reason that the call will return */
	__u8 verdict; /* as far as it was known then; what follows belongs to that */
	__u64 begun_ns;
	struct cl_conn conn;
};

/* The kernel deletes an entry with its thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connect_call);
} connect_calls SEC(".maps");

static __always_inline void tell_connect(const struct cl_conn *conn, const struct cl_owner *owner,
					 __u64 begun_ns, __u32 error, bool established,
					 bool verdict, __u64 now)
{
	struct cl_connect *record;

	if (!admit(CL_CONNECT, verdict))
		return;
	record = reserve_event(struct cl_connect, CL_CONNECT, now);
	if (!record)
		return;
	record->conn = *conn;
	record->owner = *owner;
	record->begun_ns = begun_ns;
	record->error = error;
	record->established = established;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

/*
 * The call of the current thread, if it is one on this socket. MPTCP's first subflow has the application's struct
 * socket, too, but is not what is called.
 */
static __always_inline struct connect_call *current_call(struct sock *sk, const struct connection *c)
{
	struct connect_call *call;

	if (!asked_for(CL_CONNECT) || c->protocol == CL_MPTCP_SUBFLOW)
		return NULL;
	call = bpf_task_storage_get(&connect_calls, bpf_get_current_task_btf(), NULL, 0);
	return call && call->socket && call->socket == (__u64)socket_of(sk) ? call : NULL;
}

/* Whether an attempt may be wanted, as far as its ends are known when it begins: MPTCP knows neither. */
static __noinline bool may_be_wanted(struct sock *sk)
{
	struct cl_conn conn;

	if (!config.judges_ends)
		return true;
	fill_conn(&conn, sk);
	return conn.unknown & CL_NO_REMOTE || far_end_admits(&conn);
}

/* CLOSE → SYN_SENT, in the context of the caller, however it calls: the only place to learn who it is. */
static __always_inline void connect_begun(struct sock *sk, struct connection *c, __u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct connect_call *call = current_call(sk, c);

	identify(&c->owner, CL_BY_CONNECT);
	/* MPTCP opens further subflows by itself */
	if (task->flags & PF_KTHREAD && c->protocol == CL_MPTCP_SUBFLOW)
		c->owner.attribution = CL_UNATTRIBUTED;
	c->begun_ns = now;
	c->established_ns = 0;
	c->opened_by = CL_SIDE_LOCAL;
	c->first_fin = CL_SIDE_UNKNOWN;
	c->error_before = sk->sk_err;
	c->reset_received = 0;
	c->given_up = 0;
	c->verdict = owner_admits(&c->owner); /* of its ends, when the attempt is over */
	if (call) {
		call->begun = 1;
		call->bound = sk->__sk_common.skc_num != 0;
	}
	if (may_be_wanted(sk))
		announce(&c->owner);
}

/* The attempt failed within the call, and the socket keeps no error: the call's return will tell it. */
static __always_inline bool leave_to_call(struct sock *sk, const struct connection *c,
					  const struct cl_conn *conn)
{
	struct connect_call *call = current_call(sk, c);

	if (!call || !call->begun)
		return false;
	call->failed = 1;
	call->verdict = c->verdict;
	call->begun_ns = c->begun_ns;
	call->conn = *conn;
	return true;
}

/*
 * MPTCP connections whose first subflow has failed → its error. The connection fails with it, in the same
 * go, but keeps the error only after it has changed its state. That change deletes the entry.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, __u32);
} subflow_errors SEC(".maps");

static __always_inline void leave_to_mptcp(struct sock *subflow, __u32 error)
{
	const struct inet_connection_sock *icsk = (const void *)subflow;
	const struct mptcp_subflow_context *context = BPF_CORE_READ(icsk, icsk_ulp_data);
	const struct sock *sk;
	__u64 key;

	if (!bpf_core_field_exists(struct mptcp_subflow_context, conn)) /* no CONFIG_MPTCP */
		return;
	sk = BPF_CORE_READ(context, conn);
	key = (__u64)sk;
	/* an established one goes on with its other subflows */
	if (sk && BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_SENT)
		bpf_map_update_elem(&subflow_errors, &key, &error, BPF_ANY);
}

static __always_inline __u32 take_subflow_error(const struct sock *sk)
{
	__u64 key = (__u64)sk;
	__u32 *kept = bpf_map_lookup_elem(&subflow_errors, &key);
	__u32 error = kept ? *kept : 0;

	if (kept)
		bpf_map_delete_elem(&subflow_errors, &key);
	return error;
}

/* What the SYN leaves behind in the counters; see bytes_sent() in close.bpf.h. */
static __always_inline void count_syn(struct sock *sk, struct connection *c)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u64 acknowledged;

	c->bytes_in_syn = 0;
	c->syn_counted = tp && tp->bytes_acked;
	if (tp || !bpf_core_field_exists(struct mptcp_sock, first))
		return;
	/* MPTCP does not count what its first subflow has sent with the SYN */
	tp = (void *)BPF_CORE_READ((struct mptcp_sock *)sk, first);
	acknowledged = BPF_CORE_READ(tp, bytes_acked);
	c->bytes_in_syn = acknowledged ? acknowledged - 1 : 0;
}

/*
 * Why an attempt has failed; 0 if the socket does not say. Before there was a SYN its error may be older: a disconnect
 * leaves one. And a caller that keeps asking (SO_ERROR) may have taken what a RST left before the state changes.
 */
static __always_inline __u32 error_of_attempt(struct sock *sk, const struct connection *c)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u32 error = sk->sk_err;

	if (error == c->error_before && !(tp && tp->segs_out))
		return 0;
	if (!error && c->reset_received)
		return sk->__sk_common.skc_state == TCP_SYN_SENT ? ECONNREFUSED : ECONNRESET;
	return error;
}

/* SYN_SENT has ended, in any context. */
static __always_inline void connect_ended(struct sock *sk, struct connection *c, bool established,
					  __u64 now)
{
	__u32 error = established ? 0 : error_of_attempt(sk, c);
	struct cl_conn conn;

	if (established) {
		c->opened_by = CL_SIDE_LOCAL;
		c->established_ns = now;
		count_syn(sk, c);
	}
	if (c->protocol == CL_MPTCP_SUBFLOW && error)
		leave_to_mptcp(sk, error);
	if (is_silent(c))
		return;
	fill_conn_of(&conn, sk, c);
	judge(c, &conn);
	if (c->protocol == CL_MPTCP && !established)
		error = take_subflow_error(sk) ?: error;
	if (!established && !error) {
		if (leave_to_call(sk, c, &conn))
			return;
		/* from a call that is not seen: without a port it did not get one */
		if (!conn.local_port && c->protocol != CL_MPTCP)
			error = EADDRNOTAVAIL;
	}
	tell_connect(&conn, &c->owner, c->begun_ns, error, established, c->verdict, now);
}

static __always_inline void connect_called(__u32 fd, __u64 address, __s32 address_length)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct connect_call *call;
	struct socket *socket;

	call = bpf_task_storage_get(&connect_calls, task, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!call) {
		count(storage_failed);
		return;
	}
	/* the return of the thread's last call was skipped, and with it what it was to tell */
	if (call->socket && call->failed && admit(CL_CONNECT, call->verdict))
		count(nested[CL_CONNECT]);
	call->socket = 0;
	socket = private_data_behind(task, fd);
	/* otherwise it asks about an attempt that was made before, and is none */
	if (!socket || BPF_CORE_READ(socket, state) != SS_UNCONNECTED)
		return;
	call->begun = 0;
	call->failed = 0;
	call->address = address;
	call->address_length = address_length;
	call->socket = (__u64)socket;
}

/* Whether the call's return says that an attempt has failed: not that it goes on, or was none. */
static __always_inline bool is_failure(long returned)
{
	switch (-returned) {
	case EINPROGRESS:
	case EALREADY:
	case EISCONN:
	case EINTR:
	case EFAULT:
		return false;
	}
	return returned < 0 && !(returned <= -ERESTARTSYS && returned >= -ERESTART_RESTARTBLOCK);
}

/* Who asks for no address gets one of this host's: the one that the socket is bound to, or 127.0.0.1. */
static __always_inline __be32 complete_ipv4(__be32 ip, __be32 bound)
{
	return ip ?: bound ?: bpf_htonl(0x7f000001);
}

/* Of IPv6 ::1, unless the socket is bound to IPv4. */
static __always_inline void complete_ipv6(__be32 ip[4], const __u8 bound[16])
{
	bool is_bound_to_ipv4 = is_v4_mapped(bound);

	if (is_v4_mapped((const __u8 *)ip)) {
		ip[3] = complete_ipv4(ip[3], is_bound_to_ipv4 ? ((const __be32 *)bound)[3] : 0);
	} else if (is_unspecified((const __u8 *)ip)) {
		ip[2] = is_bound_to_ipv4 ? bpf_htonl(0xffff) : 0;
		ip[3] = is_bound_to_ipv4 ? bpf_htonl(0x7f000001) : bpf_htonl(1);
	}
}

/* The peer that was asked for. */
static __always_inline void read_asked_for(struct cl_conn *conn, const struct connect_call *call)
{
	struct {
		__u16 family;
		__be16 port;
		__be32 ipv4; /* of IPv6 the flow label */
		__u8 ipv6[16];
	} asked = {};
	/* as long as the kernel wants it: of IPv6, the interface may be left out */
	const __s32 ipv4_length = 16, ipv6_length = 24, with_interface = 28;
	const void *address = (const void *)call->address;
	__s32 length = call->address_length;
	__be32 bound;

	conn->unknown |= CL_NO_REMOTE;
	conn->remote_port = 0;
	__builtin_memset(conn->remote_ip, 0, sizeof(conn->remote_ip));
	if (length < ipv4_length || bpf_probe_read_user(&asked, 8, address))
		return;
	if (asked.family == AF_INET6) {
		if (length < ipv6_length || bpf_probe_read_user(&asked, 24, address))
			return;
		if (length >= with_interface && !conn->scope_id)
			bpf_probe_read_user(&conn->scope_id, 4, address + ipv6_length);
		__builtin_memcpy(conn->remote_ip, asked.ipv6, sizeof(asked.ipv6));
		complete_ipv6((__be32 *)conn->remote_ip, conn->local_ip);
	} else if (asked.family == AF_INET) {
		bound = conn->family == AF_INET ? *(__be32 *)conn->local_ip : 0;
		*(__be32 *)conn->remote_ip = complete_ipv4(asked.ipv4, bound);
	} else {
		return;
	}
	conn->remote_port = asked.port;
	conn->unknown &= ~CL_NO_REMOTE;
	if (conn->family != asked.family) {
		/* an address of the other family, which the socket does not take */
		conn->family = asked.family;
		conn->unknown |= CL_NO_LOCAL;
	}
}

/* The attempt has failed: the call says why, or that nobody knows. */
static __always_inline void failed_within_call(struct connect_call *call, long returned)
{
	struct cl_owner owner = {};
	bool verdict;

	identify(&owner, CL_BY_CONNECT);
	if (returned == -EADDRNOTAVAIL && !call->bound)
		call->conn.local_port = 0;     /* of an attempt before this one */
	if (call->conn.unknown & CL_NO_REMOTE) /* MPTCP did not get so far */
		read_asked_for(&call->conn, call);
	verdict = is_wanted(&owner, &call->conn); /* only now its ends are known */
	tell_connect(&call->conn, &owner, call->begun_ns, is_failure(returned) ? -returned : 0,
		     false, verdict, bpf_ktime_get_boot_ns());
}

/*
 * No SYN, no change of state. The socket's cookie would not name this attempt: another one may have been
 * made with it, or may follow.
 */
static __always_inline void failed_before_syn(struct connect_call *call, __u32 error)
{
	const struct socket *socket = (const struct socket *)call->socket;
	const struct sock *sk = BPF_CORE_READ(socket, sk);
	struct cl_owner owner = {};
	struct cl_conn conn;
	bool verdict;

	if (!is_socket(socket) || !is_tcp(sk))
		return;
	identify(&owner, CL_BY_CONNECT);
	read_conn(&conn, sk);
	/* the port that it is bound to: inet_sport may be that of an attempt long over */
	conn.local_port = bpf_htons(BPF_CORE_READ(sk, __sk_common.skc_num));
	mark_unknown(&conn);
	if (is_unspecified(conn.local_ip)) /* a bound port, and no address to go with it */
		conn.unknown |= CL_NO_LOCAL;
	conn.opened_by = CL_SIDE_LOCAL;
	read_asked_for(&conn, call);
	verdict = is_wanted(&owner, &conn);
	if (verdict)
		announce(&owner);
	tell_connect(&conn, &owner, 0, error, false, verdict, bpf_ktime_get_boot_ns());
}

static __always_inline void connect_returned(long returned)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct connect_call *call = bpf_task_storage_get(&connect_calls, task, NULL, 0);

	if (!call || !call->socket)
		return;
	if (call->failed)
		failed_within_call(call, returned);
	else if (!call->begun && is_failure(returned))
		failed_before_syn(call, -returned);
	call->socket = 0;
}

#endif
