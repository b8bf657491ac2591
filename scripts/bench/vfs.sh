#!/usr/bin/env bash
# The filesystem's benchmark: reads through the mount against native, mergerfs and rclone; start, memory and import at scale.
# usage: scripts/bench.sh vfs [reads [OPTION…] | scale [OPTION…]]; the options are those of reads.py and scale.py.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/lib.sh

part=all
case "${1:-}" in
    reads | scale) part=$1 && shift ;;
    "") ;;
    *) echo "usage: scripts/bench.sh vfs [reads [OPTION…] | scale [OPTION…]]" >&2 && exit 2 ;;
esac
export PYTHONDONTWRITEBYTECODE=1

need python3 python3
if [ "$part" != scale ]; then
    need fio fio
    need fusermount3 fuse3
    need mergerfs mergerfs || warn "mergerfs will be missing from the table"
    need rclone rclone || warn "rclone will be missing from the table"
fi

say "building"
cargo build --release --locked --bin metad >&2
metad="$(target_dir)/release/metad"

# Beside the build and not in /tmp, which may be memory: native and mounted files lie on the same real disk.
work=$(mktemp -d "$(cd "$(target_dir)" && pwd)/bench.XXXXXX")
trap 'rm -rf --one-file-system "$work"' EXIT

[ "$part" = scale ] || python3 scripts/bench/reads.py --metad "$metad" --dir "$work" "$@"
[ "$part" = reads ] || python3 scripts/bench/scale.py --metad "$metad" --dir "$work" "$@"
