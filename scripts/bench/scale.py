#!/usr/bin/env python3
"""A synthetic library at scale: rate of import, time from start to complete tree, memory of the tree per file.

Import: JSON Lines until all of it is acknowledged, as one streamed HTTP body and with `metad meta import`.
Start: from the start of the process to the moment at which the tree holds every file; the page cache is warm.
Memory: the same records are imported twice, once with `filePath` and once with that property under another name, so
that all is equal but the tree. The tree's memory is the difference of the two processes' anonymous memory after a
restart.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import generate
import report
from node import BenchError, Node

PROPERTIES = 10


def write_library(path: Path, files: int, path_key: str) -> None:
    with path.open("w") as out:
        out.writelines(generate.records(files, path_key))


def measure(arguments: argparse.Namespace, files: int, rounds: int) -> dict[str, list[float]]:
    """One size. Each round of starts is one value; so is each round of memory."""
    work = arguments.dir.resolve() / f"scale-{files}"
    library = work / "files"
    library.mkdir(parents=True)
    nodes, results = {}, {"start": [], "memory": []}
    for name, path_key in (("tree", "filePath"), ("flat", "storedPath")):
        lines = work / f"{name}.jsonl"
        print(f"{files:,} files, {name}: generating", file=sys.stderr)
        write_library(lines, files, path_key)
        node = nodes[name] = Node(arguments.metad, work / name, library)
        with node:
            seconds = node.import_file(lines) if name == "tree" else node.import_with_command(lines)
            results[f"import {name}"] = [files * PROPERTIES / seconds]
            node.wait_for_files(files if name == "tree" else 0)
            print(f"{files:,} files, {name}: imported in {seconds:.2f} s", file=sys.stderr)
        lines.unlink()
    for number in range(rounds):
        with nodes["tree"] as node:
            results["start"].append(node.wait_for_files(files) - node.started)
            with_tree = node.anonymous_bytes()
        with nodes["flat"] as node:
            without = node.anonymous_bytes()
        results["memory"].append((with_tree - without) / files)
        print(
            f"{files:,} files, round {number + 1}: start {results['start'][-1]:.3f} s,"
            f" tree {results['memory'][-1]:.0f} bytes a file ({with_tree:,} − {without:,})",
            file=sys.stderr,
        )
    shutil.rmtree(work)
    return results


def show(all_results: dict[int, dict[str, list[float]]]) -> str:
    head = ["synthetic files, ten properties each", "import over HTTP, properties/s", "`metad meta import`, properties/s"]
    head += ["start to complete tree, s", "tree, bytes a file"]
    rows = []
    for files, results in all_results.items():
        row = [f"{files:,}", *(f"{report.median(results[f'import {name}']):,.0f}" for name in ("tree", "flat"))]
        for key, digits in (("start", 3), ("memory", 0)):
            row.append(f"{report.median(results[key]):,.{digits}f} ({report.spread(results[key])})")
        rows.append(row)
    return report.table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metad", required=True, help="the binary")
    parser.add_argument("--dir", type=Path, required=True, help="an empty directory on a real disk")
    parser.add_argument("--files", default="100000,1000000", help="sizes, separated by commas")
    parser.add_argument("--starts", type=int, default=5, help="starts per size")
    arguments = parser.parse_args()

    sizes = [int(size) for size in arguments.files.split(",")]
    results = {files: measure(arguments, files, arguments.starts) for files in sizes}
    version = subprocess.run([arguments.metad, "version"], capture_output=True, text=True, check=False).stdout.strip()
    print(f"\n{report.machine()}. {version or 'metad'}, one node, medians of {arguments.starts} starts.\n")
    print(show(results))


if __name__ == "__main__":
    try:
        main()
    except BenchError as error:
        sys.exit(f"bench: {error}")
