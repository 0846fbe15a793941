/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Listening. What a listener's state holds above all is its owner, whom its children inherit. */
#ifndef CONNLEDGER_LISTEN_BPF_H
#define CONNLEDGER_LISTEN_BPF_H

static __noinline void tell_listen(struct sock *sk, struct connection *c, bool begins, __u64 now)
{
	struct cl_listen *record;
	struct cl_conn conn;

	/* the socket that MPTCP listens with is never told of; the application's is */
	if (c->protocol == CL_MPTCP_SUBFLOW || !asked_for(CL_LISTEN))
		return;
	fill_conn_of(&conn, sk, c);
	conn.cookie = bpf_get_socket_cookie(sk);
	conn.unknown = CL_NO_REMOTE;
	/* judged once: it may get its port only after it has begun */
	if (begins)
		c->verdict = is_wanted(&c->owner, &conn);
	if (!admit(CL_LISTEN, c->verdict))
		return;
	record = reserve_event(struct cl_listen, CL_LISTEN, now);
	if (!record)
		return;
	record->conn = conn;
	record->owner = c->owner;
	record->backlog = sk->sk_max_ack_backlog;
	record->begins = begins;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

/* CLOSE → LISTEN, in the context of the caller. */
static __always_inline void listen_begun(struct sock *sk, struct connection *c, __u64 now)
{
	__u32 generation = c->generation;
	__u8 protocol = c->protocol;

	__builtin_memset(c, 0, sizeof(*c));
	c->generation = generation;
	c->protocol = protocol;
	c->tcp_state = TCP_LISTEN;
	identify(&c->owner, CL_BY_LISTENER);
	announce(&c->owner);
	tell_listen(sk, c, true, now);
}

#endif
