/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The way out: counting, the ring buffer, and waking the consumer. */
#ifndef CONNLEDGER_EMIT_BPF_H
#define CONNLEDGER_EMIT_BPF_H

const volatile struct cl_config config = {};

/* Each on cache lines of its own: what one CPU counts costs the others nothing. */
#define ON_OWN_LINES __attribute__((aligned(64)))

struct cl_shared shared ON_OWN_LINES = {};

struct cl_counters counters[CL_MAX_CPUS] ON_OWN_LINES = {};

/* Every record to user space, in the order of reservation. User space consumes; sized before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} events SEC(".maps");

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, value) (*(volatile typeof(x) *)&(x) = (value))

static __always_inline struct cl_counters *cpu_counters(void)
{
	return &counters[bpf_get_smp_processor_id() & (CL_MAX_CPUS - 1)];
}

/* Atomic, because a program in a softirq can interrupt one in a process on the same CPU. */
#define count(field) __sync_fetch_and_add(&cpu_counters()->field, 1)
#define uncount(field) __sync_fetch_and_add(&cpu_counters()->field, -1)

static __always_inline bool asked_for(enum cl_kind kind)
{
	return config.events & (1U << kind);
}

/*
 * An event of this kind has happened. Counts it, and says whether to send it. Nothing is reserved for
 * an event that a filter refuses.
 */
static __always_inline bool admit(enum cl_kind kind, bool verdict)
{
	if (!asked_for(kind))
		return false;
	count(observed[kind]);
	if (verdict)
		return true;
	count(filtered[kind]);
	return false;
}

/*
 * Functions that are not static, and take none of the kernel's typed pointers, are verified once in each program, and not
 * again at each call: most of what a start takes is verifying.
 */

/*
 * Wakes the consumer if it asked for that. To be called after the submit, which is a full barrier:
 *
 *   producer: submit the record; read the request; reserve a carrier; take the request back;
 *             discard the carrier, which wakes
 *   consumer: write the request; look into the ring; is it empty? does the request still stand?
 *             sleep
 *
 * Either the producer sees the request and wakes, or the consumer's look comes after the submit and finds the record.
 * - A look can swallow the carrier, and the wake-up with it: then the request does not stand any more.
 * - A record that is not complete hides those behind it, whose wake-ups are spent: then the ring is not empty.
 * - Only who has a carrier takes the request: whoever took it and then found no room would leave
 *   nobody to wake. A ring that was empty has room for a carrier when the first record is complete,
 *   unless all of it is taken by records that other CPUs are writing at this moment.
 *
 * One wake-up per sleep, however many events follow. tests/wakeups.rs goes through every order of
 * these steps.
 */
__noinline int wake_consumer(void)
{
	__u32 request = READ_ONCE(shared.wake);
	void *carrier;

	if (request == CL_WAKE_NEVER)
		return 0;
	if (request == CL_WAKE_AT_WATERMARK &&
	    bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) < config.watermark)
		return 0;
	carrier = bpf_ringbuf_reserve(&events, 8, 0);
	if (!carrier)
		return 0;
	/* Who comes second wakes all the same: its carrier hid what the first one's wake-up was for. */
	__sync_val_compare_and_swap(&shared.wake, request, CL_WAKE_NEVER);
	bpf_ringbuf_discard(carrier, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/*
 * There is a reason to follow reads and writes: has user space attach the programs on them. It reads the word
 * after its last look into the ring and before it sleeps. So either it sees the word, or the carrier is still in
 * the ring and wakes it, also from a doze. This is no request's business: it takes none back.
 */
__noinline int want_io(void)
{
	void *carrier;

	if (READ_ONCE(shared.want_io) || __sync_val_compare_and_swap(&shared.want_io, 0, 1))
		return 0;
	carrier = bpf_ringbuf_reserve(&events, 8, 0);
	if (carrier) /* without room, it is awake or waits for an output: it reads the word after that */
		bpf_ringbuf_discard(carrier, BPF_RB_FORCE_WAKEUP);
	return 0;
}

static __always_inline void submit(void *record)
{
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
	wake_consumer();
}

static __always_inline void fill_header(struct cl_header *header, enum cl_kind kind, __u16 size,
					__u64 now)
{
	header->kind = kind;
	header->size = size;
	header->pad = 0;
	header->time_ns = now;
}

/* Reserves a record of this type with its header, or counts that there was no room and returns NULL. */
#define reserve_event(type, kind_, now)                                                            \
	({                                                                                         \
		type *record_ = bpf_ringbuf_reserve(&events, sizeof(type), 0);                     \
		if (record_)                                                                       \
			fill_header(&record_->header, kind_, sizeof(type), now);                   \
		else                                                                               \
			count(ring_full[kind_]);                                                   \
		record_;                                                                           \
	})

#endif
