"""Tables of a benchmark, and what must be known of the machine to read them."""

import os
import platform
import statistics
from collections.abc import Iterable


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def spread(values: list[float]) -> str:
    """Smallest and largest, so that a reader sees how far the runs lie apart."""
    return "–".join(f"{value:,.0f}" if value >= 100 else f"{value:.3g}" for value in (min(values), max(values)))


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def machine() -> str:
    with open("/proc/meminfo") as meminfo:
        kib = int(meminfo.readline().split()[1])
    with open("/proc/cpuinfo") as cpuinfo:
        models = [line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")]
    model = models[0] if models else platform.machine()
    return f"{os.cpu_count()} × {model}, {kib / 2**20:.0f} GiB, Linux {platform.release()}"
