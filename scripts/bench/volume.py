"""What much data costs three nodes: the restart, the disk, the memory, and a member that was away for long.

The data are the synthetic records of `generate.py`, ten properties each. "× the data" counts hashIds, names of properties and values,
each once a record; the JSON Lines that brought them are longer. Sizes on disk are blocks, as `du` counts them. Memory is what is
resident (VmRSS), mapped files included.
"""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import generate
import report
from cluster import MetadCluster, eventually, is_ready
from node import BenchError, Node

MIB = 2**20
# The disk counts as idle when its use has not changed for so long.
QUIET_SECONDS, QUIET_SECONDS_MAX = 8, 180
BEHIND_SECONDS_MAX = 900
# Clients of the load beside a member that catches up, and of the one that lets it fall behind.
CLIENTS, FAST_CLIENTS = 8, 32
WINDOW_SECONDS = 1.0

Load = Callable[[str, str, str, int, float], dict]


def say(words: str) -> None:
    print(f"volume: {words}", file=sys.stderr)


def status_number(node: Node, field: str) -> int:
    return node.get_json("/v1/status")[field] or 0


def resident_bytes(node: Node) -> int:
    for line in Path(f"/proc/{node.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise BenchError("the kernel does not say how much memory the node uses")


def disk_bytes(node: Node) -> dict[str, int]:
    """Blocks below each folder of the data directory. Files may come and go meanwhile."""
    used: dict[str, int] = {}
    for path in node.data_dir.rglob("*"):
        try:
            if path.is_file():
                kind = "snapshots" if "snapshot" in str(path.relative_to(node.data_dir)) else path.relative_to(node.data_dir).parts[0]
                used[kind] = used.get(kind, 0) + path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return used


def settle(cluster: MetadCluster) -> None:
    """Waits until all nodes have applied the same and their disks are quiet."""
    indexes = lambda: {status_number(node, "applied_index") for node in cluster.nodes}  # noqa: E731
    eventually("all nodes have applied the same", lambda: len(indexes()) == 1)
    end, since, before = time.monotonic() + QUIET_SECONDS_MAX, time.monotonic(), None
    while time.monotonic() < end:
        now = [disk_bytes(node) for node in cluster.nodes]
        if now != before:
            since, before = time.monotonic(), now
        if time.monotonic() - since >= QUIET_SECONDS:
            return
        time.sleep(0.5)
    say(f"the disks were not quiet after {QUIET_SECONDS_MAX} s")


def write_library(path: Path, records: int) -> int:
    """Writes the records and gives the bytes of the data in them."""
    data = 0
    with path.open("w") as out:
        for line in generate.records(records):
            out.write(line)
            record = json.loads(line)
            data += len(record["hashId"]) + sum(len(k) + len(v) for k, v in record["metadata"].items())
    return data


def restart(cluster: MetadCluster, records: int) -> tuple[float, list[int]]:
    """All nodes stop and start at once: seconds until each serves its whole tree, and what is resident then."""
    for node in cluster.nodes:
        node.stop()
    began = time.monotonic()
    for node in cluster.nodes:
        node.start()
    eventually("a cluster that is ready", lambda: all(is_ready(node) for node in cluster.nodes))
    for node in cluster.nodes:
        node.wait_for_files(records)
    return time.monotonic() - began, [resident_bytes(node) for node in cluster.nodes]


def fall_behind(cluster: MetadCluster, load: Load, away: Node, entries: int) -> int:
    """Stops a member and writes until so many entries are in the log that it lacks. How many there are."""
    last = status_number(away, "last_log_index")
    away.stop()
    end = time.monotonic() + BEHIND_SECONDS_MAX
    while time.monotonic() < end:
        leader = eventually("a leader", lambda: next((n for n in cluster.nodes if n is not away and leads(n)), None))
        behind = status_number(leader, "last_log_index") - last
        if behind >= entries:
            return behind
        say(f"{behind:,} of {entries:,} entries behind")
        load("metad", "write", leader.http, FAST_CLIENTS, 3)
    raise BenchError(f"{entries} entries were not written in {BEHIND_SECONDS_MAX} s")


def leads(node: Node) -> bool:
    status = node.get_json("/v1/status")
    return status["node"]["role"] == "leader" and bool(status["leader"])


def catch_up(leader: Node, load: Load, away: Node) -> tuple[float, list[float]]:
    """Starts the member: seconds until it has what the leader had then, and the p99 of each second meanwhile, in ms."""
    target = status_number(leader, "committed_index")
    began, done = time.monotonic(), threading.Event()
    seconds: list[float] = []

    def watch() -> None:
        try:
            away.start()
            eventually("the member catches up", lambda: status_or_none(away, target))
            seconds.append(time.monotonic() - began)
        finally:
            done.set()

    watcher = threading.Thread(target=watch)
    watcher.start()
    windows = []
    while not windows or not done.is_set():
        windows.append(load("metad", "write", leader.http, CLIENTS, WINDOW_SECONDS)["p99_ms"])
    watcher.join()
    if not seconds:
        raise BenchError(f"the member did not catch up:\n{away.tail()}")
    return seconds[0], windows


def status_or_none(node: Node, target: int) -> bool:
    try:
        return status_number(node, "applied_index") >= target
    except BenchError:
        # A member that waits for the others refuses the question.
        return False


def usual_p99(leader: Node, load: Load) -> list[float]:
    return [load("metad", "write", leader.http, CLIENTS, WINDOW_SECONDS)["p99_ms"] for _ in range(5)]


def spread(values: list[float], unit: float = 1, digits: int = 1) -> str:
    low, high = min(values) / unit, max(values) / unit
    return f"{low:,.{digits}f}–{high:,.{digits}f}"


def idle_rows(cluster: MetadCluster, data: int, properties: int) -> list[list[str]]:
    rows = []
    used = [disk_bytes(node) for node in cluster.nodes]
    totals = [sum(kinds.values()) for kinds in used]
    parts = ", ".join(f"{kind} {size / MIB:.0f}" for kind, size in sorted(used[0].items()) if size > MIB / 2)
    loaded = f"{properties:,} properties loaded, then idle"
    rows.append([f"{loaded}: disk, MiB a node ({parts})", spread(totals, MIB, 0), "–"])
    rows.append([f"{loaded}: disk, × the data ({data / MIB:.0f} MiB)", spread(totals, data, 2), "≤ 4"])
    rows.append([f"{loaded}: resident, MiB", spread([resident_bytes(n) for n in cluster.nodes], MIB, 0), "≤ 500"])
    return rows


def run(metad: str, work: Path, load: Load, properties: int, entries: int, starts: int) -> str:
    """Everything, as a table."""
    work.mkdir(parents=True)
    records, lines, rows = max(properties // 10, 1), work / "library.jsonl", []
    data = write_library(lines, records)
    with MetadCluster(metad, work, 3) as cluster:
        leader = eventually("a leader", cluster.leader)
        seconds = leader.import_file(lines)
        say(f"{properties:,} properties imported in {seconds:.1f} s; waiting for quiet")
        settle(cluster)
        rows += idle_rows(cluster, data, properties)
        seen = [restart(cluster, records) for _ in range(starts)]
        rows.append([f"restart with {properties:,} properties, three at once: s to serving", spread([s for s, _ in seen], 1, 2), "≤ 10"])
        resident = [size for _, sizes in seen for size in sizes]
        rows.append([f"restart with {properties:,} properties: resident, MiB", spread(resident, MIB, 0), "≤ 500"])
        leader = eventually("a leader", cluster.leader)
        usual = usual_p99(leader, load)
        away = cluster.followers()[0]
        behind = fall_behind(cluster, load, away, entries)
        leader = eventually("a leader", lambda: next((n for n in cluster.nodes if n is not away and leads(n)), None))
        caught_up, meanwhile = catch_up(leader, load, away)
        rows.append([f"follower {behind:,} entries behind: s to caught up", f"{caught_up:.2f}", "≤ 30"])
        p99 = report.median(usual)
        rows.append([f"leader's p99 usually, {CLIENTS} clients, ms", f"{p99:.2f} ({spread(usual, 1, 2)})", "–"])
        during = report.median(meanwhile)
        rows.append(["leader's p99 meanwhile, ms", f"{during:.2f} ({spread(meanwhile, 1, 2)})", "–"])
        rows.append(["leader's p99 meanwhile, × its usual", f"{during / p99:.2f}", "< 2"])
    return report.table(["case", "seen", "must reach"], rows)


def load_with(program: str) -> Load:
    """The load program, as a function."""

    def load(system: str, workload: str, address: str, clients: int, seconds: float) -> dict:
        command = [program, system, workload, address, str(clients), str(seconds)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command[1:])}: {done.stderr.strip()[-500:]}")
        return json.loads(done.stdout)

    return load
