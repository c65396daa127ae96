# SPDX-License-Identifier: Apache-2.0
"""Stub kernel headers: all that BCC needs where the layout comes from BTF.

BCC includes a handful of kernel headers on its own account (its ``helpers.h`` and
``bcc/proto.h``). These stand in for them, so neither the kernel's headers nor a version
of BCC that understands them is needed; the types come from the C library's
``linux/types.h``.
"""

from __future__ import annotations

import os
import re

from ..errors import LayoutError

_TYPES = """
#pragma once
#include <uapi/linux/types.h>
typedef __u8 u8; typedef __u16 u16; typedef __u32 u32; typedef __u64 u64;
typedef __s8 s8; typedef __s16 s16; typedef __s32 s32; typedef __s64 s64;
typedef _Bool bool; typedef unsigned long size_t; typedef unsigned long uintptr_t;
typedef __u32 gfp_t; typedef int pid_t;
#define NULL ((void *)0)
#define true 1
#define false 0
"""

_LOG2 = "#define roundup_pow_of_two(n) (1UL << (64 - __builtin_clzl((n) - 1)))\n"

# As in arch/*/include/asm/ptrace.h; what a kprobe is given.
_PTRACE = """
#pragma once
#if defined(__x86_64__)
struct pt_regs {{
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
}};
#elif defined(__aarch64__)
struct pt_regs {{
	unsigned long long regs[31], sp, pc, pstate;
}};
#endif
"""

HEADERS = {
    "asm/page.h": "#define PAGE_SIZE {page_size}\n",
    "linux/kconfig.h": "#pragma once\n#define CONFIG_BPF_SYSCALL 1\n",
    "linux/log2.h": _LOG2,
    "linux/types.h": _TYPES,
    "linux/version.h": "#pragma once\n"
    "#define KERNEL_VERSION(a, b, c) \\\n"
    "\t(((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))\n"
    "#define LINUX_VERSION_CODE KERNEL_VERSION({version})\n",
    "uapi/linux/types.h": '#include "/usr/include/linux/types.h"\n',
    "uapi/linux/bpf_common.h": '#include "/usr/include/linux/bpf_common.h"\n',
    "uapi/linux/bpf.h": "",
    "uapi/linux/if_packet.h": "",
    "uapi/linux/ptrace.h": _PTRACE,
}


def write(folder: str) -> None:
    """Write the headers for the running kernel below `folder`.

    Point ``BCC_KERNEL_SOURCE`` at it.
    """
    numbers = re.findall(r"\d+", os.uname().release)[:3]
    version = ", ".join((numbers + ["0"] * 3)[:3])
    page_size = str(os.sysconf("SC_PAGE_SIZE"))
    for name, text in HEADERS.items():
        path = os.path.join(folder, "include", name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text.format(version=version, page_size=page_size))


def user_include_flags() -> list[str]:
    """Where the C library's ``linux/`` and ``asm/`` headers are.

    Raises
    ------
    LayoutError
        They are missing; BCC 0.26 would end in a segmentation fault.
    """
    if not os.path.exists("/usr/include/linux/types.h"):
        raise LayoutError(
            "the kernel's headers for user programs are missing (linux/types.h)",
            "Install linux-libc-dev (Debian, Ubuntu), kernel-headers (Fedora) or "
            "linux-api-headers (Arch).",
        )
    folders = ["/usr/include", f"/usr/include/{os.uname().machine}-linux-gnu"]
    return [f"-I{folder}" for folder in folders if os.path.isdir(folder)]
