# SPDX-License-Identifier: Apache-2.0
"""Agents with one probe each, so that several can work side by side."""

from __future__ import annotations

import os
import sys
import threading

from skbnb.config import Config
from skbnb.session import Session
from skbnb.transport import AGENT_PYTHON, AgentTransport, agent_archive

PROBES = ("fentry", "kprobe", "tracepoint")

# An agent compiles the best probe before it is asked for any: here mostly in vain.
_UNHURRIED = """
import sys
sys.path.insert(0, sys.argv[1])
from skbnb.agent import __main__ as agent
agent.PROBES = ()
sys.exit(agent.main())
"""


def start_agent(**environment: str) -> AgentTransport:
    """An agent that compiles only what it is asked for, with these variables."""
    variables = [f"{name}={value}" for name, value in environment.items()]
    program = [AGENT_PYTHON, "-I", "-c", _UNHURRIED, str(agent_archive())]
    return AgentTransport(["env", *variables, *program])


def start_session(agent: AgentTransport, probe: str) -> Session:
    """A trace that is running, of all that a probe can tell."""
    config = Config(
        cell_tid=threading.get_native_id(),
        notebook_pid=os.getpid(),
        probe=probe,
        stacks=True,
        also="copy",
        follow=True,
    )
    # A guest's processor takes minutes to compile if it is not alone.
    session = Session(agent, config, patience=600)
    session.start()
    return session


def main(probe: str) -> None:
    """Trace until a line comes, or the end of input, as a notebook does."""
    agent = start_agent()
    session = start_session(agent, probe)
    print("attached", flush=True)
    sys.stdin.readline()
    session.stop()
    agent.close()


if __name__ == "__main__":
    main(sys.argv[1])
