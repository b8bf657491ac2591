#!/usr/bin/env python3
"""Reads one file natively and through the mounts of metad, mergerfs and rclone, in one run, and prints the ratios.

The file is warm: it is read once through each target before the clock starts, and fio is told not to drop it from the
page cache. Each target has a copy of its own, because rclone asks the kernel to drop what it has read and would cool
down the others. Rounds are interleaved and each starts with another target, so that no target always comes first. A
ratio is taken within each round, where both sides met the same machine, and the median of those is shown.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import report
from node import BenchError, Node

# What is read: a name for people, fio's pattern, the size of one read in bytes.
JOBS = (
    ("sequential, 1 MiB", "read", 1 << 20),
    ("random, 64 KiB", "randread", 64 << 10),
    ("random, 4 KiB", "randread", 4 << 10),
)
MOUNT_SECONDS_MAX = 20
FILE = "benchmark.mkv"


def run_fio(path: Path, pattern: str, block_bytes: int, seconds: float) -> float:
    """Bytes per second of one reader at depth 1: what a player or a media server does."""
    command = ["fio", "--name=read", f"--filename={path}", f"--rw={pattern}", f"--bs={block_bytes}", "--readonly"]
    command += ["--ioengine=psync", "--direct=0", "--invalidate=0", "--norandommap", "--randrepeat=0"]
    command += ["--time_based", f"--runtime={seconds}", "--allow_file_create=0", f"--size={path.stat().st_size}"]
    done = subprocess.run(
        [*command, "--output-format=json"], capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        raise BenchError(f"fio failed on {path}: {done.stderr.strip() or done.stdout.strip()}")
    return float(json.loads(done.stdout[done.stdout.index("{") :])["jobs"][0]["read"]["bw_bytes"])


def make_file(path: Path, size: int) -> Path:
    """Random bytes, so that nothing below can compress or share them."""
    path.parent.mkdir(parents=True)
    block = os.urandom(1 << 20)
    with path.open("wb") as file:
        for number in range(size >> 20):
            file.write(number.to_bytes(8, "little") + block[8:])
        file.flush()
        os.fsync(file.fileno())
    return path


def read_all(path: Path) -> None:
    with path.open("rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def is_mounted(path: Path) -> bool:
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == str(path) for line in mounts)


def mount_peer(stack: ExitStack, name: str, command: list[str], mount: Path) -> None:
    """Starts a peer's mount in the foreground; it is detached and ended when the stack unwinds."""
    mount.mkdir()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)

    def end() -> None:
        subprocess.run(["fusermount3", "-u", "-z", str(mount)], stdin=subprocess.DEVNULL, check=False)
        try:
            process.wait(MOUNT_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    stack.callback(end)
    deadline = time.monotonic() + MOUNT_SECONDS_MAX
    while not is_mounted(mount):
        if process.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"{name} did not mount: {' '.join(command)}")
        time.sleep(0.02)


def metad_target(stack: ExitStack, metad: str, work: Path, file: Path) -> tuple[Path, str]:
    """The file's path in metad's mount, and how it is served."""
    lines = work / "one.jsonl"
    properties = {
        "filePath": file.name,
        "fileName": file.name,
        "fileType": "video",
        "videoType": "movie",
        "title": "Benchmark",
        "movieYear": "2000",
        "sizeByte": str(file.stat().st_size),
    }
    lines.write_text(json.dumps({"hashId": "synthetic-benchmark", "metadata": properties}) + "\n")
    mount = work / "metad"
    node = stack.enter_context(Node(metad, work / "data", file.parent, mount))
    node.import_file(lines)
    node.wait_for_files(1)
    (path,) = node.get_json("/api/fuse/files")["files"]
    mounted = node.get_json("/v1/status")["mount"]
    if not mounted or not is_mounted(mount):
        raise BenchError(f"metad did not mount: {mounted}\n{node.tail()}")
    return mount / path.lstrip("/"), f"metad: passthrough {'on' if mounted['passthrough'] else 'off'}"


def version(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    return next(iter((done.stdout + done.stderr).splitlines()), "unknown version")


def peers(work: Path) -> dict[str, list[str]]:
    """How each peer is mounted, but for source and mount point: cached, as its manual advises for media."""
    return {
        "mergerfs": ["mergerfs", "-f", "-o", "ro,cache.files=auto-full"],
        "rclone": ["rclone", "mount", "--read-only", "--vfs-cache-mode=full", f"--cache-dir={work / 'cache'}"],
    }


def targets(stack: ExitStack, arguments: argparse.Namespace, work: Path) -> tuple[dict, list[str]]:
    """Path of the file by target, and notes on how each was mounted."""
    paths, notes = {}, []
    for name in ["native", *arguments.targets]:
        command = peers(work).get(name)
        if command and not shutil.which(name):
            notes.append(f"{name}: not installed, not measured")
            continue
        file = make_file(work / "files" / name / FILE, arguments.mib << 20)
        if name == "native":
            paths[name] = file
        elif name == "metad":
            paths[name], note = metad_target(stack, arguments.metad, work, file)
            notes.append(note)
        elif command:
            mount = work / name
            mount_peer(stack, name, [*command, str(file.parent), str(mount)], mount)
            paths[name] = mount / FILE
            notes.append(f"{version([name, '--version'])}, {' '.join(c for c in command if 'cache-dir' not in c)}")
        else:
            raise BenchError(f"no target called {name}")
    return paths, notes


def measure(paths: dict[str, Path], rounds: int, seconds: float) -> dict[tuple[str, str], list[float]]:
    """Bytes per second of each job on each target, one value per round."""
    for path in paths.values():
        read_all(path)
    results: dict[tuple[str, str], list[float]] = {}
    names = list(paths)
    for round_number in range(rounds):
        at = round_number % len(names)
        for job, pattern, block_bytes in JOBS:
            for name in names[at:] + names[:at]:
                value = run_fio(paths[name], pattern, block_bytes, seconds)
                results.setdefault((job, name), []).append(value)
                print(f"round {round_number + 1}: {job}: {name}: {value / 2**20:,.0f} MiB/s", file=sys.stderr)
    return results


def show(results: dict[tuple[str, str], list[float]], names: list[str]) -> str:
    head = ["warm reads, MiB/s: median (median of × native), span", *names]
    rows = []
    for job, _, _ in JOBS:
        native = results[job, "native"]
        row = [job]
        for name in names:
            values = results[job, name]
            ratios = [value / beside for value, beside in zip(values, native, strict=True)]
            ratio = "" if name == "native" else f" (× {report.median(ratios):.2f})"
            row.append(f"{report.median(values) / 2**20:,.0f}{ratio}, {report.spread([v / 2**20 for v in values])}")
        rows.append(row)
    return report.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metad", required=True, help="the binary")
    parser.add_argument("--dir", type=Path, required=True, help="an empty directory on a real disk")
    parser.add_argument("--targets", default="metad,mergerfs,rclone", type=lambda text: text.split(","))
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seconds", type=float, default=1, help="length of one measurement")
    parser.add_argument("--mib", type=int, default=1024, help="size of the file")
    arguments = parser.parse_args()

    work = arguments.dir.resolve() / "reads"
    with ExitStack() as stack:
        paths, notes = targets(stack, arguments, work)
        results = measure(paths, arguments.rounds, arguments.seconds)
    shutil.rmtree(work)
    print(f"\n{report.machine()}. {arguments.mib} MiB file, {arguments.rounds} interleaved rounds of")
    print(f"{arguments.seconds:g} s, one reader at depth 1. {'; '.join(notes)}.\n")
    print(show(results, list(paths)))


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
