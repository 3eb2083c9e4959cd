"""Measures what a span of time cost: CPU seconds by process, and how much the rest of the machine was in the way."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import psutil

MEBIBYTE = 1024 * 1024
# Others may take this share of one core meanwhile; above it a sample is disturbed.
TOLERATED = 0.15


@dataclass(frozen=True)
class Reading:
    """Holds one span: its length in seconds, CPU seconds by name, and the cores that others kept busy on average."""

    seconds: float
    cpu: Mapping[str, float] = field(default_factory=dict)
    foreign: float = 0.0

    @property
    def disturbed(self) -> bool:
        return self.foreign > TOLERATED


class Meter:
    """Counts CPU seconds from when it is made until `read`."""

    def __init__(self, pids: Mapping[str, int]) -> None:
        """`pids`: the processes to tell apart, each together with all its children."""
        self._pids = dict(pids)
        self._began = self._look()

    def read(self) -> Reading:
        now, before = self._look(), self._began
        seconds = now.at - before.at
        foreign = (now.machine - before.machine) - (now.ours - before.ours)
        cpu = {name: now.cpu[name] - before.cpu[name] for name in self._pids}
        return Reading(seconds, cpu, max(0.0, foreign / seconds))

    def _look(self) -> "_Counters":
        cpu = {name: tree_cpu(pid) for name, pid in self._pids.items()}
        return _Counters(time.perf_counter(), _machine_cpu(), tree_cpu(os.getpid()), cpu)


@dataclass(frozen=True)
class _Counters:
    at: float
    machine: float
    ours: float
    cpu: dict[str, float]


def _machine_cpu() -> float:
    """Return all CPU seconds since boot that were not idle; what another guest took from this machine counts too."""
    times = psutil.cpu_times()._asdict()
    return float(sum(times.get(name, 0.0) for name in ("user", "nice", "system", "irq", "softirq", "steal")))


def tree_cpu(pid: int) -> float:
    """Return the CPU seconds of a process, of its living children, and of those that have ended and were waited for."""
    return float(sum(_cpu(process) for process in tree(pid)))


def _cpu(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return float(times.user + times.system + times.children_user + times.children_system)


def tree(pid: int) -> list[psutil.Process]:
    """Return the process and all its descendants."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.Error:
        return []


def memory(pids: Iterable[int]) -> float:
    """Return the MiB of the processes and their children; pages shared by several are divided among them (PSS)."""
    processes = {process.pid: process for pid in pids for process in tree(pid)}
    return sum(_memory(process) for process in processes.values()) / MEBIBYTE


def _memory(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    # Only Linux tells PSS; elsewhere what belongs to the process alone comes closest.
    return int(getattr(full, "pss", full.uss))


def calm(limit: float = 0.15, within: float = 30.0) -> None:
    """Wait until our own processes have nothing left to do, for `within` seconds at most."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        before, began = tree_cpu(os.getpid()), time.perf_counter()
        time.sleep(0.4)
        if (tree_cpu(os.getpid()) - before) / (time.perf_counter() - began) < limit:
            return
