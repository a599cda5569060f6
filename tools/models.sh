#!/bin/sh
# Fetches published models for tests, benchmarks and trying things.
# Usage: sh tools/models.sh list | get NAME | path NAME
exec python3 "$(dirname "$0")/models.py" "$@"
