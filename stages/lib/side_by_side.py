"""Commands that wait for each other, several at a time; each line of their output begins with the name of its stage.

The first failure ends all of them: the others get an interrupt, as by Ctrl-C, and a stage that is interrupted resumes
when it runs again. The same happens when this process is interrupted or terminated."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from kitrec.core.errors import InputError
from stages.lib.repro import duration

GRACE = 20.0  # seconds from the interrupt to the kill
_UNFINISHED = re.compile(r"\b\d?\d%\|")  # a library's progress bar: every step of it would be a line here


@dataclass
class Lanes:
    """The commands that run, by name, and the names and exit codes of those that ended."""

    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    ended: queue.Queue[tuple[str, int]] = field(default_factory=queue.Queue)
    stopping: bool = False

    def start(self, name: str, command: list[str]) -> None:
        """Start a command in a process group of its own, so that it can be interrupted with all that it started."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            process_group=0,
        )
        self.running[name] = process
        threading.Thread(target=self._relay, args=(name, process), daemon=True).start()

    def stop(self) -> None:
        """Interrupt all, and kill what is still there after a while."""
        self.stopping = True
        deadline = time.monotonic() + GRACE
        for process in self.running.values():
            _signal(process, signal.SIGINT)
        for process in self.running.values():
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
            _signal(process, signal.SIGKILL)
            process.wait()

    def _relay(self, name: str, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            if line.strip() and not self.stopping and not _UNFINISHED.search(line):
                print(f"{name} | {line.rstrip()}", flush=True)
        self.ended.put((name, process.wait()))


def call(command: list[str]) -> None:
    """Run one command in the foreground; its own message says why it failed."""
    if code := subprocess.run(command, check=False).returncode:
        sys.exit(code)


def run_side_by_side(
    commands: Mapping[str, list[str]],
    needs: Mapping[str, set[str]],
    urgency: Mapping[str, float],
    seconds: Mapping[str, float],
    width: int,
) -> None:
    """Run all commands, `width` at a time, each after those that it needs, the most urgent first."""
    lanes, waiting, done = Lanes(), dict(needs), set[str]()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)  # the first is ignored where this runs in the background
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        while waiting or lanes.running:
            ready = sorted((name for name in waiting if waiting[name] <= done), key=lambda name: (-urgency[name], name))
            for name in ready[: width - len(lanes.running)]:
                del waiting[name]
                left = [name, *waiting, *lanes.running]
                print(f"{name} | starts{expected(name, left, urgency, seconds, width)}", flush=True)
                lanes.start(name, commands[name])
            name, code = lanes.ended.get()
            del lanes.running[name]
            if code:
                raise InputError(f"{name} failed: its message is above; the other stages were stopped and will resume")
            done.add(name)
            print(f"{name} | done", flush=True)
    except KeyboardInterrupt:
        raise InputError("interrupted: the same command goes on where it stopped") from None
    finally:
        lanes.stop()
        for number, handler in before.items():
            signal.signal(number, handler)


def expected(
    name: str, left: Sequence[str], urgency: Mapping[str, float], seconds: Mapping[str, float], width: int
) -> str:
    """Return what a stage takes and what is left, if that is known: the longest way, or all work shared out."""
    if name not in seconds:
        return ""
    whole = max(*(urgency[other] for other in left), sum(seconds.get(other, 0.0) for other in left) / width)
    return f": {duration(seconds[name])} expected, about {duration(whole)} left"


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """Signal a command's process group, also where the command itself has ended before what it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)
