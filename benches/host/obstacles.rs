//! What stands in the way of a target that was not met, and what was tried. The figures in these texts were measured
//! on a machine of two cores (AMD EPYC, virtual, Linux 6.18) in November 2026, with the load of this benchmark or
//! one like it; they do not come from the run in whose report they stand.

/// Of the connections a second over untraced.
pub const RATIO: &str = "\
It is the kernel side, and half of that is not ours to save; user space no longer shows. With a filter that refuses \
everything, so that nothing is written, it was 0.86 to 0.88, as with everything written. Of that, two programs that do \
nothing on the state changes cost 0.02, the hooks on three system calls 0.01 (45 ns on every system call of the \
host, for as long as any system call is traced), and a state that the kernel makes, clones and frees with each socket \
0.03. The rest is the work of our programs: see the kernel time. Both ends of each connection are on this host and \
pay, on two cores that have nothing to spare: the filter of tcpdump, which hands up two packets a connection, costs \
0.12. The load that the target was set with took 1.7 times the CPU time for a connection: the same cost is so much \
less of it. Tried: states of own connections in a preallocated table instead of socket storage (nothing gained: \
look-ups elsewhere cost what the creation saved). Not tried, for this kernel does not have them: fentry and kprobes \
in place of the system calls' tracepoints.";

/// Of the kernel time.
pub const KERNEL: &str = "\
A connection with both ends is 26 runs of a program, of which the counting itself takes some 63 ns each: without it, \
4.5 µs remain. Ten state changes run two programs each; the second one, which recovers what a softirq kept the \
first from, costs 25 ns beside the counting. In the first, the making of a socket's state takes 0.7 µs (two \
allocations in the kernel), each of the four records 0.2 to 0.25 µs. Kept, of 8.4 µs: a connect's socket is looked at \
only if the call fails (0.45 saved), an accept finds the addresses in the table of waiting connections (0.7), sockets that \
have left the tables are not looked for in them (0.3), reads and writes are followed on demand (0.85). Tried and left: \
states in a hash (0.2 less in this program, 0.25 more in the others); the second program as a tail call of the first \
(from Linux 6.13 on both would use one stack, and events were told wrongly).";

/// Of the memory.
pub const MEMORY: &str = "\
What grows is the table of process descriptions: about 130 bytes for each new process, of which it keeps 32,768 at the \
most (4 MiB).";

/// Of the collector with two outputs.
pub const SECOND_OUTPUT: &str = "It is 10 to 15 ns a record, 0.15 % of a core at 100,000 records a second. A second \
    queue is one more entry, and one more thread to wake, for each batch of 256; and a batch that two threads have read \
    comes back to the collector later, when its cache has forgotten it. No record is copied or encoded by the collector, \
    for whatever number of outputs.";
