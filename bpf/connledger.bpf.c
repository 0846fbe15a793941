/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel side: thin programs on stable hooks. What they do stands in the headers, in this order:
 *
 *   record.h           what both sides see: wire records, configuration, shared memory
 *   kernel.h           every kernel type and field that is read
 *   emit.bpf.h         counting, the ring buffer, waking the consumer
 *   filter.bpf.h       which connections are wanted
 *   identity.bpf.h     who is calling
 *   accept.bpf.h       who accepted, on the lowest rung
 *   connection.bpf.h   a connection's state and what its transitions mean
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

typedef _Bool bool;
#define true 1
#define false 0

#include "record.h"
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "identity.bpf.h"
#include "accept.bpf.h"
#include "connection.bpf.h"

/*
 * Never read. It makes the types that go over the wire part of the object's type information, from which
 * the Rust side's are generated.
 */
const volatile struct cl_wire_types {
	struct cl_connect connect;
	struct cl_accept accept;
	struct cl_close close;
	struct cl_process process;
	enum cl_kind kind;
	enum cl_attribution attribution;
	enum cl_side side;
	enum cl_filter filter;
	enum cl_filter_entry filter_entry;
	enum cl_accept_rung accept_rung;
	enum cl_wake wake;
} wire_types = {};

/*
 * void inet_sk_state_store → trace_inet_sock_set_state(const struct sock *sk, int oldstate, int newstate)
 *
 * Every change of state of every TCP socket, since 4.16. The socket is a trusted pointer, and calls that
 * begin something run in the caller's context, however they call (also fast open and io_uring).
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int new_state)
{
	struct connection *c;

	if (sk->sk_protocol != IPPROTO_TCP || !tells_something(old_state, new_state))
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c) /* otherwise the second program tries again, and copes */
		handle_transition(sk, c, old_state, new_state);
	return 0;
}

/*
 * The same tracepoint once more, attached after the first. The kernel skips a program that is already
 * running on the CPU: a softirq that interrupts the first program is not seen by it, but by this one,
 * which acts only if the stored state shows that the first did not.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_missed, struct sock *sk, int old_state, int new_state)
{
	struct connection unknown = {}, *c;

	if (sk->sk_protocol != IPPROTO_TCP || !tells_something(old_state, new_state))
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (c && c->tcp_state == new_state)
		return 0;
	if (!c)
		c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c) {
		count(recovered);
		handle_transition(sk, c, old_state, new_state);
	} else { /* no memory for the state: the event is told, without what only the state knows */
		count(storage_failed);
		unknown.verdict = family_admits(sk) && owner_admits(&unknown.owner);
		handle_transition(sk, &unknown, old_state, new_state);
	}
	return 0;
}

/*
 * trace_tcp_destroy_sock(struct sock *sk), since 4.16: the socket is about to be freed, after its last
 * transition. What was kept about it outside its own storage goes here.
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(tcp_destroy_sock, struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);

	if (c)
		count_unfinished(c);
	if (config.accept_rung == CL_ACCEPT_SYSCALL && (!c || c->opened_by != CL_SIDE_LOCAL))
		forget_accept(sk);
	return 0;
}

/* The accept ladder, lowest rung: accept(2) and accept4(2) return. Not reached by io_uring. */
SEC("tracepoint/syscalls/sys_exit_accept")
int sys_exit_accept(struct trace_event_raw_sys_exit *ctx)
{
	accept_returned(ctx->ret);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_accept4")
int sys_exit_accept4(struct trace_event_raw_sys_exit *ctx)
{
	accept_returned(ctx->ret);
	return 0;
}

/*
 * Every open file of every task, run once after the hooks are attached: gives each socket that was there
 * before an owner, listeners above all, whose children inherit it.
 */
SEC("iter/task_file")
int seed_owners(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct connection *c;
	struct socket *socket;
	struct sock *sk;

	if (!task || !file)
		return 0;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return 0;
	sk = socket->sk;
	if (!sk)
		return 0;
	if (sk->__sk_common.skc_family != AF_INET && sk->__sk_common.skc_family != AF_INET6)
		return 0;
	if (sk->sk_protocol != IPPROTO_TCP || sk->__sk_common.skc_state == TCP_CLOSE)
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!c) {
		count(storage_failed);
		return 0;
	}
	if (c->owner.attribution == CL_UNATTRIBUTED)
		held_at_start(sk, c, task);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
