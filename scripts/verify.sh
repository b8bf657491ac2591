#!/usr/bin/env bash
# The lint gate: formatting, clippy, documentation, dependencies. It never writes; scripts/fix.sh is its writing twin.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh

cargo fmt --all -- --check
cargo clippy --workspace --all-targets --locked -- -D warnings
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --document-private-items

# scripts/test.sh installs cargo-deny; by hand: cargo install cargo-deny --locked
if command -v cargo-deny >/dev/null 2>&1; then
    deny() { cargo deny --log-level error --locked --workspace --config .deny.toml "$@"; }
    deny check --hide-inclusion-graph bans licenses sources
    # The list of advisories is a git repository; a machine that cannot reach it still checks the rest.
    if deny fetch db >/dev/null 2>&1; then
        deny check --hide-inclusion-graph --disable-fetch advisories
    else
        warn "the advisory database cannot be fetched: advisories were not checked"
    fi
else
    warn "cargo-deny is not installed: licences, sources and advisories were not checked"
fi
