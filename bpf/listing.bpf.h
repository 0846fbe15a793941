/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was there when tracing began. Every open file of every task is looked at once, after the hooks are
 * attached: each socket gets an owner, and connections (and listeners) whose beginning nobody saw are
 * told as open.
 *
 * Meanwhile they may be accepted, or end, on other CPUs. Who enters a connection into the table `told`
 * first tells of its beginning: this listing, the exit of its accept, or its end, which then tells an open
 * ahead of the close.
 */
#ifndef CONNLEDGER_LISTING_BPF_H
#define CONNLEDGER_LISTING_BPF_H

static __always_inline bool is_connection(__u8 state)
{
	switch (state) {
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSE_WAIT:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		return true;
	}
	return false;
}

/* Who had sent FIN first, as far as the state tells. */
static __always_inline __u8 first_fin_of(__u8 state)
{
	switch (state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
		return CL_SIDE_LOCAL;
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		return CL_SIDE_REMOTE;
	}
	return CL_SIDE_UNKNOWN;
}

/* A listener is listed for those who ask about listening. */
static __always_inline bool is_listed(__u8 state)
{
	if (state == TCP_LISTEN)
		return asked_for(CL_LISTEN);
	return asked_for(CL_OPEN) && is_connection(state);
}

/* Counts an open and says whether to send it, as admit() does for the kinds that -e names. */
static __always_inline bool admit_open(bool verdict)
{
	count(observed[CL_OPEN]);
	if (!verdict)
		count(filtered[CL_OPEN]);
	return verdict;
}

static __always_inline void fill_open(struct cl_open *record, const struct cl_conn *conn,
				      const struct cl_owner *owner, __u8 state)
{
	record->conn = *conn;
	if (state == TCP_LISTEN)
		record->conn.unknown = CL_NO_REMOTE;
	record->owner = *owner;
	record->state = state;
	__builtin_memset(record->pad, 0, sizeof(record->pad));
}

/* Its end comes while the listing has not reached it. */
static __always_inline void tell_open_before_close(struct sock *sk, struct connection *c,
						   __u8 old_state, __u64 now)
{
	struct cl_open *record;
	struct cl_conn conn;

	if (!READ_ONCE(shared.listing) || c->opened_by != CL_SIDE_UNKNOWN || is_silent(c) ||
	    !is_listed(old_state))
		return;
	if (old_state == TCP_LISTEN && c->owner.attribution == CL_BY_LISTENER) /* it began under our eyes */
		return;
	if (!is_first_to_tell(sk))
		return;
	c->listed = 1;
	if (!admit_open(c->verdict))
		return;
	record = reserve_event(struct cl_open, CL_OPEN, now);
	if (!record)
		return;
	fill_conn_of(&conn, sk, c);
	if (old_state == TCP_LISTEN)
		conn.cookie = bpf_get_socket_cookie(sk);
	fill_open(record, &conn, &c->owner, old_state);
	submit(record);
}

/*
 * A transition may be under way on another CPU: the stored state is left alone, and the attribution,
 * which makes the rest valid, the verdict too, is written last.
 */
static __always_inline void give_owner(struct connection *c, struct cl_owner *owner)
{
	owner->attribution = CL_UNATTRIBUTED;
	c->owner = *owner;
	WRITE_ONCE(c->owner.attribution, CL_BY_HOLDER);
}

static __always_inline void judge_for(struct sock *sk, struct connection *c,
				      const struct cl_owner *owner)
{
	struct cl_conn conn;

	if (c->opened_by != CL_SIDE_UNKNOWN)
		return;
	fill_conn(&conn, sk);
	c->verdict = owner->admitted && ends_admit(&conn);
}

/* The current task closes it, before the listing has come to it. */
static __noinline void held_by_current(struct sock *sk, struct connection *c)
{
	struct cl_owner owner = {};

	identify(&owner, CL_BY_HOLDER);
	judge_for(sk, c, &owner);
	announce(&owner);
	give_owner(c, &owner);
}

/* The listing has come to a task that holds it. */
static __always_inline void held_by(struct task_struct *task, struct sock *sk, struct connection *c)
{
	struct cl_owner owner;

	identify_task(&owner, task, CL_BY_HOLDER);
	judge_for(sk, c, &owner);
	/* a listener's is its connections', too, and what is not established yet is judged by ends that it will have */
	if (c->verdict || !is_connection(sk->__sk_common.skc_state))
		announce_task(&owner, task);
	give_owner(c, &owner);
}

/*
 * The record is filled before it is decided who tells of the connection: the transition to CLOSE decides
 * before it wipes the socket, so what was filled was true if this side wins.
 */
static __always_inline void tell_open(struct sock *sk, struct connection *c, __u8 state, __u64 now)
{
	struct cl_open *record;
	struct cl_conn conn;
	bool verdict;

	fill_conn_of(&conn, sk, c);
	if (state == TCP_LISTEN)
		conn.cookie = bpf_get_socket_cookie(sk);
	else if (!conn.cookie)
		c->cookie = NO_COOKIE;
	verdict = is_wanted(&c->owner, &conn);
	record = verdict ? bpf_ringbuf_reserve(&events, sizeof(*record), 0) : NULL;
	if (record) {
		fill_header(&record->header, CL_OPEN, sizeof(*record), now);
		fill_open(record, &conn, &c->owner, state);
	}
	if (!is_first_to_tell(sk)) {
		if (record)
			bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	c->listed = 1;
	if (c->first_fin == CL_SIDE_UNKNOWN)
		c->first_fin = first_fin_of(state);
	if (!admit_open(verdict))
		return;
	if (record)
		submit(record);
	else
		count(ring_full[CL_OPEN]);
	/* MPTCP's transition to CLOSE has let go of what is entered here, or will not */
	if (c->protocol == CL_MPTCP && sk->__sk_common.skc_state == TCP_CLOSE)
		forget_passive(sk);
}

/* Whether a task or its open file has to do with io_uring, which accepts without a system call. */
static __always_inline bool is_of_ring(const struct task_struct *task, const struct file *file)
{
	static const char ring[] = "[io_uring]";
	char name[sizeof(ring)];

	if (bpf_core_field_exists(task->io_uring) && task->io_uring)
		return true;
	if (bpf_probe_read_kernel(name, sizeof(name), file->f_path.dentry->d_name.name))
		return false;
	for (int i = 0; i < (int)sizeof(ring); i++) {
		if (name[i] != ring[i])
			return false;
	}
	return true;
}

/* A socket in a task's file table. Says whether it may have been told of. */
static __always_inline bool list_socket(struct sock *sk, struct task_struct *task)
{
	__u8 state = sk->__sk_common.skc_state, protocol;
	struct connection *c;

	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return false;
	if (sk->sk_type != SOCK_STREAM || !protocol_of(sk, &protocol) || state == TCP_CLOSE)
		return false;
	c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!c) {
		count(storage_failed);
		return false;
	}
	if (c->owner.attribution == CL_UNATTRIBUTED) {
		c->protocol = protocol;
		if (!c->tcp_state && (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2))
			note_fin(sk, c);
		held_by(task, sk, c);
	}
	/* told already: it began under our eyes, or another task has it too */
	if (c->opened_by != CL_SIDE_UNKNOWN || c->listed || !is_listed(state))
		return false;
	if (state == TCP_LISTEN && c->tcp_state == TCP_LISTEN)
		return false;
	tell_open(sk, c, state, bpf_ktime_get_boot_ns());
	return true;
}

#endif
