#!/bin/sh
# Installs what web/package.json names into build/npm/node_modules, unless it is there already.
set -eu
cd "$(dirname "$0")/.."
target=build/npm
mkdir -p "$target"
if [ -d "$target/node_modules" ] && cmp -s web/package.json "$target/package.json" && cmp -s web/package-lock.json "$target/package-lock.json"; then
    exit 0
fi
cp web/package.json web/package-lock.json "$target/"
# --force: naga-wasm declares a newer Node than it needs.
(cd "$target" && npm ci --force --no-audit --no-fund --loglevel=error)
