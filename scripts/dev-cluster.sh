#!/usr/bin/env bash
# Three nodes on loopback, in the foreground; Ctrl-C stops all of them. Their data stays below DIR.
# dev-cluster.sh [DIR] [further flags of `metad serve`…]; METAD_BINARY names a build, METAD_NODES their number.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=${1:-target/dev-cluster}
shift || true
nodes=${METAD_NODES:-3}
if [ -z "${METAD_BINARY:-}" ]; then
  cargo build --bin metad
  METAD_BINARY=${CARGO_TARGET_DIR:-target}/debug/metad
fi

peers=""
for n in $(seq "$nodes"); do
  peers="${peers:+$peers,}127.0.0.1:$((9000 + n))"
done

mkdir -p "$dir/files"
pids=()
stop() {
  trap - INT TERM EXIT
  kill -TERM "${pids[@]}" 2>/dev/null || true
  wait
}
trap 'stop; exit 130' INT
trap 'stop; exit 0' TERM
trap stop EXIT

for n in $(seq "$nodes"); do
  # The node takes every METAD_ variable for a setting, and refuses ours.
  env -u METAD_BINARY -u METAD_NODES "$METAD_BINARY" serve --name "node-$n" --data-dir "$dir/node-$n" --files "$dir/files" --peers "$peers" \
    --http "127.0.0.1:$((9100 + n))" --peer "127.0.0.1:$((9000 + n))" --resp "127.0.0.1:$((9200 + n))" \
    --sentinel "127.0.0.1:$((9300 + n))" "$@" &
  pids+=("$!")
done
echo "metad -e http://127.0.0.1:9101 status" >&2
# When one ends by itself the others go on: that is what a cluster is for.
wait || true
echo "all nodes have ended" >&2
exit 1
