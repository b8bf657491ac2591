#!/usr/bin/env bash
# The lint gate: formatting, clippy, documentation. It never writes; scripts/fix.sh is its writing twin.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all -- --check
cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items
