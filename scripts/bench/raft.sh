#!/usr/bin/env bash
# The cluster's benchmark: three nodes and one against a three-node etcd. usage: scripts/bench.sh raft [OPTION…] (those of raft.py)
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh
export PYTHONDONTWRITEBYTECODE=1

need python3 python3
need etcd etcd-server
need etcdctl etcd-client

say "building"
cargo build --release --locked --bin metad --example load >&2
built="$(target_dir)/release"

# Beside the build and not in /tmp, which may be memory: all logs lie on the same real disk.
work=$(mktemp -d "$(cd "$(target_dir)" && pwd)/bench.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

python3 scripts/bench/raft.py --metad "$built/metad" --load "$built/examples/load" --dir "$work" "$@"
