#!/usr/bin/env bash
# What the other scripts share. Sourced, not run: messages, and the installation of missing programs.
set -euo pipefail

say() { printf '\n== %s\n' "$*" >&2; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# Where cargo puts what it builds.
target_dir() { printf '%s\n' "${CARGO_TARGET_DIR:-target}"; }

# need COMMAND PACKAGE…: installs the Debian packages when COMMAND is not there. Says so and fails when it cannot.
need() {
    local command=$1
    shift
    command -v "$command" >/dev/null 2>&1 && return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        warn "$command is missing, and there is no apt-get to install it with (Debian: $*)"
        return 1
    fi
    say "installing $* (for $command)"
    local run=()
    [ "$(id -u)" -eq 0 ] || run=(sudo -n)
    if [ -z "${APT_UPDATED:-}" ]; then
        "${run[@]}" apt-get update -qq </dev/null >&2 || warn "apt-get update failed; trying with the lists that are here"
        export APT_UPDATED=1
    fi
    if ! "${run[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$@" </dev/null >/dev/null; then
        warn "could not install $*"
        return 1
    fi
}
