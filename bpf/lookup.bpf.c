/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is looked up before tracing begins, if need be: the number of a system call's tracepoint, and whether programs can
 * be attached to the kernel's functions.
 */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "lookup.h"
#include "descriptor.bpf.h"

/* What user space asks for, and where the search stands. */
struct cl_search search = {};

/* The group that the tracepoints of system calls are in. */
static const char SYSTEM[16] __attribute__((aligned(8))) = "syscalls";

/* Whether two names are the same, filled up with zeroes to `size`, a multiple of 8. */
static __always_inline bool same(const char *one, const char *other, int size)
{
	for (int i = 0; i < size; i += sizeof(__u64))
		if (*(const __u64 *)(one + i) != *(const __u64 *)(other + i))
			return false;
	return true;
}

/*
 * The ring has one link that is no event, its head. What is read there is something else, or nothing: no reading
 * faults, and it does not happen to be the system's name and the tracepoint's.
 */
static __always_inline bool is_searched_for(struct trace_event_call *call)
{
	char system[sizeof(SYSTEM)] __attribute__((aligned(8))) = {};
	char name[CL_TRACEPOINT_NAME] __attribute__((aligned(8))) = {};

	bpf_probe_read_kernel_str(system, sizeof(system), BPF_CORE_READ(call, class, system));
	if (!same(system, SYSTEM, sizeof(system)))
		return false;
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(call, name));
	return same(name, search.name, sizeof(name));
}

/* Goes so many steps along the list, which may change meanwhile. */
static __always_inline enum cl_search_result search_on(void)
{
	struct trace_event_call *call;
	struct list_head *place;

	place = (struct list_head *)search.place;
	for (int i = 0; i < CL_SEARCH_STEPS; i++) {
		call = (void *)place - bpf_core_field_offset(call->list);
		if (is_searched_for(call)) {
			search.id = BPF_CORE_READ(call, event.type);
			return CL_SEARCH_FOUND;
		}
		place = BPF_CORE_READ(place, next);
		if (!place)
			return CL_SEARCH_LOST;
		if ((__u64)place == search.begin)
			return CL_SEARCH_ABSENT;
	}
	search.place = (__u64)place;
	return CL_SEARCH_UNDECIDED;
}

/*
 * Finds a tracepoint's number in the kernel's own list of them, for who may not read tracefs. User space opens some
 * tracepoint by perf_event_open(2), no matter which, and has this run until there is an answer: by BPF_PROG_TEST_RUN, in
 * its own context, which programs of this type have since 5.10. From the open event it goes to the event's place in the
 * list, which is a ring, and around it.
 */
SEC("raw_tp")
int find_tracepoint(void *ctx)
{
	struct trace_event_call *call;
	struct perf_event *event;

	if (!search.begin) {
		event = private_data_behind(bpf_get_current_task_btf(), search.event_fd);
		call = BPF_CORE_READ(event, tp_event);
		search.begin = (__u64)call + bpf_core_field_offset(call->list);
		search.place = search.begin;
	}
	search.result = search_on();
	return 0;
}

/* Attached to the function that user space names, to see whether that can be done. */
SEC("fexit")
int BPF_PROG(do_nothing)
{
	return 0;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
