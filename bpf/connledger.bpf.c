/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel side: thin programs on stable hooks. What they do stands in the headers, in this order:
 *
 *   record.h           what both sides see: wire records, configuration, shared memory
 *   kernel.h           every kernel type and field that is read
 *   emit.bpf.h         counting, the ring buffer, waking the consumer
 *   filter.bpf.h       which connections are wanted
 *   identity.bpf.h     who is calling
 *   descriptor.bpf.h   what stands behind a descriptor
 *   socket.bpf.h       what a socket tells of its connection
 *   state.bpf.h        what is kept about a connection
 *   connect.bpf.h      connecting
 *   accept.bpf.h       accepting, by the system calls
 *   close.bpf.h        closing
 *   listen.bpf.h       listening
 *   listing.bpf.h      what is open at start
 *   transition.bpf.h   what a change of a socket's state means
 *   segment.bpf.h      retransmissions and resets
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "record.h"
#include "emit.bpf.h"
#include "filter.bpf.h"
#include "identity.bpf.h"
#include "descriptor.bpf.h"
#include "socket.bpf.h"
#include "state.bpf.h"
#include "connect.bpf.h"
#include "accept.bpf.h"
#include "close.bpf.h"
#include "listen.bpf.h"
#include "listing.bpf.h"
#include "transition.bpf.h"
#include "segment.bpf.h"

/*
 * Never read. It makes the types that go over the wire part of the object's type information, from which
 * the Rust side's are generated.
 */
const volatile struct cl_wire_types {
	struct cl_connect connect;
	struct cl_accept accept;
	struct cl_close close;
	struct cl_open open;
	struct cl_listen listen;
	struct cl_retransmit retransmit;
	struct cl_reset reset;
	struct cl_process process;
	struct cl_network network;
	enum cl_kind kind;
	enum cl_attribution attribution;
	enum cl_side side;
	enum cl_protocol protocol;
	enum cl_unknown unknown;
	enum cl_figures figures;
	enum cl_filter filter;
	enum cl_filter_entry filter_entry;
	enum cl_accept_rung accept_rung;
	enum cl_wake wake;
} wire_types = {};

/*
 * void inet_sk_state_store → trace_inet_sock_set_state(const struct sock *sk, int oldstate, int newstate)
 *
 * Every change of state of every TCP socket, since 4.16, before it is stored. The socket is a trusted
 * pointer, and calls that begin something run in the caller's context, however they call (also fast open
 * and io_uring).
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state, struct sock *sk, int old_state, int new_state)
{
	struct connection *c;
	__u8 protocol;

	if (!tells_something(old_state, new_state) || !protocol_of(sk, &protocol))
		return 0;
	c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c) /* otherwise the second program tries again, and copes */
		handle_transition(sk, c, protocol, old_state, new_state);
	return 0;
}

/*
 * Where the second program works, so that it need not be verified for two kinds of memory. A slot each CPU
 * is enough: a program does not run twice on one.
 */
struct connection recovering[CL_MAX_CPUS] = {};

/*
 * The same tracepoint once more, attached after the first. The kernel skips a program that is already
 * running on the CPU: a softirq that interrupts the first program is not seen by it, but by this one,
 * which acts only if the stored state shows that the first did not. (It cannot tail-call the first instead:
 * from 6.13 on that has one stack a CPU, since it is not to run twice there.)
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(inet_sock_set_state_missed, struct sock *sk, int old_state, int new_state)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct connection *c, *work;
	__u8 protocol;

	if (!tells_something(old_state, new_state) || !protocol_of(sk, &protocol))
		return 0;
	if (cpu >= CL_MAX_CPUS) /* no slot to work in: counted as missed when more is known */
		return 0;
	work = &recovering[cpu];
	c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	if (c && c->tcp_state == new_state)
		return 0;
	if (!c)
		c = bpf_sk_storage_get(&connections, sk, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (c) {
		count(recovered);
		*work = *c;
	} else { /* no memory for the state: the event is told, without what only the state knows */
		count(storage_failed);
		__builtin_memset(work, 0, sizeof(*work));
	}
	handle_transition(sk, work, protocol, old_state, new_state);
	if (c)
		*c = *work;
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

	if (c && !tell_late_close(sk, c, bpf_ktime_get_boot_ns()))
		count_unfinished(c);
	if (c && !c->listed && (c->opened_by == CL_SIDE_LOCAL || has_left_tables(c)))
		return 0;
	if (c && config.accept_rung == CL_ACCEPT_SYSCALL)
		settle_last(sk, c);
	if (config.accept_rung == CL_ACCEPT_SYSCALL || asked_for(CL_OPEN) || asked_for(CL_LISTEN))
		forget_passive(sk);
	return 0;
}

/* connect(2): what only the call knows. Not reached by fast open and io_uring. */
SEC("tracepoint/syscalls/sys_enter_connect")
int sys_enter_connect(struct trace_event_raw_sys_enter *ctx)
{
	connect_called(ctx->args[0], ctx->args[1], ctx->args[2]);
	return 0;
}

SEC("tracepoint/syscalls/sys_exit_connect")
int sys_exit_connect(struct trace_event_raw_sys_exit *ctx)
{
	connect_returned(ctx->ret);
	return 0;
}

/* The accept ladder's first rung: accept(2) and accept4(2) return. Not reached by io_uring. */
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
 * The same calls as functions of the kernel, long __x64_sys_connect(const struct pt_regs *regs) on x86: user space names
 * them. For kernels that refuse perf_event_open(2), which a tracepoint takes. On x86 since 5.5, on arm64 since 6.0.
 */
SEC("fentry")
int BPF_PROG(connect_entered, const struct pt_regs *regs)
{
	connect_called(SYSCALL_ARGUMENTS(regs));
	return 0;
}

SEC("fexit")
int BPF_PROG(connect_left, const struct pt_regs *regs, long ret)
{
	connect_returned(ret);
	return 0;
}

SEC("fexit")
int BPF_PROG(accept_left, const struct pt_regs *regs, long ret)
{
	accept_returned(ret);
	return 0;
}

SEC("fexit")
int BPF_PROG(accept4_left, const struct pt_regs *regs, long ret)
{
	accept_returned(ret);
	return 0;
}

/*
 * trace_sock_send_length(struct sock *sk, int ret, int flags) and trace_sock_recv_length(…), since 6.3: a
 * process has written to a socket or read from it, by whatever call. On demand, see want_io(): it tells who
 * accepted by other ways than accept(2).
 */
SEC("tp_btf/sock_send_length")
int BPF_PROG(sock_send_length, struct sock *sk)
{
	used(sk);
	return 0;
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(sock_recv_length, struct sock *sk)
{
	used(sk);
	return 0;
}

/*
 * trace_io_uring_create(…), since 5.5: somebody makes a ring, by which it may accept. What the arguments are
 * differs between versions; none is needed.
 */
SEC("tp_btf/io_uring_create")
int io_uring_create(void *ctx)
{
	want_io();
	return 0;
}

/*
 * trace_tcp_retransmit_skb(const struct sock *sk, const struct sk_buff *skb), since 4.16. Since 6.17 with an error: it
 * is also called for segments that did not go out.
 */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(tcp_retransmit_skb, struct sock *sk)
{
	struct subject subject;

	if (config.retransmits_fail && (int)ctx[2])
		return 0;
	if (fill_subject(&subject, sk))
		tell_retransmit(&subject, sk->__sk_common.skc_state);
	return 0;
}

/* trace_tcp_retransmit_synack(const struct sock *sk, const struct request_sock *req), since 4.16. */
SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(tcp_retransmit_synack, struct sock *sk, struct request_sock *request)
{
	synack_sent_again(sk, request);
	return 0;
}

/*
 * trace_tcp_send_reset(const struct sock *sk, const struct sk_buff *skb, …), since 4.16. The socket may be
 * missing, and stand for less than one; of old kernels it never is (a closed port is not told).
 */
SEC("tp_btf/tcp_send_reset")
int BPF_PROG(tcp_send_reset, struct sock *sk, struct sk_buff *skb)
{
	struct subject subject = {};

	if (sk && is_whole(sk)) {
		if (fill_subject(&subject, sk) && fill_stranger(&subject, sk, skb))
			tell_reset(&subject, sk->__sk_common.skc_state, true);
	} else if (sk) {
		read_common(&subject.conn, &sk->__sk_common);
		subject.wanted = is_wanted(&subject.owner, &subject.conn);
		tell_reset(&subject, sk->__sk_common.skc_state, true);
	} else if (skb) {
		reset_without_socket(skb);
	}
	return 0;
}

/*
 * trace_tcp_receive_reset(struct sock *sk), since 4.16: before it has an effect. Called also where none was received, but
 * data after a full close, for which the kernel does the same.
 */
SEC("tp_btf/tcp_receive_reset")
int BPF_PROG(tcp_receive_reset, struct sock *sk)
{
	struct connection *c = bpf_sk_storage_get(&connections, sk, NULL, 0);
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u8 state = sk->__sk_common.skc_state;
	struct subject subject;

	if (c)
		c->reset_received = 1;
	if (!asked_for(CL_RESET) || (c && tp && data_after_close(sk, tp, c, state)))
		return 0;
	if (fill_subject(&subject, sk))
		tell_reset(&subject, state, false);
	return 0;
}

/*
 * Every open file of every task, run once after the hooks are attached. It prints a byte for each open that
 * is told, so that the reader gets a turn before they fill the ring.
 */
SEC("iter/task_file")
int list_open(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct socket *socket;

	/* whoever reads this is the tracer, whose own connections are not told */
	shared.self = bpf_get_current_pid_tgid() >> 32;
	if (!task || !file)
		return 0;
	if (config.accept_rung == CL_ACCEPT_SYSCALL && !READ_ONCE(shared.want_io) &&
	    is_of_ring(task, file))
		want_io();
	socket = bpf_sock_from_file(file);
	if (socket && socket->sk && list_socket(socket->sk, task))
		bpf_seq_write(ctx->meta->seq, "", 1);
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
