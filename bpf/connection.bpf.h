/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A connection's life: its state, kept with its socket, and what each change of it means. */
#ifndef CONNLEDGER_CONNECTION_BPF_H
#define CONNLEDGER_CONNECTION_BPF_H

struct connection {
	struct cl_owner owner;
	__u64 begun_ns;       /* SYN about to be sent; 0 for a passive connection, or unknown */
	__u64 established_ns; /* 0 if not, or unknown */
	__u32 generation;
	__u8 tcp_state; /* the last state that was handled here; 0 if none */
	__u8 opened_by; /* enum cl_side */
	__u8 first_fin; /* enum cl_side */
	__u8 verdict;   /* whether the filters admit it */
};

/*
 * The state of every TCP socket that we met. It lives and dies with the socket. A listener's state is
 * cloned into each child, which is how a connection knows its listener's owner. If the kernel cannot
 * allocate the clone it drops the incoming connection, so this must stay small.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

_Static_assert(sizeof(struct connection) < 128, "a failed clone costs the host a connection");

static __always_inline void fill_conn(struct cl_conn *conn, struct sock *sk,
				      const struct tcp_sock *tp, const struct connection *c)
{
	conn->cookie = bpf_get_socket_cookie(sk);
	conn->generation = c->generation;
	conn->netns = sk->__sk_common.skc_net.net->ns.inum;
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
	conn->local_port = tp->inet_conn.icsk_inet.inet_sport;
	conn->remote_port = sk->__sk_common.skc_dport;
	conn->scope_id = sk->__sk_common.skc_bound_dev_if;
	conn->opened_by = c->opened_by;
	__builtin_memset(conn->pad, 0, sizeof(conn->pad));
}

static __always_inline void emit_connect(struct sock *sk, struct connection *c, bool established,
					 __u64 now)
{
	struct tcp_sock *tp;
	struct cl_connect *record;

	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || !admit(CL_CONNECT, c->verdict)) /* it is TCP; the verifier wants to see the check */
		return;
	record = reserve_event(struct cl_connect, CL_CONNECT, now);
	if (!record)
		return;
	fill_conn(&record->conn, sk, tp, c);
	record->owner = c->owner;
	record->begun_ns = c->begun_ns;
	record->error = established ? 0 : sk->sk_err;
	record->established = established;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

static __always_inline void emit_close(struct sock *sk, struct connection *c, __u8 old_state, __u64 now)
{
	struct tcp_sock *tp;
	struct cl_close *record;

	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp || !admit(CL_CLOSE, c->verdict))
		return;
	record = reserve_event(struct cl_close, CL_CLOSE, now);
	if (!record)
		return;
	fill_conn(&record->conn, sk, tp, c);
	record->owner = c->owner;
	record->established_ns = c->established_ns;
	record->bytes_sent = tp->bytes_sent - tp->bytes_retrans;
	/* the peer's FIN takes a sequence number and is counted with the bytes */
	record->bytes_received = tp->bytes_received - ((sk->__sk_common.skc_flags >> SOCK_DONE) & 1);
	record->segments_sent = tp->segs_out;
	record->segments_received = tp->segs_in;
	record->retransmits = tp->total_retrans;
	record->srtt_8us = tp->srtt_us;
	record->error = sk->sk_err;
	record->first_fin = c->first_fin;
	/* straight to CLOSE with no error: linger 0, or unread data; the kernel then sends RST */
	record->aborted = (old_state == TCP_ESTABLISHED || old_state == TCP_CLOSE_WAIT) &&
			  record->error == 0;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

/* CLOSE → SYN_SENT, in the context of the caller, however it calls: the only place to learn who it is. */
static __always_inline void connect_begun(struct sock *sk, struct connection *c, __u64 now)
{
	struct task_struct *task = bpf_get_current_task_btf();

	/* a socket may connect again after it was disconnected (AF_UNSPEC) */
	if (c->opened_by != CL_SIDE_UNKNOWN)
		c->generation++;
	identify(&c->owner, task, CL_BY_CONNECT);
	c->begun_ns = now;
	c->established_ns = 0;
	c->opened_by = CL_SIDE_LOCAL;
	c->first_fin = CL_SIDE_UNKNOWN;
	c->verdict = family_admits(sk) && owner_admits(&c->owner);
	if (c->verdict)
		announce(&c->owner, task);
}

/* CLOSE → LISTEN, in the context of the caller. Its children inherit the owner. */
static __always_inline void listen_begun(struct connection *c)
{
	struct task_struct *task = bpf_get_current_task_btf();

	__builtin_memset(c, 0, sizeof(*c));
	identify(&c->owner, task, CL_BY_LISTENER);
	if (owner_admits(&c->owner))
		announce(&c->owner, task);
}

/* SYN_RECV → ESTABLISHED of a child, in any context: it is its listener's until somebody accepts it. */
static __always_inline void passive_established(struct sock *sk, struct connection *c, __u64 now)
{
	if (c->owner.attribution != CL_UNATTRIBUTED)
		c->owner.attribution = CL_BY_LISTENER;
	c->begun_ns = 0;
	c->established_ns = now;
	c->generation = 0;
	c->opened_by = CL_SIDE_REMOTE;
	c->first_fin = CL_SIDE_UNKNOWN;
	c->verdict = family_admits(sk) && owner_admits(&c->owner);
	if (config.accept_rung == CL_ACCEPT_SYSCALL)
		await_accept(sk, &c->owner, now);
}

/* The connection ends, or begins to: by now it must be known who accepted it. */
static __always_inline void settle_owner(struct sock *sk, struct connection *c)
{
	if (c->opened_by == CL_SIDE_LOCAL)
		return;
	if (config.accept_rung == CL_ACCEPT_SYSCALL && adopt_acceptor(sk, &c->owner)) {
		c->verdict = family_admits(sk) && owner_admits(&c->owner);
		return;
	}
	/* it was taken from the queue, and by nobody but its listener's owner */
	if (c->owner.attribution == CL_BY_LISTENER && sk->sk_socket && !awaits_accept(sk))
		c->owner.attribution = CL_BY_ACCEPT;
}

/*
 * Found in a task's file table at start. A transition may be under way on another CPU: the stored state
 * is left alone, and the attribution, which makes the rest valid, is written last.
 */
static __always_inline void held_at_start(struct sock *sk, struct connection *c,
					  struct task_struct *task)
{
	struct cl_owner owner;

	identify(&owner, task, CL_BY_HOLDER);
	c->verdict = family_admits(sk) && owner_admits(&owner);
	if (c->verdict)
		announce(&owner, task);
	owner.attribution = CL_UNATTRIBUTED;
	c->owner = owner;
	WRITE_ONCE(c->owner.attribution, CL_BY_HOLDER);
}

/* A transition to TCP_CLOSE. */
static __always_inline void closed(struct sock *sk, struct connection *c, __u8 old_state, __u64 now)
{
	switch (old_state) {
	case TCP_LISTEN:
		return;
	case TCP_SYN_SENT:
		emit_connect(sk, c, false, now);
		return;
	case TCP_SYN_RECV:
		/* A child that loses the race for one connection, or whose listener went away, was never
		 * a connection; a simultaneous open that fails is a failed connect. */
		if (c->opened_by == CL_SIDE_LOCAL)
			emit_connect(sk, c, false, now);
		return;
	default:
		settle_owner(sk, c);
		emit_close(sk, c, old_state, now);
	}
}

/* An event that both programs on the tracepoint were kept from seeing, known by what came after it. */
static __always_inline void count_missed(enum cl_kind kind, bool verdict)
{
	if (admit(kind, verdict))
		count(nested[kind]);
}

/* A new life begins, or the socket goes: the last one's end, if it is not stored, was not seen. */
static __always_inline void count_unfinished(const struct connection *c)
{
	switch (c->tcp_state) {
	case TCP_SYN_SENT:
		count_missed(CL_CONNECT, c->verdict);
		break;
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_CLOSE_WAIT:
		count_missed(CL_CLOSE, c->verdict);
		break;
	}
}

/*
 * Transitions that say nothing new cost no more than these comparisons. The two programs on the
 * tracepoint must agree about them: the second one takes a state that is not stored for one that the
 * first did not see.
 */
static __always_inline bool tells_something(__u8 old_state, __u8 new_state)
{
	if (old_state == new_state) /* MPTCP does that */
		return false;
	switch (new_state) {
	case TCP_SYN_SENT:
	case TCP_LISTEN:
	case TCP_ESTABLISHED:
	case TCP_CLOSE:
		return true;
	case TCP_FIN_WAIT1:
	case TCP_CLOSE_WAIT:
		return old_state == TCP_ESTABLISHED || old_state == TCP_SYN_RECV;
	default:
		return false;
	}
}

static __always_inline void handle_transition(struct sock *sk, struct connection *c, __u8 old_state,
					      __u8 new_state)
{
	__u64 now = bpf_ktime_get_boot_ns();

	/* the stored state tells of what neither program saw */
	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN)
		count_unfinished(c);
	else if (c->tcp_state == TCP_SYN_SENT && old_state != TCP_SYN_SENT && old_state != TCP_SYN_RECV)
		count_missed(CL_CONNECT, c->verdict);
	/* the beginning was not seen, and nobody was found to hold it: judged by what is known */
	if (!c->tcp_state && c->owner.attribution == CL_UNATTRIBUTED)
		c->verdict = family_admits(sk) && owner_admits(&c->owner);
	c->tcp_state = new_state;
	switch (new_state) {
	case TCP_SYN_SENT:
		connect_begun(sk, c, now);
		break;
	case TCP_LISTEN:
		listen_begun(c);
		c->tcp_state = TCP_LISTEN;
		break;
	case TCP_ESTABLISHED:
		if (old_state == TCP_SYN_SENT || c->opened_by == CL_SIDE_LOCAL) {
			c->opened_by = CL_SIDE_LOCAL;
			c->established_ns = now;
			emit_connect(sk, c, true, now);
		} else {
			passive_established(sk, c, now);
		}
		break;
	case TCP_FIN_WAIT1:
		c->first_fin = CL_SIDE_LOCAL;
		settle_owner(sk, c);
		break;
	case TCP_CLOSE_WAIT:
		c->first_fin = CL_SIDE_REMOTE;
		settle_owner(sk, c);
		break;
	case TCP_CLOSE:
		closed(sk, c, old_state, now);
		break;
	}
}

#endif
