"""Three-node clusters for benchmarks: ours and etcd's, as processes on loopback with their data on one disk."""

import json
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from node import POLL_SECONDS, START_SECONDS_MAX, STOP_SECONDS_MAX, BenchError, Node


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago: a cluster's members must know each other's before they start."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def eventually(what: str, condition):
    """The first true answer of `condition`."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        if answer := condition():
            return answer
        time.sleep(POLL_SECONDS)
    raise BenchError(f"not in time: {what}")


def is_ready(node: Node) -> bool:
    """A member that waits for the others answers 503."""
    try:
        node.request("GET", "/readyz")
    except BenchError:
        return False
    return True


class MetadCluster:
    """`size` nodes in mode raft; one node stands alone without peers."""

    def __init__(self, metad: str, work: Path, size: int):
        peers = [f"127.0.0.1:{port}" for port in free_ports(size)]
        self.nodes = []
        for number, peer in enumerate(peers, 1):
            extra = ["--name", f"node-{number}"]
            extra += ["--peers", ",".join(peers)] if size > 1 else []
            files = work / f"files-{number}"
            files.mkdir(parents=True)
            node = Node(metad, work / f"node-{number}", files, mode="raft", peer=peer, extra=extra)
            self.nodes.append(node)

    def __enter__(self) -> "MetadCluster":
        try:
            for node in self.nodes:
                node.start()
            eventually("a cluster that is ready", lambda: all(is_ready(node) for node in self.nodes))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for node in self.nodes:
            node.stop()

    def leader(self) -> "Node | None":
        for node in self.nodes:
            status = node.get_json("/v1/status")
            if status["node"]["role"] == "leader" and status["leader"]:
                return node
        return None

    def followers(self) -> list[Node]:
        leader = self.leader()
        return [node for node in self.nodes if node is not leader]


class EtcdCluster:
    """Three members of Debian's etcd with its defaults: fsync on, a heartbeat each 100 ms."""

    def __init__(self, work: Path, size: int = 3):
        self.work, self.processes = work, []
        ports = free_ports(2 * size)
        self.clients = [f"127.0.0.1:{port}" for port in ports[:size]]
        self.peers = [f"http://127.0.0.1:{port}" for port in ports[size:]]

    def __enter__(self) -> "EtcdCluster":
        self.work.mkdir(parents=True)
        names = [f"etcd-{number}" for number in range(len(self.clients))]
        everyone = ",".join(f"{name}={peer}" for name, peer in zip(names, self.peers, strict=True))
        for name, client, peer in zip(names, self.clients, self.peers, strict=True):
            command = ["etcd", "--name", name, "--data-dir", str(self.work / name), "--logger", "zap", "--log-level", "error"]
            command += ["--listen-client-urls", f"http://{client}", "--advertise-client-urls", f"http://{client}"]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--initial-cluster", everyone, "--initial-cluster-state", "new"]
            with (self.work / f"{name}.log").open("wb") as log:
                self.processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        eventually("etcd's leader", self._leader)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def leader(self) -> str:
        return eventually("etcd's leader", self._leader)

    def _leader(self) -> str | None:
        command = ["etcdctl", "--endpoints", ",".join(self.clients), "endpoint", "status", "-w", "json"]
        environment = {**os.environ, "ETCDCTL_API": "3"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        if done.returncode != 0:
            return None
        for member in json.loads(done.stdout):
            status = member["Status"]
            if status.get("leader") and status["leader"] == status["header"]["member_id"]:
                return member["Endpoint"].removeprefix("http://")
        return None
