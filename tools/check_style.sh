#!/bin/sh
# Checks formatting (clang-format), file length (800 lines) and C function length (80 lines, by ctags).
# Usage: sh tools/check_style.sh. Generated files (they say so in their first lines) are measured by nobody.
set -eu
cd "$(dirname "$0")/.."

list=$(mktemp)
trap 'rm -f "$list"' EXIT
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
    git ls-files -co --exclude-standard
else
    find . -path ./build -prune -o -type f -print | sed 's|^\./||'
fi | grep -E '^(runtime|frontends|web|tests|tools|shaders|\.ci)/' | grep -vE '^tests/golden/|/node_modules/' | sort >"$list"

written() { # files of the list with one of the endings, without generated ones
    grep -E "\.($1)\$" "$list" | while IFS= read -r file; do
        if [ -f "$file" ] && ! head -n 5 "$file" | grep -qiE 'generated (by|from|with)|do not edit'; then
            printf '%s\n' "$file"
        fi
    done
}

problems=0
complain() {
    printf '%s\n' "$*"
    problems=$((problems + 1))
}

for tool in clang-format ctags; do
    if ! command -v "$tool" >/dev/null 2>&1; then
        echo "check_style: $tool is missing; install clang-format and universal-ctags" >&2
        exit 1
    fi
done

count=$(written 'c|h' | wc -l)
# shaders/shared.h is GLSL as well, which the tool does not know.
unformatted=$(written 'c|h' | grep -v '^shaders/' | xargs clang-format --dry-run -Werror 2>&1 | sed -n 's/^\([^ :]*\):[0-9].*error: .*/\1/p' | sort -u)
for file in $unformatted; do
    complain "$file: run clang-format -i $file"
done

for file in $(written 'c|h|comp|glsl|py|sh|js|mjs|ts|css|html|cmake|txt'); do
    lines=$(wc -l <"$file")
    [ "$lines" -le 800 ] || complain "$file: $lines lines, at most 800"
done

long=$(written 'c|h' | ctags --language-force=C --kinds-C=f --fields=+ne -x --_xformat='%F %n %{end} %N' -L - 2>/dev/null |
    awk 'NF >= 4 && $3 - $2 + 1 > 80 { printf "%s:%d: %s has %d lines, at most 80\n", $1, $2, $4, $3 - $2 + 1 }')
if [ -n "$long" ]; then
    printf '%s\n' "$long"
    problems=$((problems + $(printf '%s\n' "$long" | wc -l)))
fi

echo "check_style: $count C files, $problems problems"
[ "$count" -gt 0 ] && [ "$problems" -eq 0 ]
