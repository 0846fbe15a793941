/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel as connledger sees it: every type and field that it reads, and nothing else.
 *
 * This takes the place of a generated vmlinux.h. Offsets do not matter here: with
 * preserve_access_index the loader finds each field by its name in the running kernel's BTF, and refuses
 * to load a program whose field is not there. So this file is the whole of our contact with the kernel.
 */
#ifndef CONNLEDGER_KERNEL_H
#define CONNLEDGER_KERNEL_H

typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;
typedef __u16 __be16;
typedef __u32 __be32;
typedef __u64 __be64;
typedef __u32 __wsum;

typedef _Bool bool;
#define true 1
#define false 0

#define NULL ((void *)0)

/* include/uapi/linux/bpf.h */
enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_LPM_TRIE = 11,
	BPF_MAP_TYPE_SK_STORAGE = 24,
	BPF_MAP_TYPE_RINGBUF = 27,
	BPF_MAP_TYPE_TASK_STORAGE = 29,
};

enum {
	BPF_ANY = 0,
	BPF_NOEXIST = 1,
	BPF_F_NO_PREALLOC = 1U << 0,
	BPF_F_CLONE = 1U << 9,
	BPF_LOCAL_STORAGE_GET_F_CREATE = 1U << 0,
	BPF_RB_NO_WAKEUP = 1ULL << 0,
	BPF_RB_FORCE_WAKEUP = 1ULL << 1,
	BPF_RB_AVAIL_DATA = 0,
};

/* include/net/tcp_states.h */
enum {
	TCP_ESTABLISHED = 1,
	TCP_SYN_SENT = 2,
	TCP_SYN_RECV = 3,
	TCP_FIN_WAIT1 = 4,
	TCP_FIN_WAIT2 = 5,
	TCP_TIME_WAIT = 6,
	TCP_CLOSE = 7,
	TCP_CLOSE_WAIT = 8,
	TCP_LAST_ACK = 9,
	TCP_LISTEN = 10,
	TCP_CLOSING = 11,
	TCP_NEW_SYN_RECV = 12,
};

enum {
	AF_INET = 2,
	AF_INET6 = 10,
	SOCK_STREAM = 1,
	IPPROTO_TCP = 6,
	IPPROTO_MPTCP = 262,
	SOCK_DEAD = 0,       /* include/net/sock.h, enum sock_flags: no process has it any more */
	SOCK_DONE = 1,       /* the peer's FIN was received */
	RCV_SHUTDOWN = 1,    /* include/net/sock.h: the process reads no more */
	SHUTDOWN_MASK = 3,   /* the same: neither does it write */
	PF_IO_WORKER = 0x10, /* include/linux/sched.h: a thread made by io_uring, comm iou-… */
	PF_KTHREAD = 0x00200000, /* include/linux/sched.h: a thread of the kernel's own */
	ETH_P_IP = 0x0800,       /* include/uapi/linux/if_ether.h */
	ETH_P_IPV6 = 0x86DD,
};

/* include/uapi/linux/net.h */
typedef enum {
	SS_UNCONNECTED = 1,
} socket_state;

/* include/uapi/asm-generic/errno*.h, include/linux/errno.h */
enum {
	EINTR = 4,
	EFAULT = 14,
	EEXIST = 17,
	EPIPE = 32,
	EADDRNOTAVAIL = 99,
	ECONNABORTED = 103,
	ECONNRESET = 104,
	EISCONN = 106,
	ECONNREFUSED = 111,
	EALREADY = 114,
	EINPROGRESS = 115,
	ERESTARTSYS = 512, /* this and the next four: the call is begun again, or returns EINTR */
	ERESTART_RESTARTBLOCK = 516,
};

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

typedef struct {
	__s64 counter;
} atomic64_t;

struct list_head {
	struct list_head *next;
};

struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
};

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
	unsigned long skc_flags;
};

struct sock {
	struct sock_common __sk_common;
	struct socket *sk_socket;
	int sk_err;
	__u16 sk_type;
	__u16 sk_protocol;
	__u8 sk_shutdown;
	__u32 sk_max_ack_backlog;
};

struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
};

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	void *icsk_ulp_data;
};

/* net/mptcp/protocol.h */
struct mptcp_subflow_context {
	struct sock *conn; /* the connection that it carries */
};

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 write_seq;
	__u32 copied_seq;
	__u32 rcv_nxt;
	__u32 segs_in;
	__u32 segs_out;
	__u32 data_segs_out;
	__u32 data_segs_in;
	__u32 srtt_us;
	__u32 total_retrans;
	int linger2;
	bool is_mptcp; /* with CONFIG_MPTCP only */
};

/* net/mptcp/protocol.h; the counters since 6.5 */
struct mptcp_sock {
	struct inet_connection_sock sk;
	__u64 bytes_sent;
	__u64 bytes_retrans;
	__u64 bytes_received;
	struct sock *first;
};

/* A handshake under way: the same beginning as a sock. */
struct request_sock {
	struct sock_common __req_common;
};

struct tcp_request_sock {
	bool is_mptcp; /* with CONFIG_MPTCP only: MPTCP listens */
};

/* net/mptcp/protocol.h: what a SYN asked for */
struct mptcp_subflow_request_sock {
	__u16 mp_capable : 1, mp_join : 1;
};

struct net_device {
	possible_net_t nd_net;
};

struct sk_buff {
	struct net_device *dev;
	unsigned char *head;
	__u16 transport_header;
	__u16 network_header;
	__be16 protocol;
};

struct socket {
	socket_state state;
	struct file *file;
	struct sock *sk;
};

struct qstr {
	const unsigned char *name;
};

struct dentry {
	struct qstr d_name;
};

struct path {
	struct dentry *dentry;
};

struct file {
	void *private_data;
	struct path f_path;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct kernfs_node {
	__u64 id;
};

struct cgroup;

struct cgroup_subsys_state {
	struct cgroup *cgroup;
	struct cgroup_subsys_state *parent;
};

struct cgroup {
	struct cgroup_subsys_state self;
	struct kernfs_node *kn;
};

struct css_set {
	struct cgroup *dfl_cgrp;
};

typedef struct {
	__u32 val;
} kuid_t;

typedef struct {
	__u32 val;
} kgid_t;

struct cred {
	kuid_t uid;
	kgid_t gid;
};

struct task_struct {
	unsigned int flags;
	int pid;
	int tgid;
	struct task_struct *real_parent;
	struct task_struct *group_leader;
	__u64 start_boottime;
	const struct cred *cred;
	char comm[16];
	struct files_struct *files;
	struct css_set *cgroups;
	__u32 self_exec_id;
	void *io_uring; /* what it has to do with io_uring, if it has; with CONFIG_IO_URING only */
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

/* /sys/kernel/tracing/events/syscalls/sys_enter_*, sys_exit_*: the same for every system call */
struct trace_entry {
	int pid;
};

struct trace_event_raw_sys_enter {
	struct trace_entry ent;
	long id;
	unsigned long args[6];
};

struct trace_event_raw_sys_exit {
	struct trace_entry ent;
	long id;
	long ret;
};

/* include/linux/trace_events.h: what can be traced by perf_event_open(2), in one ring of all */
struct trace_event_class {
	const char *system;
};

struct trace_event {
	int type; /* the number that tracefs shows as id */
};

struct trace_event_call {
	struct list_head list;
	struct trace_event_class *class;
	const char *name; /* of a system call's event; of others it may be something else */
	struct trace_event event;
};

/* What stands behind a descriptor of perf_event_open(2). */
struct perf_event {
	struct trace_event_call *tp_event;
};

/* arch/x86/include/asm/ptrace.h, arch/arm64/include/asm/ptrace.h: where a system call's function finds its arguments */
struct pt_regs {
#if defined(__TARGET_ARCH_x86)
	unsigned long di;
	unsigned long si;
	unsigned long dx;
#elif defined(__TARGET_ARCH_arm64)
	__u64 regs[31];
#endif
};

#pragma clang attribute pop

#if defined(__TARGET_ARCH_x86)
#define SYSCALL_ARGUMENTS(regs) (regs)->di, (regs)->si, (regs)->dx
#elif defined(__TARGET_ARCH_arm64)
#define SYSCALL_ARGUMENTS(regs) (regs)->regs[0], (regs)->regs[1], (regs)->regs[2]
#else
#define SYSCALL_ARGUMENTS(regs) 0, 0, 0 /* the program that asks for them is not loaded */
#endif

#endif
