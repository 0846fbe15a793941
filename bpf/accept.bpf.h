/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Accepting, as both rungs of the ladder see it: the exits of the accept system calls, and for an accept
 * that is none (io_uring) the first read or write. These are followed only once there is a reason, for they are
 * many: a ring was there or is made, an accept was not seen, or a table fills that they would relieve.
 *
 * All that an exit tells is a descriptor. The way from there to the socket is walked through the task's
 * file table; what comes out is a plain address, which the socket storage helpers do not take. So what must
 * pass between this and the connection's state travels in small tables keyed by that address.
 */
#ifndef CONNLEDGER_ACCEPT_BPF_H
#define CONNLEDGER_ACCEPT_BPF_H

struct waiting {
	__u64 established_ns;
	__u64 cookie; /* of the socket */
	struct cl_conn conn;
	struct cl_owner owner; /* of the listener */
};

/*
 * Established, not accepted yet: as many as wait in all the host's accept queues. Entries are deleted by
 * the accept, or else with the socket. When it is full, an accept lacks its waiting time. Sized before load
 * by the number of CPUs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct waiting);
} accept_queue SEC(".maps");

struct acceptor {
	struct cl_owner owner;
	__u64 cookie; /* of the socket, whose address may be another's by now; 0 if it had none */
	__u64 accepted_ns; /* 0 if the accept has been told */
};

/*
 * Accepted by another process or thread than the listener's owner, or before it was established (fast
 * open), which the socket's state does not know yet. It adopts the entry at its next transition or at the
 * first read or write, and deletes it; else it goes with the socket. When it is full, a close is
 * attributed to the listener's owner. Sized as the one above.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, struct acceptor);
} acceptors SEC(".maps");

/*
 * Connections whose beginning was not seen and has been told of since, by an open or by an accept: whoever
 * enters one first tells it. They go with the socket. Sized before load by what is open.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, __u64);
	__type(value, __u8);
} told SEC(".maps");

static __always_inline bool is_first_to_tell(const struct sock *sk)
{
	__u64 key = (__u64)sk;
	__u8 yes = 1;
	long err = bpf_map_update_elem(&told, &key, &yes, BPF_NOEXIST);

	if (err && err != -EEXIST)
		count(told_full);
	return err != -EEXIST;
}

static __always_inline void enter_acceptor(__u64 key, const struct acceptor *acceptor)
{
	if (bpf_map_update_elem(&acceptors, &key, acceptor, BPF_ANY)) {
		count(acceptors_full);
		want_io();
	} else {
		count(acceptors_held);
	}
}

static __always_inline void delete_acceptor(__u64 key)
{
	if (!bpf_map_delete_elem(&acceptors, &key))
		uncount(acceptors_held);
}

/* The socket goes: nothing of it may be left to the next one at its address. */
static __always_inline void forget_passive(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&accept_queue, &key);
	delete_acceptor(key);
	bpf_map_delete_elem(&told, &key);
}

static __always_inline void tell_accept(const struct cl_conn *conn, const struct cl_owner *owner,
					__u64 established_ns, bool verdict, __u64 now)
{
	struct cl_accept *record;

	if (!admit(CL_ACCEPT, verdict))
		return;
	record = reserve_event(struct cl_accept, CL_ACCEPT, now);
	if (!record)
		return;
	record->conn = *conn;
	record->owner = *owner;
	record->established_ns = established_ns;
	submit(record);
}

/* As tell_accept(), from the connection's own state. */
static __noinline void tell_accept_of(struct sock *sk, struct connection *c, __u64 established_ns,
				      __u64 now)
{
	struct cl_conn conn;

	fill_conn_of(&conn, sk, c);
	judge(c, &conn);
	tell_accept(&conn, &c->owner, established_ns, c->verdict, now);
}

/* Whether it is in the queue, as far as the system calls tell. */
static __always_inline bool awaits_accept(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&accept_queue, &key);
}

/* Takes it out of the queue: who succeeds tells the accept. */
static __always_inline bool leave_queue(const struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_delete_elem(&accept_queue, &key) == 0;
}

/* Takes the acceptor over into the connection's state, if there is one that it does not know. */
static __noinline bool adopt_acceptor(struct sock *sk, struct connection *c)
{
	__u64 key = (__u64)sk, accepted_ns;
	struct acceptor *acceptor = bpf_map_lookup_elem(&acceptors, &key);

	if (!acceptor)
		return false;
	if (acceptor->cookie && acceptor->cookie != bpf_get_socket_cookie(sk)) {
		delete_acceptor(key);
		return false;
	}
	c->owner = acceptor->owner;
	c->accepted = 1;
	accepted_ns = acceptor->accepted_ns;
	delete_acceptor(key);
	if (accepted_ns) {
		/* fast open: it may have been established, and so queued, before it was entered here */
		leave_queue(sk);
		tell_accept_of(sk, c, c->established_ns, accepted_ns);
	} else {
		judge_socket(c, sk);
	}
	return true;
}

static __always_inline void enter_queue(struct sock *sk, struct connection *c)
{
	struct waiting waiting = { .established_ns = c->established_ns };
	__u64 key = (__u64)sk;

	waiting.cookie = bpf_get_socket_cookie(sk);
	fill_conn_of(&waiting.conn, sk, c);
	waiting.owner = c->owner;
	c->queued = !bpf_map_update_elem(&accept_queue, &key, &waiting, BPF_ANY);
	if (!c->queued) {
		count(accept_queue_full);
		want_io(); /* it may be full of what was accepted unseen */
	}
}

/* A child becomes ESTABLISHED, in any context: it is its listener's until somebody accepts it. */
static __always_inline void passive_established(struct sock *sk, struct connection *c, __u64 now)
{
	if (c->owner.attribution != CL_UNATTRIBUTED)
		c->owner.attribution = CL_BY_LISTENER;
	c->begun_ns = 0;
	c->established_ns = now;
	c->generation = 0;
	c->opened_by = CL_SIDE_REMOTE;
	c->first_fin = CL_SIDE_UNKNOWN;
	c->accepted = 0;
	c->queued = 0;
	c->listed = 0;
	c->had_process = 0;
	c->syn_counted = 0;
	c->bytes_in_syn = 0;
	judge_socket(c, sk);
	c->cookie = 0;
	if (c->protocol == CL_MPTCP_SUBFLOW)
		bpf_get_socket_cookie(sk); /* gives it one, for the connection that it is the first of */
	if (c->protocol == CL_MPTCP_SUBFLOW || config.accept_rung != CL_ACCEPT_SYSCALL)
		return;
	/* with fast open it may have been accepted before */
	if (!adopt_acceptor(sk, c))
		enter_queue(sk, c);
}

/*
 * A child leaves SYN_RECV in another way than by being established. With fast open it may have been accepted
 * before, seen or unseen, and then it was a connection; otherwise it was none.
 */
static __always_inline bool fast_opened(struct sock *sk, struct connection *c)
{
	__u64 key = (__u64)sk;
	struct acceptor *acceptor;

	if (c->protocol == CL_MPTCP_SUBFLOW || config.accept_rung != CL_ACCEPT_SYSCALL)
		return false;
	acceptor = bpf_map_lookup_elem(&acceptors, &key);
	if (!acceptor && !socket_of(sk))
		return false;
	/* for its process it began when that took it, if that is known */
	passive_established(sk, c, acceptor ? acceptor->accepted_ns : 0);
	return true;
}

/*
 * By now, if ever, it must be known who accepted it. An accept(2) that is about to return has put the
 * socket into its process's hands and has not been told: so a connection that has a process and is still in
 * the queue was accepted unseen only if its process is already at work with it.
 */
static __always_inline void settle_owner(struct sock *sk, struct connection *c, bool at_work)
{
	bool queued;

	if (c->opened_by == CL_SIDE_LOCAL || c->accepted || c->protocol == CL_MPTCP_SUBFLOW ||
	    config.accept_rung != CL_ACCEPT_SYSCALL)
		return;
	/* in this order: an accept is entered among the acceptors before it leaves the queue */
	queued = awaits_accept(sk);
	if (adopt_acceptor(sk, c) || c->opened_by != CL_SIDE_REMOTE)
		return;
	if (!socket_of(sk)) /* no process has it */
		return;
	c->had_process = 1;
	if (!queued) {
		/* taken from the queue, and by nobody but its listener's owner */
		if (c->owner.attribution == CL_BY_LISTENER)
			c->owner.attribution = CL_BY_ACCEPT;
		c->accepted = 1;
	} else if (at_work && leave_queue(sk)) {
		c->accepted = 1;
		want_io();
		tell_accept_of(sk, c, c->established_ns, bpf_ktime_get_boot_ns());
	}
}

/*
 * The socket is freed. If it had a process that nobody saw accept, then that was so all the same: also if the process
 * did no more than close what was over already. What nobody takes from the queue is disconnected with its listener,
 * which wipes the peer's port.
 */
static __always_inline void settle_last(struct sock *sk, struct connection *c)
{
	if (!c->accepted && (c->had_process || sk->__sk_common.skc_dport) && leave_queue(sk)) {
		want_io();
		tell_accept_of(sk, c, c->established_ns, bpf_ktime_get_boot_ns());
	}
}

/*
 * Whether nothing of it is left in the tables: it was in the queue, and who accepted it has told so. It may
 * have been entered among the acceptors only by that, and was adopted then.
 */
static __always_inline bool has_left_tables(const struct connection *c)
{
	return c->queued && c->accepted && c->owner.attribution == CL_BY_ACCEPT;
}

/*
 * The current task reads or writes what fast open lets it have before it is established. The state is still the
 * listener's then, and learns of it when it is.
 */
static __always_inline void used_early(struct sock *sk)
{
	struct acceptor acceptor = {};
	__u64 key = (__u64)sk;

	/* otherwise its accept was seen, or another thread is ahead of this one */
	if (bpf_map_lookup_elem(&acceptors, &key))
		return;
	identify(&acceptor.owner, CL_BY_IO);
	acceptor.accepted_ns = bpf_ktime_get_boot_ns();
	announce(&acceptor.owner);
	enter_acceptor(key, &acceptor);
}

/* The current task reads or writes. It is who accepted, if nobody was seen to. */
static __always_inline void used(struct sock *sk)
{
	struct connection *c;

	if (sk->sk_protocol != IPPROTO_TCP && sk->sk_protocol != IPPROTO_MPTCP)
		return;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (!c || c->accepted || c->protocol == CL_MPTCP_SUBFLOW)
		return;
	if (c->opened_by == CL_SIDE_UNKNOWN && sk->__sk_common.skc_state == TCP_SYN_RECV)
		used_early(sk);
	if (c->opened_by != CL_SIDE_REMOTE)
		return;
	if (adopt_acceptor(sk, c))
		return;
	if (!leave_queue(sk)) {
		/* its accept was seen, or another thread is ahead of this one */
		settle_owner(sk, c, false);
		return;
	}
	c->accepted = 1;
	identify(&c->owner, CL_BY_IO);
	announce(&c->owner);
	tell_accept_of(sk, c, c->established_ns, bpf_ktime_get_boot_ns());
}

static __always_inline void accept_returned(long fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	bool taken_by_owner = false, over = false, admitted = false, wanted = true, verdict;
	struct acceptor acceptor = {};
	__u64 established_ns = 0, now, key;
	struct waiting *waiting;
	struct socket *socket;
	struct cl_conn conn;
	struct sock *sk;
	__u8 state;

	if (fd < 0)
		return;
	socket = private_data_behind(task, fd);
	if (!socket || !is_socket(socket)) { /* another thread closed it before the call returned */
		if (asked_for(CL_ACCEPT)) {
			count(observed[CL_ACCEPT]);
			count(descriptor_gone);
		}
		return;
	}
	sk = BPF_CORE_READ(socket, sk);
	key = (__u64)sk;
	/* ahead of the look into the queue, for it enters that before it becomes ESTABLISHED */
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	waiting = bpf_map_lookup_elem(&accept_queue, &key);
	if (!waiting && !is_tcp(sk))
		return;
	now = bpf_ktime_get_boot_ns();
	identify(&acceptor.owner, CL_BY_ACCEPT);
	if (waiting) {
		acceptor.cookie = waiting->cookie;
		established_ns = waiting->established_ns;
		conn = waiting->conn;
		taken_by_owner = same_owner(&acceptor.owner, &waiting->owner);
		admitted = owner_admits(&waiting->owner);
	} else {
		acceptor.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	}
	/* ahead of what a transition on another CPU may tell of it; what MPTCP accepts has its addresses only now */
	if (waiting && conn.protocol != CL_MPTCP)
		wanted = ends_admit(&conn);
	if (wanted)
		announce(&acceptor.owner);
	/*
	 * The state must learn of an acceptor that it cannot infer. It infers the listener's owner if the
	 * connection has left the queue and there is no acceptor: so the acceptor is entered first. From a
	 * socket that is CLOSE already the state learns nothing any more.
	 */
	if (!waiting && state == TCP_SYN_RECV) {
		/* Fast open. It has no cookie yet; told when it is established, or over. */
		acceptor.accepted_ns = now;
		enter_acceptor(key, &acceptor);
		return;
	}
	if (state != TCP_CLOSE && (state != TCP_ESTABLISHED || !taken_by_owner))
		enter_acceptor(key, &acceptor);
	/* left meanwhile: another thread was at work with it, and it has been told */
	if (waiting && !leave_queue(sk))
		return;
	/* MPTCP gives the socket its addresses when it is accepted */
	if (!waiting || conn.protocol == CL_MPTCP) {
		read_conn(&conn, sk);
		conn.cookie = conn.protocol == CL_MPTCP ? first_subflow_cookie(sk) : acceptor.cookie;
		conn.opened_by = CL_SIDE_REMOTE;
		wanted = ends_admit(&conn);
	}
	/* MPTCP lets go of what is entered here when it becomes CLOSE: after that, nothing may stay */
	if (conn.protocol == CL_MPTCP) {
		over = BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE;
		if (over)
			forget_passive(sk);
	}
	/* it was established before tracing began, and may have been listed as open */
	if (!waiting && !over && !is_first_to_tell(sk))
		return;
	/* a close that came first was judged by its listener's owner, and the verdict stands */
	if (!waiting || state != TCP_CLOSE)
		admitted = owner_admits(&acceptor.owner);
	verdict = admitted && wanted;
	if (verdict && !acceptor.owner.admitted) {
		acceptor.owner.admitted = true;
		announce(&acceptor.owner);
	}
	tell_accept(&conn, &acceptor.owner, established_ns, verdict, now);
}

#endif
