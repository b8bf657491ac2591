#!/usr/bin/env python3
"""Writes and reads of three nodes against a three-node etcd, and of one node, in one run on one disk with fsync on.

Every system is measured by the same closed loop (tests/load), client beside the leader, values of 128 bytes; the rounds of
all systems alternate, and each figure is the median of its rounds. etcd is spoken to over gRPC, we over HTTP
(a PUT or GET of one property) and over the Redis protocol (SET and GET).

After that three of our nodes with much data, see `volume.py`.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import report
import volume
from cluster import EtcdCluster, MetadCluster
from node import BenchError

CASES = [("write", 1), ("write", 64), ("write", 256), ("read", 1), ("read", 64), ("import", 1)]


def measure(arguments: argparse.Namespace, systems: dict[str, tuple[str, Callable[[], str]]]) -> dict:
    """Figures by (system, workload, clients): a list with one for each round."""
    figures: dict[tuple[str, str, int], list[dict]] = {}
    load = volume.load_with(arguments.load)
    for number in range(arguments.rounds):
        for workload, clients in CASES:
            for name, (kind, address) in systems.items():
                if kind != "metad" and workload == "import":
                    continue
                seen = load(kind, workload, address(), clients, arguments.seconds)
                figures.setdefault((name, workload, clients), []).append(seen)
                print(
                    f"round {number + 1}: {name} {workload} {clients}: {seen['per_second']:,.0f}/s,"
                    f" p50 {seen['p50_ms']:.2f} ms, p99 {seen['p99_ms']:.2f} ms",
                    file=sys.stderr,
                )
    return figures


def rows(figures: dict, names: list[str]) -> list[list[str]]:
    lines = []
    for workload, clients in CASES:
        peer = figures.get(("etcd", workload, clients))
        for name in names:
            seen = figures.get((name, workload, clients))
            if seen is None:
                continue
            rate, p50, p99 = (report.median(s[key] for s in seen) for key in ("per_second", "p50_ms", "p99_ms"))
            ratio, latency = "–", "–"
            if peer and name != "etcd":
                ratio = f"{rate / report.median(s['per_second'] for s in peer):.2f}"
                latency = f"{p50 / report.median(s['p50_ms'] for s in peer):.2f}"
            spread = report.spread([s["per_second"] for s in seen])
            lines.append([f"{workload}, {clients} clients: {name}", f"{rate:,.0f}", spread, f"{p50:.2f}", f"{p99:.2f}", ratio, latency])
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metad", required=True, help="the release binary")
    parser.add_argument("--load", required=True, help="the load program")
    parser.add_argument("--dir", required=True, type=Path, help="a folder on the disk to measure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--only", choices=["rates", "volume"], help="one of the two tables")
    parser.add_argument("--properties", type=int, default=1_000_000, help="how much data the second table has")
    parser.add_argument("--behind", type=int, default=100_000, help="entries that its follower lacks")
    parser.add_argument("--starts", type=int, default=3, help="its restarts")
    arguments = parser.parse_args()
    if arguments.only != "volume":
        rates(arguments)
    if arguments.only != "rates":
        load, work = volume.load_with(arguments.load), arguments.dir / "volume"
        table = volume.run(arguments.metad, work, load, arguments.properties, arguments.behind, arguments.starts)
        print(f"### Three nodes with much data, fsync on, {report.machine()}\n\n{table}")


def rates(arguments: argparse.Namespace) -> None:
    with (
        EtcdCluster(arguments.dir / "etcd") as etcd,
        MetadCluster(arguments.metad, arguments.dir / "three", 3) as three,
        MetadCluster(arguments.metad, arguments.dir / "one", 1) as one,
    ):
        systems = {
            "etcd": ("etcd", etcd.leader),
            "metad × 3": ("metad", lambda: three.leader().http),
            "metad × 3, RESP": ("resp", lambda: three.leader().resp),
            "metad × 1": ("metad", lambda: one.leader().http),
            "metad × 1, RESP": ("resp", lambda: one.leader().resp),
        }
        figures = measure(arguments, systems)
    print(f"### Raft, fsync on, values of 128 bytes, median of {arguments.rounds} rounds of {arguments.seconds:g} s\n")
    print(report.machine() + "\n")
    head = ["case", "per second", "spread", "p50 ms", "p99 ms", "× etcd", "p50 × etcd"]
    print(report.table(head, rows(figures, list(systems))))


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
