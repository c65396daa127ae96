# SPDX-License-Identifier: Apache-2.0
"""An object in the kernel: its maps, and those of its programs that are wanted."""

from __future__ import annotations

import os

from . import syscalls
from .maps import Map
from .objects import Object

__all__ = ["Loaded"]


class Loaded:
    """An object whose maps are in the kernel.

    Parameters
    ----------
    made
        The object.

    Attributes
    ----------
    maps
        Its maps by their names.
    programs
        File descriptors of the programs that are loaded, by their C functions.

    Raises
    ------
    OSError
        The kernel does not make a map.
    """

    def __init__(self, made: Object) -> None:
        self._made = made
        self.maps: dict[str, Map] = {}
        self.programs: dict[str, int] = {}
        try:
            for shape in made.maps:
                self.maps[shape.name] = Map(shape)
        except BaseException:
            self.close()
            raise

    def code(self, function: str) -> bytes:
        """The instructions of a C function, to be loaded as they are."""
        return self._made.code(function, [one.fd for one in self.maps.values()])

    def load(
        self, function: str, kind: int, attach_type: int = 0, target: int = 0
    ) -> int:
        """Load a program, unless it is; gives its file descriptor.

        Parameters
        ----------
        function
            The C function.
        kind, attach_type, target
            As `syscalls.load_program` has them.

        Raises
        ------
        OSError
            The kernel's reason.
        """
        if function not in self.programs:
            code = self.code(function)
            self.programs[function] = syscalls.load_program(
                kind, code, attach_type, target, function
            )
        return self.programs[function]

    def unload(self, function: str) -> None:
        """Unload a program, once it is attached nowhere."""
        os.close(self.programs.pop(function))

    def close(self) -> None:
        """Unload everything."""
        for function in list(self.programs):
            self.unload(function)
        while self.maps:
            self.maps.popitem()[1].close()
