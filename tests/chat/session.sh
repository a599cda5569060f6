#!/bin/sh
# A session with the real program on a virtual screen: types a question, waits for the answer, folds and unfolds the
# thinking, asks again, kills the program and opens it anew. What happened is read from its database.
# Usage: session.sh SPECEXIT_CHAT
set -u
program=$1
folder=$(mktemp -d)
display=:$((90 + $$ % 900))
cleanup() {
    [ -n "${chat:-}" ] && kill -9 "$chat" 2>/dev/null
    [ -n "${screen:-}" ] && kill "$screen" 2>/dev/null
    rm -rf "$folder"
}
trap cleanup EXIT
fail() {
    echo "session: $1"
    sed 's/^/program: /' "$folder/log" 2>/dev/null
    exit 1
}

Xvfb "$display" -screen 0 1280x800x24 -nolisten tcp >/dev/null 2>&1 &
screen=$!
export DISPLAY=$display HOME=$folder SDL_VIDEODRIVER=x11
unset XDG_DATA_HOME XDG_CACHE_HOME

wait_for() { # seconds, what, command...
    seconds=$1 what=$2
    shift 2
    while ! "$@" >/dev/null 2>&1; do
        seconds=$((seconds - 1))
        [ $seconds -gt 0 ] || fail "no $what"
        sleep 1
    done
}
query() { # prints one value
    python3 -c 'import sqlite3, sys
for row in sqlite3.connect("file:%s?mode=ro" % sys.argv[1], uri=True).execute(sys.argv[2]): print(row[0])' "$folder/data/chats.db" "$1"
}
answered() { [ "$(query 'select count(*) from messages where role = 2 and complete')" = "$1" ]; }
open_program() {
    "$program" --data "$folder/data" --size 1100x700 --theme light --screenshot "$folder/shot.bmp" 2>"$folder/log" &
    chat=$!
    wait_for 20 window xdotool search --pid $chat
    window=$(xdotool search --pid $chat | tail -1)
    xdotool windowfocus "$window" 2>/dev/null
}
key() { xdotool key --clearmodifiers "$@"; }

wait_for 10 screen xdotool getdisplaygeometry
open_program
wait_for 5 database test -f "$folder/data/chats.db"
# Sent at once; it waits by itself until the model is loaded.
xdotool type --delay 40 "What is 4 plus 5?"
key Return
sent() { [ "$(query 'select count(*) from messages where role = 1')" = 1 ]; }
wait_for 60 question sent
[ "$(query 'select content from messages where role = 1')" = "What is 4 plus 5?" ] || fail "the question was typed wrongly"
wait_for 180 answer answered 1
[ -n "$(query 'select thinking from messages where role = 2')" ] || fail "the thinking was not kept"
[ "$(query 'select left_thinking from messages where role = 2')" = 1 ] || fail "thinking was not left"

key ctrl+t
key F12
wait_for 10 screenshot test -s "$folder/shot.bmp"
python3 - "$folder/shot.bmp" <<'P' || fail "the window is blank"
import struct, sys
data = open(sys.argv[1], "rb").read()
assert len(set(data[i:i + 4] for i in range(200, len(data) - 4, 4))) > 20  # text, cards and curves, not one colour
P

key ctrl+r
wait_for 180 "second answer" answered 2
key F2
xdotool type --delay 40 "Sums"
key Return
wait_for 10 title test "$(query 'select title from conversations')" = Sums

kill -9 $chat
wait $chat 2>/dev/null
open_program
sleep 2
kill -0 $chat || fail "the program does not open again"
answered 2 || fail "the answers are gone after a kill"
key ctrl+q
wait_for 20 end sh -c "! kill -0 $chat"
chat=
echo "session: passed"
