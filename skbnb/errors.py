# SPDX-License-Identifier: Apache-2.0
"""Every error that skbnb raises: what happened, and one remedy.

    SkbnbError
    ├── AgentError              the part that runs as root could not do its work
    │   ├── PrivilegeError      neither root nor sudo
    │   ├── BccError            BCC is missing, or it is PyPI's package of that name
    │   ├── LayoutError         the kernel does not say where its struct members are
    │   ├── ProbeError          no probe could be attached
    │   ├── RequestError        the agent refused what it was asked
    │   ├── PipeError           nothing can be read from the kernel's trace pipe
    │   └── AgentLostError      it ended, or stopped answering, in the middle
    ├── StreamError             bytes that are not a skbnb stream
    │   └── AbiError            a stream of another version
    ├── BusyError               a trace is running in this notebook already
    ├── LessonError             no such lesson, exercise or recording, or no such answer
    └── OptionError             an option's value is of no use

Standard library only, and Python 3.8: the agent shares this module.
"""

from __future__ import annotations

__all__ = [
    "CODES",
    "AbiError",
    "AgentError",
    "AgentLostError",
    "BccError",
    "BusyError",
    "LayoutError",
    "LessonError",
    "LossWarning",
    "OptionError",
    "PipeError",
    "PrivilegeError",
    "ProbeError",
    "RequestError",
    "SkbnbError",
    "StreamError",
    "TruncatedWarning",
    "code_of",
]


class SkbnbError(Exception):
    """What happened, in one line.

    Parameters
    ----------
    message
        What happened.
    hint
        What to do about it; by default the class's own.
    """

    hint = "See the message."

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint or type(self).hint

    def __str__(self) -> str:
        return f"{_sentence(self.args[0])} {_sentence(self.hint)}"

    def _render_traceback_(self) -> list[str]:
        # IPython asks for this: a notebook shows the line and not our stack.
        return [f"{type(self).__name__}: {self}"]


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else text + "."


class AgentError(SkbnbError):
    """The part that runs as root could not do its work."""

    hint = "Please report this with the message above."


class PrivilegeError(AgentError):
    """Neither root nor sudo."""

    hint = (
        "Start Jupyter as root, or allow it with a sudo rule that asks no password "
        "(or replay a recording: SKBNB_AGENT=replay:FILE)."
    )


class BccError(AgentError):
    """BCC is missing, or it is PyPI's package of that name."""

    hint = (
        "Install the distribution's package: python3-bpfcc (Debian, Ubuntu), "
        "python3-bcc (Fedora) or python-bcc (Arch); never `pip install bcc`."
    )


class LayoutError(AgentError):
    """The kernel does not say where its struct members are."""

    hint = "Install the running kernel's headers: linux-headers-$(uname -r)."


class ProbeError(AgentError):
    """No probe could be attached."""

    hint = "Run on a kernel with BPF raw tracepoints (Linux 5.10 or newer)."


class RequestError(AgentError):
    """The agent refused what it was asked."""

    hint = "Restart the notebook's kernel, so that both parts are of one version."


class PipeError(AgentError):
    """Nothing can be read from the kernel's trace pipe."""

    hint = "Leave via trace away: no other way needs the pipe."


class AgentLostError(AgentError):
    """The agent ended, or stopped answering, in the middle."""

    hint = "What had arrived is kept in skbnb.last. Run the cell again."


class StreamError(SkbnbError):
    """Bytes that are not a skbnb stream."""

    hint = "Try again; a recording is a file that trace.save() or --record wrote."


class AbiError(StreamError):
    """A stream of another version."""

    hint = "Open it with the version of skbnb that wrote it."


class BusyError(SkbnbError):
    """A trace is running in this notebook already."""

    hint = "Let it end first: one trace at a time in each notebook."


class LessonError(SkbnbError):
    """No such lesson, exercise or recording, or no such answer."""

    hint = "See skbnb.lessons.exercises()."


class OptionError(SkbnbError):
    """An option's value is of no use."""

    hint = "See %%skbclone?"


class TruncatedWarning(UserWarning):
    """A stream ended before its END; what had arrived is there."""


class LossWarning(UserWarning):
    """The kernel made clones that are not in the trace; their number is."""


def code_of(error: SkbnbError) -> str:
    """The code that stands for an error in an ERROR frame."""
    for code, kind in CODES.items():
        if type(error) is kind:
            return code
    return "internal"


CODES: dict[str, type[AgentError]] = {
    "bcc": BccError,
    "layout": LayoutError,
    "probe": ProbeError,
    "request": RequestError,
    "pipe": PipeError,
    "privilege": PrivilegeError,
    "internal": AgentError,
}
"""The code in an ERROR frame, and the error it becomes."""
