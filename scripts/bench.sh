#!/usr/bin/env bash
# Benchmarks: ours and the peers side by side in one run. usage: scripts/bench.sh [AREA [OPTION…]]; all areas without one.
# Results are Markdown on stdout; everything else goes to stderr.
set -euo pipefail
cd "$(dirname "$0")/.."

areas=()
for script in scripts/bench/*.sh; do
    area=${script##*/}
    areas+=("${area%.sh}")
done

if [ "$#" -eq 0 ]; then
    for area in "${areas[@]}"; do
        bash "scripts/bench/$area.sh"
    done
    exit 0
fi

area=$1
shift
if [ ! -f "scripts/bench/$area.sh" ]; then
    echo "no area called $area; there are: ${areas[*]}" >&2
    exit 2
fi
exec bash "scripts/bench/$area.sh" "$@"
