/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The lowest rung of the accept ladder: the exits of the accept system calls.
 *
 * All they tell is a descriptor. The way from there to the socket is walked through the task's file
 * table; what comes out is a plain address, which the socket storage helpers do not take. So what must
 * pass between this and the connection's state travels in two small tables keyed by that address.
 */
#ifndef CONNLEDGER_ACCEPT_BPF_H
#define CONNLEDGER_ACCEPT_BPF_H

struct waiting {
	__u64 established_ns;
	__u64 cookie;
	struct cl_owner owner; /* of the listener */
};

/*
 * Established, not accepted yet: as many as wait in all the host's accept queues. Entries are deleted by
 * the accept, or else with the socket. When it is full, an accept lacks its waiting time.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct waiting);
} accept_queue SEC(".maps");

struct acceptor {
	struct cl_owner owner;
	__u64 cookie; /* of the socket, whose address may be another's by now; 0 if it had none */
};

/*
 * Accepted by another process or thread than the listener's owner, which the socket's state does not
 * know yet: it adopts the entry at its next transition and deletes it; else it goes with the socket. When it is full,
 * a close is attributed to the listener's owner.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64);
	__type(value, struct acceptor);
} acceptors SEC(".maps");

static __always_inline void await_accept(struct sock *sk, const struct cl_owner *owner, __u64 now)
{
	struct waiting waiting = { .established_ns = now, .cookie = bpf_get_socket_cookie(sk) };
	__u64 key = (__u64)sk;

	waiting.owner = *owner;
	if (bpf_map_update_elem(&accept_queue, &key, &waiting, BPF_ANY))
		count(accept_queue_full);
}

/* Hands the acceptor over to the connection's state, if it is somebody that it does not know. */
static __always_inline bool adopt_acceptor(struct sock *sk, struct cl_owner *owner)
{
	__u64 key = (__u64)sk;
	struct acceptor *acceptor = bpf_map_lookup_elem(&acceptors, &key);
	bool mine;

	if (!acceptor)
		return false;
	mine = !acceptor->cookie || acceptor->cookie == bpf_get_socket_cookie(sk);
	if (mine)
		*owner = acceptor->owner;
	bpf_map_delete_elem(&acceptors, &key);
	return mine;
}

/* Whether nobody was seen to take it from the queue. */
static __always_inline bool awaits_accept(struct sock *sk)
{
	__u64 key = (__u64)sk;

	return bpf_map_lookup_elem(&accept_queue, &key);
}

static __always_inline void forget_accept(struct sock *sk)
{
	__u64 key = (__u64)sk;

	bpf_map_delete_elem(&accept_queue, &key);
	bpf_map_delete_elem(&acceptors, &key);
}

/* The TCP socket behind one of the task's descriptors; NULL if it is something else. */
static __always_inline struct sock *tcp_socket_of(struct task_struct *task, __u32 fd, bool *gone)
{
	struct fdtable *table = BPF_CORE_READ(task, files, fdt);
	struct file **slots, *file = NULL;
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	if (fd < BPF_CORE_READ(table, max_fds)) {
		slots = BPF_CORE_READ(table, fd);
		bpf_probe_read_kernel(&file, sizeof(file), slots + fd);
	}
	if (!file) { /* another thread closed it before the call returned */
		*gone = true;
		return NULL;
	}
	socket = BPF_CORE_READ(file, private_data);
	if (BPF_CORE_READ(socket, file) != file) { /* reused for something that is not a socket */
		*gone = true;
		return NULL;
	}
	sk = BPF_CORE_READ(socket, sk);
	family = BPF_CORE_READ(sk, __sk_common.skc_family);
	if (family != AF_INET && family != AF_INET6)
		return NULL;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return sk;
}

/* As fill_conn(), for a socket that is known by its address only. */
static __always_inline void read_conn(struct cl_conn *conn, const struct sock *sk, __u64 cookie)
{
	const struct sock_common *common = &sk->__sk_common;

	conn->cookie = cookie;
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
	conn->local_port = BPF_CORE_READ((const struct inet_sock *)sk, inet_sport);
	conn->remote_port = BPF_CORE_READ(common, skc_dport);
	conn->scope_id = BPF_CORE_READ(common, skc_bound_dev_if);
	conn->opened_by = CL_SIDE_REMOTE;
	__builtin_memset(conn->pad, 0, sizeof(conn->pad));
}

static __always_inline void accept_returned(long fd)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 now = bpf_ktime_get_boot_ns();
	bool gone = false, taken_by_owner = false, verdict;
	struct acceptor acceptor = {};
	__u64 established_ns = 0, key;
	struct cl_accept *record;
	struct waiting *waiting;
	struct sock *sk;
	__u8 state;

	if (fd < 0)
		return;
	sk = tcp_socket_of(task, fd, &gone);
	if (gone && asked_for(CL_ACCEPT)) {
		count(observed[CL_ACCEPT]);
		count(descriptor_gone);
	}
	if (!sk)
		return;

	identify(&acceptor.owner, task, CL_BY_ACCEPT);
	key = (__u64)sk;
	waiting = bpf_map_lookup_elem(&accept_queue, &key);
	if (waiting) {
		acceptor.cookie = waiting->cookie;
		established_ns = waiting->established_ns;
		taken_by_owner = same_owner(&acceptor.owner, &waiting->owner);
		bpf_map_delete_elem(&accept_queue, &key);
	} else {
		acceptor.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	}
	/*
	 * The state must learn of an acceptor that it cannot infer. It infers the listener's owner if the
	 * connection has left the queue when it leaves ESTABLISHED: so the queue is left first, and the
	 * state is read then. From a socket that is CLOSE already it learns nothing any more.
	 */
	state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (state != TCP_CLOSE && (state != TCP_ESTABLISHED || !taken_by_owner) &&
	    bpf_map_update_elem(&acceptors, &key, &acceptor, BPF_ANY))
		count(acceptors_full);

	verdict = family_admits(sk) && owner_admits(&acceptor.owner);
	if (verdict)
		announce(&acceptor.owner, task);
	if (!admit(CL_ACCEPT, verdict))
		return;
	record = reserve_event(struct cl_accept, CL_ACCEPT, now);
	if (!record)
		return;
	read_conn(&record->conn, sk, acceptor.cookie);
	record->owner = acceptor.owner;
	record->established_ns = established_ns;
	submit(record);
}

#endif
