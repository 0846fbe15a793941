/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What stands behind a descriptor. */
#ifndef CONNLEDGER_DESCRIPTOR_BPF_H
#define CONNLEDGER_DESCRIPTOR_BPF_H

/*
 * The private data of the file that is one of the task's descriptors: what that is, the caller must know or
 * ask. No more is read than must be: each reading of what is no trusted pointer costs a call.
 */
static __always_inline void *private_data_behind(struct task_struct *task, __u32 fd)
{
	struct fdtable *table = task->files->fdt;
	struct file *file = NULL;

	if (fd < table->max_fds)
		bpf_probe_read_kernel(&file, sizeof(file), table->fd + fd);
	return file ? BPF_CORE_READ(file, private_data) : NULL;
}

#endif
