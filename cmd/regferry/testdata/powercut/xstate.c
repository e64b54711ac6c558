// User-Mode Linux 6.1 hands the kernel 2.7 KB of vector registers. A processor
// with AMX has 11 KB of them, and its kernel takes all or nothing (EFAULT), so
// that User-Mode Linux panics at its first process. Preloaded, this adds the
// rest as it is in the traced process.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

static char whole[64 << 10]; // User-Mode Linux has one thread that traces, and small stacks

long ptrace(enum __ptrace_request request, ...)
{
	static long (*next)(int, long, void *, void *);
	va_list ap;
	va_start(ap, request);
	long pid = va_arg(ap, int);
	void *addr = va_arg(ap, void *), *data = va_arg(ap, void *);
	va_end(ap);
	if (!next)
		next = dlsym(RTLD_NEXT, "ptrace");
	struct iovec *part = data, all = { whole, sizeof whole };
	if (request == PTRACE_SETREGSET && (long)addr == NT_X86_XSTATE &&
	    next(PTRACE_GETREGSET, pid, addr, &all) == 0 && part->iov_len < all.iov_len) {
		memcpy(whole, part->iov_base, part->iov_len);
		data = &all;
	}
	return next(request, pid, addr, data);
}
