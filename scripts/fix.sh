#!/usr/bin/env bash
# The writing twin of scripts/verify.sh: formats, and applies what clippy can repair by itself.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo fmt --all
cargo clippy --workspace --all-targets --fix --allow-dirty --allow-staged
