/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Everything that the kernel side and user space both see: the records that travel through the ring
 * buffer, the configuration that is set before load, and the memory that both sides map.
 *
 * This header is the only definition. build.rs generates the Rust types from it (through the object's
 * type information); src/wire/ is the only code that reads them. The sizes are asserted on both sides.
 *
 * Rules: fixed-width integers and byte arrays only, explicit padding, prefixed names. Nothing is
 * converted here that user space can convert: times are raw boot-time nanoseconds, ports and addresses
 * are in network byte order, unknown values are 0 unless a comment says otherwise.
 */
#ifndef CONNLEDGER_RECORD_H
#define CONNLEDGER_RECORD_H

/* Kinds of wire records. Below CL_EVENT_KINDS: events, each counted; the bit (1 << kind) asks for it. */
enum cl_kind {
	CL_CONNECT = 0,
	CL_ACCEPT = 1,
	CL_CLOSE = 2,
	CL_OPEN = 3,
	CL_LISTEN = 4,
	CL_RETRANSMIT = 5,
	CL_RESET = 6,
	CL_EVENT_KINDS = 8, /* room for one more */
	CL_PROCESS = 64,    /* not an event: describes a process image, ahead of its first event */
};

/* Which call tied the process to the connection. */
enum cl_attribution {
	CL_UNATTRIBUTED = 0,
	CL_BY_CONNECT = 1,  /* it called connect (or an equivalent) */
	CL_BY_ACCEPT = 2,   /* it accepted the connection */
	CL_BY_LISTENER = 3, /* it owns the listening socket; nobody accepted yet */
	CL_BY_HOLDER = 4,   /* it held the socket when tracing began */
	CL_BY_IO = 5,       /* accepted unseen; it was the first to read or write */
};

enum cl_protocol {
	CL_TCP = 0,
	CL_MPTCP = 1,         /* the application's connection */
	CL_MPTCP_SUBFLOW = 2, /* one of the TCP connections that carry it */
};

/* What is not known of a connection's ends. */
enum cl_unknown {
	CL_NO_LOCAL = 1,  /* the socket has no address yet */
	CL_NO_REMOTE = 2, /* a listener, or nobody said a whole address */
};

/* An end of the connection, where it matters which of the two did something. */
enum cl_side {
	CL_SIDE_UNKNOWN = 0,
	CL_SIDE_LOCAL = 1,
	CL_SIDE_REMOTE = 2,
};

struct cl_header {
	__u16 kind; /* enum cl_kind */
	__u16 size; /* of the whole record in bytes */
	__u32 pad;
	__u64 time_ns; /* CLOCK_BOOTTIME */
};

/* The process a connection belongs to, as it was when it called. */
struct cl_owner {
	__u64 start_ns;  /* start of the process, CLOCK_BOOTTIME */
	__u64 cgroup_id; /* of the version 2 hierarchy */
	__u8 comm[16]; /* of the thread; not always NUL-terminated, any bytes; aligned for comparing */
	__u32 pid;     /* of the process (thread group), initial pid namespace */
	__u32 tid;     /* of the thread */
	__u32 uid;     /* real, initial user namespace */
	__u32 gid;
	__u32 exec_id; /* counts the execs of this process: with pid and start_ns it names the image */
	__u8 attribution; /* enum cl_attribution */
	__u8 admitted;    /* the filters' verdict on it; for the kernel side only */
	__u8 pad[2];
};

/* A connection: who it is and where it goes. */
struct cl_conn {
	__u64 cookie;      /* of the socket; 0 if the kernel had not given it one yet */
	__u32 generation;  /* counts connections made one after another on one socket, from 0 */
	__u32 netns;       /* inode number of the network namespace */
	__u8 local_ip[16]; /* IPv4 in the first four bytes */
	__u8 remote_ip[16];
	__u16 local_port; /* network byte order */
	__u16 remote_port;
	__u32 scope_id; /* interface index the socket is bound to; 0 if none */
	__u8 family;    /* AF_INET (2) or AF_INET6 (10) */
	__u8 opened_by; /* enum cl_side */
	__u8 protocol;  /* enum cl_protocol */
	__u8 unknown;   /* bits of enum cl_unknown */
	__u8 pad[4];
};

/* A connect has ended, well or not. */
struct cl_connect {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u64 begun_ns; /* when the SYN was about to be sent, CLOCK_BOOTTIME; 0 unknown */
	__u32 error;    /* what the call returned, or sk_err */
	__u8 established;
	__u8 pad[3];
};

/* A process took a connection from a listener's queue. */
struct cl_accept {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u64 established_ns; /* CLOCK_BOOTTIME; 0 unknown */
};

/* An established connection is over. */
struct cl_close {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u64 established_ns; /* CLOCK_BOOTTIME; 0 unknown */
	__u64 bytes_sent;     /* of the application: without retransmissions, SYN and FIN */
	__u64 bytes_received; /* of the application: without FIN */
	__u32 segments_sent;
	__u32 segments_received;
	__u32 retransmits; /* segments sent again */
	__u32 srtt_8us;    /* smoothed round trip time in eighths of a microsecond; 0 unknown */
	__u32 error;       /* what sk_err says of how it ended; 0 if in order */
	__u8 first_fin;    /* enum cl_side: who sent FIN first; unknown if nobody did */
	__u8 aborted;      /* 1: this end reset it */
	__u8 known;        /* bits of enum cl_figures */
	__u8 pad[1];
};

/* Which figures of a close are known. */
enum cl_figures {
	CL_BYTES = 1,
	CL_SEGMENTS = 2, /* segments, retransmits, round trip time */
};

/* It was there when tracing began, a connection or a listener. */
struct cl_open {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u8 state; /* include/net/tcp_states.h */
	__u8 pad[7];
};

/* A socket begins or ends to listen. */
struct cl_listen {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u32 backlog; /* as the kernel has limited it */
	__u8 begins;
	__u8 pad[3];
};

/* A segment was sent again. */
struct cl_retransmit {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u8 state; /* include/net/tcp_states.h */
	__u8 pad[7];
};

/* A RST was sent or received. */
struct cl_reset {
	struct cl_header header;
	struct cl_conn conn;
	struct cl_owner owner;
	__u8 state; /* include/net/tcp_states.h; 0: there is no socket */
	__u8 sent;
	__u8 pad[6];
};

/* A process image: sent once, ahead of its first event, and joined to events in user space. */
struct cl_process {
	struct cl_header header;
	__u64 start_ns; /* with pid and exec_id the key, as in struct cl_owner */
	__u32 pid;
	__u32 exec_id;
	__u32 ppid;
	__u8 parent_comm[16];
	__u8 pad[4];
};

/* How a list of numbers decides about what it does not name. */
enum cl_filter {
	CL_FILTER_OFF = 0,
	CL_FILTER_ADMIT_OTHERS = 1,  /* the list only excludes */
	CL_FILTER_REFUSE_OTHERS = 2, /* the list includes something */
};

enum cl_filter_entry {
	CL_ENTRY_EXCLUDE = 0,
	CL_ENTRY_INCLUDE = 1,
};

#define CL_IPV4 1
#define CL_IPV6 2

/* A set of ports: a bit each, set if the filter admits it. Bit 0 stands for an unknown one, too. */
#define CL_PORT_WORDS 1024

/* The key of a trie of networks: all addresses are IPv6 here, IPv4 as ::ffff:a.b.c.d. */
struct cl_network {
	__u32 prefix_length; /* bits */
	__u8 ip[16];
};

/* How the tracer learns who accepted: the rungs of the accept ladder. */
enum cl_accept_rung {
	/* the exits of accept and accept4: the socket is found through its descriptor */
	CL_ACCEPT_SYSCALL = 0,
	/* nothing that is asked for needs to know */
	CL_ACCEPT_UNUSED = 255,
};

/* Set before load, constant afterwards. */
struct cl_config {
	__u32 events;   /* bits (1 << enum cl_kind) */
	__u32 families; /* bits CL_IPV4, CL_IPV6 */
	__u32 pids;     /* enum cl_filter, as what follows */
	__u32 uids;
	__u32 comms;
	__u32 cgroups;
	__u32 namespaces;
	__u32 local_networks;
	__u32 remote_networks;
	__u32 local_ports; /* 1: the set is to be looked at */
	__u32 remote_ports;
	__u32 judges_ends;      /* 1: some filter looks at more than the process */
	__u32 subflows;         /* 1: MPTCP's subflows are told too */
	__u32 accept_rung;      /* enum cl_accept_rung */
	__u32 retransmits_fail; /* 1: tcp_retransmit_skb tells of failures, too */
	__u32 watermark;        /* bytes in the ring at which a dozing consumer is woken */
};

/*
 * What would wake the consumer. It writes this word before it sleeps; the producer that serves the
 * request clears it. See emit.bpf.h for the order of steps and why no event is slept over.
 */
enum cl_wake {
	CL_WAKE_NEVER = 0,        /* it is awake, or not interested */
	CL_WAKE_AT_WATERMARK = 1, /* it dozes until its timer: only a filling ring is worth a wake-up */
	CL_WAKE_AT_ONCE = 2,      /* it sleeps with no timer: the next event wakes it */
};

/* Mapped by both sides, written by user space if nothing else is said. */
struct cl_shared {
	__u32 wake;               /* enum cl_wake */
	__u32 process_generation; /* an image announced under an older number is announced again */
	__u32 listing;            /* 1: what was open at start is being listed */
	__u32 self;               /* process id of the tracer; written by the kernel side */
	__u32 want_io; /* 1: reads and writes are to be followed; written by both sides */
	__u8 pad[44];  /* alone on its cache line */
};

/* What one CPU counted. Only ever grows, but the last; only that CPU writes (atomically: programs can nest). */
struct cl_counters {
	/* by enum cl_kind; observed = records submitted + filtered + ring_full + nested + descriptor_gone */
	__u64 observed[8]; /* asked for, and happened */
	__u64 filtered[8]; /* refused by a filter */
	__u64 ring_full[8];
	__u64 nested[8]; /* the hook was skipped because a BPF program was already running on the CPU */
	__u64 descriptor_gone; /* an accept whose descriptor was closed before it could be followed */
	/* not losses of a record, but of something in it */
	__u64 storage_failed;    /* no socket or task storage: events without process, times */
	__u64 accept_queue_full; /* the queue's table was full: an accept without its waiting time */
	__u64 acceptors_full; /* the acceptors' table was full: a close attributed to the listener */
	__u64 process_ring_full; /* an image's description found no room; sent with its next event */
	__u64 recovered;         /* transitions that only the second program saw */
	__u64 told_full; /* the table of what was told was full: an open and an accept may be the same */
	/* entered in the acceptors' table less deleted, modulo 2^64: only the sum of all CPUs means something */
	__u64 acceptors_held;
};

/* A power of two: CPUs beyond it share slots, which the atomic increments allow. */
#define CL_MAX_CPUS 512

_Static_assert(sizeof(struct cl_header) == 16, "wire layout");
_Static_assert(sizeof(struct cl_owner) == 56, "wire layout");
_Static_assert(sizeof(struct cl_conn) == 64, "wire layout");
_Static_assert(sizeof(struct cl_connect) == 152, "wire layout");
_Static_assert(sizeof(struct cl_accept) == 144, "wire layout");
_Static_assert(sizeof(struct cl_close) == 184, "wire layout");
_Static_assert(sizeof(struct cl_open) == 144, "wire layout");
_Static_assert(sizeof(struct cl_listen) == 144, "wire layout");
_Static_assert(sizeof(struct cl_retransmit) == 144, "wire layout");
_Static_assert(sizeof(struct cl_reset) == 144, "wire layout");
_Static_assert(sizeof(struct cl_process) == 56, "wire layout");
_Static_assert(sizeof(struct cl_network) == 20, "wire layout");
_Static_assert(sizeof(struct cl_shared) == 64, "wire layout");
_Static_assert(sizeof(struct cl_counters) == 320, "wire layout");

#endif
