#!/usr/bin/env bash
# The README's test command: installs what the tests need, then runs everything that CI runs.
# A fresh machine has only the Rust toolchain; whatever else a test wants is installed here.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
exec </dev/null

# Programs that a test may call, and their Debian packages. Only those that some test names are installed.
PROGRAMS="
fusermount3 fuse3
ffprobe ffmpeg
python3 python3
curl curl
strace strace
"

install_programs() {
    local program package
    while read -r program package; do
        if [ -n "$program" ] && grep -rqsw --include='*.rs' --include='*.py' "$program" tests src raft/tests; then
            need "$program" "$package" || warn "tests that call $program will fail or say why they skip"
        fi
    done <<<"$PROGRAMS"
}

# redis-server, which the Redis door is compared with. Debian's package of that name starts a system service and enables it;
# the same program is in redis-tools under another name, and it looks at the name that it is called by.
install_redis() {
    command -v redis-server >/dev/null 2>&1 && return 0
    need redis-check-rdb redis-tools || return 0
    ln -sf "$(command -v redis-check-rdb)" "$(target_dir)/tools/bin/redis-server"
}

# Real input, fetched once and kept beside the build. A caller that names METAD_TEST_DATA has it already.
fetch_data() {
    METAD_TEST_DATA=${METAD_TEST_DATA:-$(mkdir -p "$(target_dir)/test-data" && cd "$(target_dir)/test-data" && pwd)}
    export METAD_TEST_DATA
    bash scripts/test-data.sh "$METAD_TEST_DATA" || warn "no test data: tests on real input will say that they skip"
}

# Adds up the runner's own lines, one per test binary, and prints the sum as the last line.
print_sum() {
    awk '/^test result: / { for (i = 2; i < NF; i++) { n = $i
             if ($(i + 1) ~ /^passed/) passed += n; if ($(i + 1) ~ /^failed/) failed += n
             if ($(i + 1) ~ /^ignored/) ignored += n } }
         # A test binary that was killed prints no result of its own.
         /process didn.t exit successfully: .*signal/ { failed++ }
         END { printf "%d passed, %d failed, %d skipped\n", passed, failed, ignored }' "$1"
}

# The dependency gate, built once beside our own artefacts. A debug build: its release profile takes minutes to link.
install_cargo_deny() {
    command -v cargo-deny >/dev/null 2>&1 && return 0
    say "installing cargo-deny"
    local tools
    tools=$(target_dir)/tools
    cargo install --debug --quiet --locked --root "$tools" --target-dir "$tools/build" cargo-deny@0.20.2 || warn "no cargo-deny"
    rm -rf "$tools/build"
}

PATH=$PATH:$(mkdir -p "$(target_dir)/tools/bin" && cd "$(target_dir)/tools/bin" && pwd)
export PATH
# Where everything is installed, a comparison that cannot run is a failure.
export METAD_TEST_REQUIRE_REDIS=${METAD_TEST_REQUIRE_REDIS:-1}

install_programs
install_redis
fetch_data
install_cargo_deny

say "lint gate"
bash scripts/verify.sh

say "tests"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
status=0
cargo test --workspace --locked --no-fail-fast 2>&1 | tee "$log" || status=$?
echo
[ "$status" -eq 0 ] || echo "cargo test failed with status $status" >&2
print_sum "$log"
exit "$status"
