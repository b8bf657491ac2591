#!/usr/bin/env bash
# From a fresh clone to a mounted sample library: installs what is missing where it can, builds, runs `metad demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

need fusermount3 fuse3 || warn "without fusermount3 only root can mount; the demo goes on without a mount"

say "building (the first time takes some minutes)"
cargo build --release --locked --bin metad >&2
exec "$(target_dir)/release/metad" demo "$@"
