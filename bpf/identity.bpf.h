/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who is calling: captured from the task itself, in its own context. */
#ifndef CONNLEDGER_IDENTITY_BPF_H
#define CONNLEDGER_IDENTITY_BPF_H

struct announcement {
	__u32 exec_id;    /* of the image that was announced */
	__u32 generation; /* of user space's table at that time */
};

/*
 * What was last announced about each process, kept on its group leader. The kernel deletes an entry
 * with its task. An exec needs no deletion: the exec id differs then.
 */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct announcement);
} announcements SEC(".maps");

static __always_inline void identify_task(struct cl_owner *owner, struct task_struct *task,
					  enum cl_attribution attribution)
{
	struct task_struct *leader = task->group_leader;
	/* A worker of io_uring acts for its process but has a name of its own. */
	struct task_struct *named = task->flags & PF_IO_WORKER ? leader : task;

	owner->start_ns = leader->start_boottime;
	owner->cgroup_id = task->cgroups->dfl_cgrp->kn->id;
	owner->pid = task->tgid;
	owner->tid = task->pid;
	owner->uid = task->cred->uid.val;
	owner->gid = task->cred->gid.val;
	owner->exec_id = leader->self_exec_id;
	/* before 5.17 an exec left the end of a longer name behind the new one */
	__builtin_memset(owner->comm, 0, sizeof(owner->comm));
	bpf_probe_read_kernel_str(owner->comm, sizeof(owner->comm), &named->comm);
	owner->attribution = attribution;
	__builtin_memset(owner->pad, 0, sizeof(owner->pad));
	owner->admitted = process_admits(owner, task);
}

/* As identify_task(), the current one. */
__noinline int identify(struct cl_owner *owner, __u32 attribution)
{
	if (owner)
		identify_task(owner, bpf_get_current_task_btf(), attribution);
	return 0;
}

/* Whether both are the same caller in every respect that an event tells. */
static __always_inline bool same_owner(const struct cl_owner *a, const struct cl_owner *b)
{
	const __u64 *name_a = (const void *)a->comm, *name_b = (const void *)b->comm;

	return a->pid == b->pid && a->tid == b->tid && a->start_ns == b->start_ns &&
	       a->exec_id == b->exec_id && a->uid == b->uid && a->gid == b->gid &&
	       a->cgroup_id == b->cgroup_id && name_a[0] == name_b[0] && name_a[1] == name_b[1];
}

/*
 * Sends the description of the task's process image, unless user space has it already, or a filter
 * refuses the process. It must precede the image's first event in the ring. The mark is set only when the
 * description was really sent.
 */
static __always_inline void announce_task(const struct cl_owner *owner, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;
	struct task_struct *parent = leader->real_parent;
	__u32 generation = READ_ONCE(shared.process_generation);
	struct announcement *last;
	struct cl_process *record;

	if (!owner->admitted)
		return;
	last = bpf_task_storage_get(&announcements, leader, NULL, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (!last)
		count(storage_failed); /* without the mark it is sent each time: dearer, but true */
	else if (last->generation == generation && last->exec_id == owner->exec_id)
		return;

	record = bpf_ringbuf_reserve(&events, sizeof(*record), 0);
	if (!record) {
		count(process_ring_full);
		return;
	}
	fill_header(&record->header, CL_PROCESS, sizeof(*record), bpf_ktime_get_boot_ns());
	record->start_ns = owner->start_ns;
	record->pid = owner->pid;
	record->exec_id = owner->exec_id;
	record->ppid = parent->tgid;
	bpf_probe_read_kernel(record->parent_comm, sizeof(record->parent_comm),
			      &parent->group_leader->comm);
	__builtin_memset(record->pad, 0, sizeof(record->pad));
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	/* The event that follows wakes. But a filter may refuse that one, and the next: then it is these that fill the ring. */
	if (bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) >= config.watermark)
		wake_consumer();
	if (last) {
		last->exec_id = owner->exec_id;
		last->generation = generation;
	}
}

/* As announce_task(), the current one. */
__noinline int announce(const struct cl_owner *owner)
{
	if (owner)
		announce_task(owner, bpf_get_current_task_btf());
	return 0;
}

#endif
