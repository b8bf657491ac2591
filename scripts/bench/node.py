"""A real metad node for benchmarks: started as a process, spoken to over HTTP, and nothing else.

Addresses come from `runtime.json` in the data directory, as docs and contract say; ports are always 0.
"""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

START_SECONDS_MAX = 300
STOP_SECONDS_MAX = 120
POLL_SECONDS = 0.002


class BenchError(Exception):
    """The benchmark cannot go on; the text says why."""


class Node:
    def __init__(
        self,
        metad: str,
        data_dir: Path,
        files: Path,
        mount: Path | None = None,
        mode: str = "noop",
        peer: str = "127.0.0.1:0",
        extra: Sequence[str] = (),
    ):
        self.metad, self.data_dir, self.files, self.mount = metad, data_dir, files, mount
        self.mode, self.peer, self.extra = mode, peer, extra
        self.log = data_dir.with_name(data_dir.name + ".log")
        self.process: subprocess.Popen | None = None
        self.http = self.resp = ""
        self.started = 0.0

    def __enter__(self) -> "Node":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Starts the process and waits until it is ready. `started` is the moment of its start in monotonic seconds."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        command = [self.metad, "serve", "--mode", self.mode, "--data-dir", str(self.data_dir)]
        command += ["--files", str(self.files), "--peer", self.peer, *self.extra]
        for door in ("http", "resp", "sentinel"):
            command += [f"--{door}", "127.0.0.1:0"]
        if self.mount:
            self.mount.mkdir(parents=True, exist_ok=True)
            command += ["--mount", str(self.mount)]
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.data_dir)}
        self.started = time.monotonic()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
            )
        try:
            runtime = self._runtime()
            self.http, self.resp = runtime["http"], runtime["resp"]
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise

    def stop(self) -> None:
        """Stops the process cleanly; a node that does not stop, or not with 0, is an error."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise BenchError(f"the node did not stop within {STOP_SECONDS_MAX} s; see {self.log}") from None
        if status != 0:
            raise BenchError(f"the node stopped with status {status}:\n{self.tail()}")

    def tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])

    def _runtime(self) -> dict:
        """The contents of runtime.json, once they are this process's."""
        path = self.data_dir / "runtime.json"
        deadline = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise BenchError(f"the node ended with status {self.process.returncode}:\n{self.tail()}")
            try:
                runtime = json.loads(path.read_text())
                if runtime["pid"] == self.process.pid:
                    return runtime
            except FileNotFoundError:
                pass
            time.sleep(POLL_SECONDS)
        raise BenchError(f"the node was not ready within {START_SECONDS_MAX} s:\n{self.tail()}")

    def request(self, method: str, path: str, body=None, timeout: float = 60) -> bytes:
        """One request. `body` may be an open file, which is streamed. Any status but 2xx is an error."""
        connection = http.client.HTTPConnection(self.http, timeout=timeout)
        headers = {}
        if hasattr(body, "fileno"):
            headers["Content-Length"] = str(os.fstat(body.fileno()).st_size)
            headers["Content-Type"] = "application/x-ndjson"
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            answer = response.read()
        finally:
            connection.close()
        if not 200 <= response.status < 300:
            raise BenchError(f"{method} {path}: {response.status} {answer[:500]!r}")
        return answer

    def get_json(self, path: str) -> dict:
        return json.loads(self.request("GET", path))

    def import_file(self, path: Path) -> float:
        """Imports JSON Lines; seconds until the node has acknowledged all of it."""
        before = time.monotonic()
        with path.open("rb") as lines:
            answer = json.loads(self.request("POST", "/v1/import", body=lines, timeout=1800))
        if answer.get("failed"):
            raise BenchError(f"the node refused records: {answer}")
        return time.monotonic() - before

    def import_with_command(self, path: Path) -> float:
        """The same with `metad meta import`, as a user does it."""
        command = [self.metad, "--quiet", "--endpoint", f"http://{self.http}", "meta", "import", str(path)]
        before = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise BenchError(f"metad meta import ended with {done.returncode}: {done.stderr.strip()[-500:]}")
        return time.monotonic() - before

    def wait_for_files(self, count: int, seconds_max: float = 300) -> float:
        """Waits until the tree holds exactly `count` files; returns the moment at which it was seen to."""
        deadline = time.monotonic() + seconds_max
        seen = None
        while time.monotonic() < deadline:
            seen = self.get_json("/api/fuse/stats")["fileCount"]
            if seen == count:
                return time.monotonic()
            time.sleep(POLL_SECONDS)
        raise BenchError(f"the tree holds {seen} files and not {count} after {seconds_max} s")

    def anonymous_bytes(self) -> int:
        """Memory that belongs to the process alone: no mapped files, no page cache."""
        for line in Path(f"/proc/{self.process.pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Anonymous:"):
                return int(line.split()[1]) * 1024
        raise BenchError("the kernel does not say how much memory the node uses")
