/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is kept about a connection, with its socket. */
#ifndef CONNLEDGER_STATE_BPF_H
#define CONNLEDGER_STATE_BPF_H

struct connection {
	struct cl_owner owner;
	__u64 begun_ns;       /* SYN about to be sent; 0 for a passive connection, or unknown */
	__u64 established_ns; /* 0 if not, or unknown */
	__u64 cookie;         /* in place of the socket's own; see cookie_of() */
	__u32 generation;
	__u32 bytes_in_syn; /* of MPTCP, sent by fast open */
	/* when this end was about to send FIN, see close.bpf.h: */
	__u32 segments_at_fin; /* with data, received */
	__u32 bytes_at_fin;    /* the same, their bytes */
	__u32 answers_at_fin;  /* what answers() said */
	__u8 fin_alone;        /* the FIN goes in a segment of its own */
	__u8 syn_counted;      /* the SYN is counted among the bytes acknowledged */
	__u8 tcp_state;        /* the last state that was handled here; 0 if none */
	__u8 opened_by;        /* enum cl_side */
	__u8 first_fin;        /* enum cl_side */
	__u8 protocol;         /* enum cl_protocol */
	__u8 verdict;          /* whether the filters admit it */
	__u8 queued;           /* it was entered in the accept queue's table */
	__u8 accepted;         /* it is known who accepted it */
	__u8 had_process;      /* a process had it in its hands, though nobody was seen to accept */
	__u8 listed;           /* an open has told of it */
	__u8 error_before;     /* what the socket's error was when it began to connect */
	__u8 reset_received;   /* a RST has come, or data after a full close, and ends it */
	__u8 given_up;         /* told as a failed connect, though the socket goes on */
};

/*
 * The state of every socket that we met. It lives and dies with the socket. A listener's state is cloned
 * into each child, which is how a connection knows its listener's owner. If the kernel cannot allocate
 * the clone it drops the incoming connection, so this must stay small.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct connection);
} connections SEC(".maps");

_Static_assert(sizeof(struct connection) < 128, "a failed clone costs the host a connection");

/*
 * What names a connection. A socket that MPTCP accepts inherits its listener's cookie, and so would all of
 * them: its first subflow's names it, as long as that is there. It was given one when it was established.
 */
static __always_inline __u64 first_subflow_cookie(const struct sock *sk)
{
	if (!bpf_core_field_exists(struct mptcp_sock, first)) /* no CONFIG_MPTCP */
		return 0;
	return BPF_CORE_READ((const struct mptcp_sock *)sk, first, __sk_common.skc_cookie.counter);
}

/* What was open at start may have no such cookie yet, and then goes without. */
#define NO_COOKIE (~0ULL)

static __always_inline __u64 cookie_of(struct sock *sk, struct connection *c)
{
	if (c->protocol != CL_MPTCP || c->opened_by == CL_SIDE_LOCAL || c->tcp_state == TCP_LISTEN)
		return bpf_get_socket_cookie(sk);
	if (!c->cookie)
		c->cookie = first_subflow_cookie(sk);
	return c->cookie == NO_COOKIE ? 0 : c->cookie;
}

/* The ends of a connection, with what only its state knows. */
static __noinline void fill_conn_of(struct cl_conn *conn, struct sock *sk, struct connection *c)
{
	fill_conn(conn, sk);
	conn->cookie = cookie_of(sk, c);
	conn->generation = c->generation;
	conn->opened_by = c->opened_by;
	conn->protocol = c->protocol;
}

/* MPTCP's subflows are followed, but told only on request. */
static __always_inline bool is_silent(const struct connection *c)
{
	return c->protocol == CL_MPTCP_SUBFLOW && !config.subflows;
}

/* Judges a connection whose ends are known. */
static __always_inline void judge(struct connection *c, const struct cl_conn *conn)
{
	c->verdict = is_wanted(&c->owner, conn);
}

/* As judge(), where nobody needs the ends for anything else. */
static __noinline void judge_socket(struct connection *c, struct sock *sk)
{
	struct cl_conn conn;

	c->verdict = owner_admits(&c->owner);
	if (!c->verdict || !config.judges_ends)
		return;
	fill_conn(&conn, sk);
	c->verdict = ends_admit(&conn);
}

/* An event that both programs on the tracepoint were kept from seeing, known by what came after it. */
static __always_inline void count_missed(const struct connection *c, enum cl_kind kind)
{
	if (!is_silent(c) && admit(kind, c->verdict))
		count(nested[kind]);
}

#endif
