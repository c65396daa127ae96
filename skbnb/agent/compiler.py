# SPDX-License-Identifier: Apache-2.0
"""From the C files to an object, by BCC: one text, and the headers that it needs."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shutil
import stat
import tempfile
import time
from typing import Any, Callable, Iterator, Sequence

from ..errors import BccError, ProbeError
from . import kheaders, messages, syscalls
from .layout import Layout
from .objects import Object, Shape

__all__ = ["compiled", "expand", "import_bcc"]

# Functions of src/cc/bpf_module.h in BCC: what each returns, and takes. Its Python
# module declares most of them, in some versions.
_MODULE, _NAME, _NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "bpf_module_create_c_from_string": (
        *(_MODULE, _NAME, ctypes.c_uint),
        *(ctypes.POINTER(_NAME), ctypes.c_int, ctypes.c_bool, _NAME),
    ),
    "bpf_module_destroy": (None, _MODULE),
    "bpf_num_tables": (_NUMBER, _MODULE),
    "bpf_table_name": (_NAME, _MODULE, _NUMBER),
    "bpf_table_fd": (ctypes.c_int, _MODULE, _NAME),
    "bpf_num_functions": (_NUMBER, _MODULE),
    "bpf_function_name": (_NAME, _MODULE, _NUMBER),
    "bpf_function_size": (_NUMBER, _MODULE, _NAME),
    "bpf_function_start": (_MODULE, _MODULE, _NAME),
}

# Seconds after which nobody compiles any more.
_OLD = 60


def import_bcc() -> Any:
    """The distribution's bcc, told apart from PyPI's package of that name."""
    try:
        import bcc
    except ImportError as error:
        raise BccError(
            f"{os.path.realpath('/proc/self/exe')} has no BCC ({error})"
        ) from None
    if not hasattr(bcc, "BPF"):
        raise BccError(
            f"the module bcc at {getattr(bcc, '__file__', '?')} is not BCC but PyPI's "
            "package of that name",
            "Run `pip uninstall bcc`, then install python3-bpfcc (Debian, Ubuntu), "
            "python3-bcc (Fedora) or python-bcc (Arch).",
        )
    return bcc


def compiled(text: str, flags: Sequence[str], layout: Layout) -> Object:
    """The object of a C text.

    Parameters
    ----------
    text
        All of it: BCC sees no other file of ours.
    flags
        For clang.
    layout
        Where the kernel's members lie.

    Raises
    ------
    ProbeError
        It does not compile.
    """
    include = kheaders.user_include_flags()
    flags = [*flags, *layout.flags, *include, "-Wno-everything"]
    with stub_headers() if layout.name == "btf" else contextlib.nullcontext():
        return _by_bcc(text, flags)


def _by_bcc(text: str, flags: Sequence[str]) -> Object:
    # BCC's own class would load the kernel's symbols, and attach what it knows how to.
    lib = import_bcc().libbcc.lib
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    words = (ctypes.c_char_p * len(flags))(*map(str.encode, flags))
    module = lib.bpf_module_create_c_from_string(
        text.encode(), 0, words, len(flags), True, None
    )
    if not module:
        said = messages.take_error() or "BCC does not say why"
        raise ProbeError(f"does not compile: {said}")
    try:
        return Object.of(dict(_maps(lib, module)), dict(_programs(lib, module)))
    finally:
        lib.bpf_module_destroy(module)


def _maps(lib: Any, module: int) -> Iterator[tuple[int, Shape]]:
    """The maps that BCC has made, by their file descriptors."""
    for number in range(lib.bpf_num_tables(module)):
        name = lib.bpf_table_name(module, number)
        fd = lib.bpf_table_fd(module, name)
        yield fd, Shape(name.decode(), *syscalls.shape_of(fd))


def _programs(lib: Any, module: int) -> Iterator[tuple[str, bytes]]:
    for number in range(lib.bpf_num_functions(module)):
        name = lib.bpf_function_name(module, number)
        size = lib.bpf_function_size(module, name)
        yield (
            name.decode(),
            ctypes.string_at(lib.bpf_function_start(module, name), size),
        )


@contextlib.contextmanager
def stub_headers() -> Iterator[None]:
    """Point BCC at stub headers, which is enough where the layout is from BTF."""
    _remove_left()
    # Its name says whose it is.
    with tempfile.TemporaryDirectory(prefix=f"skbnb-{os.getpid()}-") as folder:
        kheaders.write(folder)
        os.environ["BCC_KERNEL_SOURCE"] = folder
        try:
            yield
        finally:
            del os.environ["BCC_KERNEL_SOURCE"]


def _remove_left() -> None:
    """Remove the folders of agents that were killed while they compiled."""
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            named = re.fullmatch(r"skbnb-(\d+)-\w+", entry.name)
            if named and _is_left(entry, named[1]):
                shutil.rmtree(entry.path, ignore_errors=True)


def _is_left(entry: os.DirEntry[str], pid: str) -> bool:
    try:
        about = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    # In a container another's processes are not seen: not what may be in use.
    is_old = time.time() - about.st_mtime > _OLD
    ours = stat.S_ISDIR(about.st_mode) and about.st_uid == os.geteuid()
    return ours and is_old and not os.path.exists(f"/proc/{pid}")


def expand(name: str, read_source: Callable[[str], str]) -> str:
    """One text of a C file and the files of ``bpf/`` that it includes, each once.

    BCC rewrites only the main file, so includes cannot be left to clang; ``#line``
    keeps its messages right.
    """
    return "\n".join(_expanded(name, read_source, set()))


def _expanded(
    name: str, read_source: Callable[[str], str], seen: set[str]
) -> Iterator[str]:
    seen.add(name)
    yield f'#line 1 "bpf/{name}"'
    for number, line in enumerate(read_source(name).splitlines(), 1):
        include = re.match(r'#include "(\w+\.h)"', line)
        if not include:
            yield line
        elif include[1] not in seen:
            yield from _expanded(include[1], read_source, seen)
            yield f'#line {number + 1} "bpf/{name}"'
        else:
            yield ""
