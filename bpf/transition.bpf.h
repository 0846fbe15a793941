/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a change of a socket's state means. */
#ifndef CONNLEDGER_TRANSITION_BPF_H
#define CONNLEDGER_TRANSITION_BPF_H

/* Whether a transition to TCP_CLOSE is its process's doing, if it has one: nothing else leaves no error. */
static __always_inline bool is_at_work(const struct sock *sk, const struct connection *c)
{
	return !sk->sk_err && !c->reset_received;
}

/* A transition to TCP_CLOSE. */
static __always_inline void closed(struct sock *sk, struct connection *c, __u8 old_state, __u64 now)
{
	switch (old_state) {
	case TCP_LISTEN:
		tell_open_before_close(sk, c, old_state, now);
		tell_listen(sk, c, false, now);
		break;
	case TCP_SYN_SENT:
		connect_ended(sk, c, false, now);
		break;
	case TCP_SYN_RECV:
		/* a simultaneous open that fails is a failed connect */
		if (c->opened_by == CL_SIDE_LOCAL)
			connect_ended(sk, c, false, now);
		/* A child that loses the race for one connection, or whose listener went away, was never
		 * a connection, unless fast open had it accepted. */
		else if (fast_opened(sk, c)) {
			settle_owner(sk, c, is_at_work(sk, c));
			tell_close(sk, c, old_state, now);
		}
		break;
	default:
		if (c->given_up)
			break;
		/* what came before tracing began, the state tells */
		if (c->first_fin == CL_SIDE_UNKNOWN)
			c->first_fin = first_fin_of(old_state);
		settle_owner(sk, c, is_at_work(sk, c));
		/* it was judged before MPTCP gave it its addresses */
		if (c->protocol == CL_MPTCP && c->opened_by == CL_SIDE_REMOTE)
			judge_socket(c, sk);
		tell_open_before_close(sk, c, old_state, now);
		tell_close(sk, c, old_state, now);
	}
	/* what is destroyed without tcp_destroy_sock */
	if (c->protocol == CL_MPTCP)
		forget_passive(sk);
}

/* A new life begins, or the socket goes: the last one's end, if it is not stored, was not seen. */
static __always_inline void count_unfinished(const struct connection *c)
{
	if (c->given_up)
		return;
	switch (c->tcp_state) {
	case TCP_SYN_SENT:
		count_missed(c, CL_CONNECT);
		break;
	case TCP_ESTABLISHED:
	case TCP_FIN_WAIT1:
	case TCP_CLOSE_WAIT:
	case TCP_LAST_ACK:
		count_missed(c, CL_CLOSE);
		break;
	}
}

/*
 * The socket goes, and its last transition was not seen. If it was on its way to an end in order, all that a
 * close tells is still there, but for the moment: better late than lost.
 */
static __always_inline bool tell_late_close(struct sock *sk, struct connection *c, __u64 now)
{
	if ((c->tcp_state != TCP_FIN_WAIT1 && c->tcp_state != TCP_LAST_ACK) || c->given_up)
		return false;
	if (!sk->__sk_common.skc_dport) /* disconnected since */
		return false;
	settle_owner(sk, c, false);
	tell_close(sk, c, c->tcp_state, now);
	c->tcp_state = TCP_CLOSE;
	count(recovered);
	return true;
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
	case TCP_FIN_WAIT1: /* who ends it, whether it was accepted unseen, or given up half open */
	case TCP_CLOSE_WAIT:
		return old_state == TCP_SYN_RECV ||
		       (old_state == TCP_ESTABLISHED && (asked_for(CL_CLOSE) || asked_for(CL_OPEN) ||
							 config.accept_rung == CL_ACCEPT_SYSCALL));
	case TCP_LAST_ACK: /* the process closes what was open before, or may have been accepted unseen */
		return asked_for(CL_OPEN) || config.accept_rung == CL_ACCEPT_SYSCALL;
	default:
		return false;
	}
}

/*
 * Whether the current task is closing the socket. It held it then, though the listing may come too late to see that. (A
 * thread of the kernel's closes what others have left.)
 */
static __always_inline bool is_closing(const struct sock *sk, __u8 old_state, __u8 new_state)
{
	if (bpf_get_current_task_btf()->flags & PF_KTHREAD)
		return false;
	switch (new_state) {
	case TCP_FIN_WAIT1:
		return old_state == TCP_ESTABLISHED;
	case TCP_LAST_ACK:
		return old_state == TCP_CLOSE_WAIT;
	case TCP_CLOSE:
		return is_closed_whole(sk, old_state);
	}
	return false;
}

static __noinline void handle_transition(struct sock *sk, struct connection *c, __u8 protocol,
					 __u8 old_state, __u8 new_state)
{
	__u64 now = bpf_ktime_get_boot_ns();

	/* the stored state tells of what neither program saw */
	if (new_state == TCP_SYN_SENT || new_state == TCP_LISTEN)
		count_unfinished(c);
	else if (c->tcp_state == TCP_SYN_SENT && old_state != TCP_SYN_SENT && old_state != TCP_SYN_RECV)
		count_missed(c, CL_CONNECT);
	/* MPTCP lets go of its subflows before they end */
	if (c->protocol != CL_MPTCP_SUBFLOW || new_state == TCP_ESTABLISHED ||
	    new_state == TCP_SYN_SENT || new_state == TCP_LISTEN)
		c->protocol = protocol;
	/* what lived on this socket before has another name */
	if ((new_state == TCP_SYN_SENT || new_state == TCP_LISTEN) &&
	    (c->tcp_state || c->listed || c->opened_by != CL_SIDE_UNKNOWN))
		c->generation++;
	/* the beginning was not seen, and nobody was found to hold it: judged by what is known */
	if (c->owner.attribution == CL_UNATTRIBUTED) {
		if (READ_ONCE(shared.listing) && is_closing(sk, old_state, new_state))
			held_by_current(sk, c);
		else if (!c->tcp_state)
			judge_socket(c, sk);
	}
	c->tcp_state = new_state;
	if (protocol == CL_MPTCP)
		cookie_of(sk, c); /* while its first subflow is there */
	switch (new_state) {
	case TCP_SYN_SENT:
		connect_begun(sk, c, now);
		break;
	case TCP_LISTEN:
		listen_begun(sk, c, now);
		break;
	case TCP_ESTABLISHED:
		if (old_state == TCP_SYN_SENT || c->opened_by == CL_SIDE_LOCAL)
			connect_ended(sk, c, true, now);
		else
			passive_established(sk, c, now);
		break;
	case TCP_FIN_WAIT1:
		if (old_state == TCP_SYN_RECV && c->opened_by == CL_SIDE_LOCAL) {
			/* a simultaneous open that its process does not wait for */
			connect_ended(sk, c, false, now);
			c->given_up = 1;
			break;
		}
		if (old_state == TCP_SYN_RECV)
			fast_opened(sk, c);
		settle_owner(sk, c, true);
		fin_sent(sk, c);
		break;
	case TCP_CLOSE_WAIT:
		c->first_fin = CL_SIDE_REMOTE;
		settle_owner(sk, c, false);
		break;
	case TCP_LAST_ACK:
		settle_owner(sk, c, true);
		break;
	case TCP_CLOSE:
		closed(sk, c, old_state, now);
		break;
	}
}

#endif
