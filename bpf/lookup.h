/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What both sides see of the search for a tracepoint's number. */
#ifndef CONNLEDGER_LOOKUP_H
#define CONNLEDGER_LOOKUP_H

enum {
	CL_TRACEPOINT_NAME = 64, /* bytes of a name, with a zero: a multiple of 8; the longest is 34 */
	CL_SEARCH_STEPS = 128, /* a run: the verifier walks through each of them */
};

enum cl_search_result {
	CL_SEARCH_UNDECIDED = 0, /* to be run again */
	CL_SEARCH_FOUND = 1,
	CL_SEARCH_ABSENT = 2, /* there is none of this name */
	CL_SEARCH_LOST = 3,   /* the list cannot be followed, or has changed */
};

struct cl_search {
	char name[CL_TRACEPOINT_NAME]; /* asked for, as sys_enter_connect, filled up with zeroes */
	__u64 begin;                   /* where the search began; 0 before its first run */
	__u64 place;                   /* where the next run goes on */
	__u32 event_fd;                /* the open event's descriptor */
	__u32 id;                      /* what was found */
	enum cl_search_result result;
};

#endif
