#!/bin/sh
# Builds the browser version and serves it on 127.0.0.1 with the headers it wants.
#
#     sh tools/web.sh            build, then serve on port 8080
#     PORT=9000 sh tools/web.sh
#     sh tools/web.sh --build    only build: the site is in build/web/site
set -eu
cd "$(dirname "$0")/.."

need() {
    command -v "$1" >/dev/null 2>&1 || { echo "tools/web.sh: $1 is missing ($2)" >&2; exit 1; }
}
need cmake "Debian: apt-get install cmake ninja-build"
need emcc "Debian: apt-get install emscripten node-acorn"
need node "Debian: apt-get install nodejs; version 18 or newer, 20 for the tests"
need npm "comes with node"

# The libraries of the page and the shader translator, as web/package.json names them.
sh tools/npm.sh

cmake --preset web
cmake --build --preset web
if [ "${1:-}" = "--build" ]; then
    exit 0
fi
exec node web/serve.mjs build/web/site "${PORT:-8080}"
