/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Closing: what went each way, and who ended it. */
#ifndef CONNLEDGER_CLOSE_BPF_H
#define CONNLEDGER_CLOSE_BPF_H

static __always_inline bool has_flag(const struct sock *sk, int flag)
{
	return sk->__sk_common.skc_flags >> flag & 1;
}

/*
 * The acknowledgements that were sent since FIN: all segments but those with data, with FIN, and those sent
 * again. A FIN that goes with the last data is never alone, not when it is sent again either.
 */
static __always_inline __u32 answers(const struct tcp_sock *tp, const struct connection *c)
{
	return tp->segs_out - (c->fin_alone ? tp->total_retrans + 1 : tp->data_segs_out);
}

/* What had come when this end sent FIN, or, if that was before tracing, when it began. */
static __always_inline void note_fin(struct sock *sk, struct connection *c)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (!tp)
		return;
	c->segments_at_fin = tp->data_segs_in;
	c->bytes_at_fin = tp->bytes_received;
	c->fin_alone = tp->snd_nxt == tp->write_seq;
	c->answers_at_fin = answers(tp, c);
}

/* ESTABLISHED → FIN_WAIT1 */
static __always_inline void fin_sent(struct sock *sk, struct connection *c)
{
	c->first_fin = CL_SIDE_LOCAL;
	note_fin(sk, c);
	c->answers_at_fin += c->fin_alone; /* it is about to leave, and is no answer */
}

/* Data came for a process that had closed both directions, and was not taken: the kernel resets. */
static __always_inline bool data_after_close(const struct sock *sk, const struct tcp_sock *tp,
					     const struct connection *c, __u8 state)
{
	__u32 segments = tp->data_segs_in - c->segments_at_fin;

	/* data that came before, and is sent again, is acknowledged at once; new data is not */
	return (state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2) &&
	       sk->sk_shutdown & RCV_SHUTDOWN && !has_flag(sk, SOCK_DONE) && segments &&
	       (__s32)(answers(tp, c) - c->answers_at_fin) < (__s32)segments &&
	       (__u32)tp->bytes_received == c->bytes_at_fin;
}

/*
 * LAST_ACK and CLOSING have the peer's FIN, and their own FIN may have been sent: then a disconnect, or a close with
 * linger 0, ends them without a word. A close with unread data resets them all the same, and so does the kernel for want
 * of memory, once no process has them.
 */
static __always_inline bool ends_in_silence(const struct sock *sk, const struct tcp_sock *tp,
					    __u8 old_state)
{
	__u32 unread = tp->rcv_nxt - tp->copied_seq - has_flag(sk, SOCK_DONE);

	return (old_state == TCP_LAST_ACK || old_state == TCP_CLOSING) &&
	       tp->snd_nxt == tp->write_seq && (__s32)unread <= 0 && !has_flag(sk, SOCK_DEAD);
}

/*
 * The error that has ended the connection; 0 if it was none. What the socket has may be but the network's last word to a
 * process that asked for it (IP_RECVERR), on a connection that went on: if both sides' FIN went through, or the process
 * closed it, that shows. And a process that keeps asking (SO_ERROR) may have taken what a RST left before the state
 * changes.
 */
static __always_inline __u32 error_at_end(struct sock *sk, const struct tcp_sock *tp,
					  const struct connection *c, __u8 old_state)
{
	switch (sk->sk_err) {
	case 0:
		if (!c->reset_received)
			return 0;
		return old_state == TCP_CLOSE_WAIT ? EPIPE : ECONNRESET;
	case ECONNRESET:
	case EPIPE:
	case ECONNABORTED: /* an administrator's */
		return sk->sk_err;
	}
	if (is_closed_whole(sk, old_state))
		return 0;
	switch (old_state) {
	case TCP_FIN_WAIT2:
		if (has_flag(sk, SOCK_DONE) || has_flag(sk, SOCK_DEAD))
			return 0;
		break;
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		if (tp && tp->snd_una == tp->write_seq)
			return 0;
		break;
	}
	return sk->sk_err;
}

/* Whether this end reset the connection. The socket's error says it only if an administrator did. */
static __always_inline bool reset_here(struct sock *sk, const struct tcp_sock *tp,
				       const struct connection *c, __u8 old_state, __u32 error)
{
	bool established = old_state == TCP_ESTABLISHED || old_state == TCP_CLOSE_WAIT ||
			   old_state == TCP_SYN_RECV; /* fast open */

	if (!tp) /* MPTCP */
		return !error && established;
	if (error) /* a reset was received; but data after a full close leaves the same */
		return error == ECONNRESET && data_after_close(sk, tp, c, old_state);
	if (established) /* linger 0, unread data, a disconnect, a listener that went away */
		return true;
	if (old_state != TCP_FIN_WAIT2) /* in order, the peer has seen all, our FIN too */
		return tp->snd_una != tp->write_seq && !ends_in_silence(sk, tp, old_state);
	/* in order, the peer's FIN came, or the kernel waits for it without the process */
	if (has_flag(sk, SOCK_DONE))
		return false;
	return !has_flag(sk, SOCK_DEAD) || tp->linger2 < 0 || data_after_close(sk, tp, c, old_state);
}

/*
 * The bytes that the process sent and that left this host, each once: the sequence numbers that were used,
 * without those of SYN and FIN. (bytes_sent counts what was sent again, and what failed within the host and
 * is no retransmission.)
 */
static __always_inline __u64 bytes_sent(const struct tcp_sock *tp, const struct connection *c,
					__u8 old_state)
{
	__u64 sent = tp->bytes_acked + (__u32)(tp->snd_nxt - tp->snd_una);
	bool fin = false;

	/* found open: nobody knows who sent the SYN */
	if (c->opened_by == CL_SIDE_UNKNOWN)
		return tp->bytes_sent - tp->bytes_retrans;
	switch (old_state) {
	case TCP_FIN_WAIT1:
	case TCP_FIN_WAIT2:
	case TCP_CLOSING:
	case TCP_LAST_ACK:
		fin = tp->snd_nxt == tp->write_seq;
	}
	return sent - c->syn_counted - fin;
}

static __always_inline void fill_figures(struct cl_close *record, struct sock *sk,
					 const struct tcp_sock *tp, const struct connection *c,
					 __u8 old_state)
{
	const struct mptcp_sock *mp = (const void *)sk;

	record->bytes_sent = record->bytes_received = 0;
	record->segments_sent = record->segments_received = record->retransmits = 0;
	record->srtt_8us = 0;
	record->known = 0;
	if (tp) {
		record->known = CL_BYTES | CL_SEGMENTS;
		record->bytes_sent = bytes_sent(tp, c, old_state);
		/* the peer's FIN takes a sequence number and is counted with the bytes */
		record->bytes_received = tp->bytes_received - has_flag(sk, SOCK_DONE);
		record->segments_sent = tp->segs_out;
		record->segments_received = tp->segs_in;
		record->retransmits = tp->total_retrans;
		record->srtt_8us = tp->srtt_us;
	} else if (bpf_core_field_exists(mp->bytes_sent)) {
		record->known = CL_BYTES;
		record->bytes_sent = BPF_CORE_READ(mp, bytes_sent) + c->bytes_in_syn;
		record->bytes_received = BPF_CORE_READ(mp, bytes_received);
	}
}

/* An established connection becomes CLOSE. */
static __noinline void tell_close(struct sock *sk, struct connection *c, __u8 old_state, __u64 now)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct cl_close *record;

	if (is_silent(c) || !admit(CL_CLOSE, c->verdict))
		return;
	record = reserve_event(struct cl_close, CL_CLOSE, now);
	if (!record)
		return;
	fill_conn_of(&record->conn, sk, c);
	record->owner = c->owner;
	record->established_ns = c->established_ns;
	fill_figures(record, sk, tp, c, old_state);
	record->error = error_at_end(sk, tp, c, old_state);
	record->first_fin = c->first_fin;
	record->aborted = reset_here(sk, tp, c, old_state, record->error);
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	submit(record);
}

#endif
