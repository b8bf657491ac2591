#!/usr/bin/env bash
# The README's test command: installs what the tests need, then runs everything that CI runs.
# A fresh machine has only the Rust toolchain; whatever else a test wants is installed here.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf '\n== %s\n' "$*" >&2; }

say "lint gate"
bash scripts/verify.sh

say "tests"
cargo test --workspace --locked
