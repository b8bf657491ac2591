#!/usr/bin/env bash
# The writing twin of scripts/verify.sh: formats, applies what clippy can repair by itself, writes README's tables.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
UPDATE_GOLDENFILES=1 cargo test --test tidy readme
