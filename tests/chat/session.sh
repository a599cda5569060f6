#!/bin/sh
# A session with the real program on a virtual screen: types a question, waits for the answer, folds and unfolds the
# thinking, asks again, ends the thinking by hand and lets it go on, selects and copies with the mouse, kills the program
# and opens it anew. What happened is read from its database, and from the structure of its pictures: bands of ink.
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
    tries=$(($1 * 10)) what=$2
    shift 2
    while ! "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || fail "no $what"
        sleep 0.1
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

# Rows of the conversation that hold ink, and whether side bar and composer are where they belong.
ink() {
    rm -f "$folder/shot.bmp"
    key F12
    wait_for 10 screenshot test -s "$folder/shot.bmp"
    sleep 1
    python3 - "$folder/shot.bmp" <<'P'
import struct, sys
data = open(sys.argv[1], "rb").read()
offset, (width, height), depth = struct.unpack_from("<I", data, 10)[0], struct.unpack_from("<ii", data, 18), data[28] // 8
def pixel(x, y):
    row = height - 1 - y if height > 0 else y
    at = offset + (row * width + x) * depth
    return data[at:at + 3]
height_, side, page = abs(height), pixel(4, 300), pixel(600, 4)
assert side != page and all(pixel(4, y) == side for y in range(height_)), "no side bar"
card = pixel(700, height_ - 60)
assert card != page and card != side, "no composer"
# without the scroll bar, the header and the composer
print(sum(any(pixel(x, y) != page for x in range(300, width - 30, 2)) for y in range(60, height_ - 150)))
P
}
folded=$(ink) || fail "the window does not look as it should"
key ctrl+t
unfolded=$(ink) || fail "the window does not look as it should"
[ "$unfolded" -gt $((folded + 60)) ] || fail "the thinking was not unfolded: $folded and $unfolded rows of ink"
key ctrl+t
[ "$(ink)" = "$folded" ] || fail "the thinking was not folded again"

key ctrl+r
wait_for 180 "second answer" answered 2

# As long as it wants, until it is told to answer; then on from there. The program is held while the database is looked at,
# or a quick machine would have thought to the end before the key is pressed.
held() {
    kill -STOP $chat
    "$@" && return
    kill -CONT $chat
    return 1
}
value() { query "select $1 from messages where role = 2 order by conversation, number desc limit 1"; }
key alt+Up alt+Up alt+Up alt+Up alt+Up alt+Up
xdotool type --delay 40 "Compute 17, then +12, then *2, then +9, then +12, then +12, then +2, then +2, then -3."
key Return
thinks() { [ "$(query "select count(*) from messages where role = 2 and length(thinking) > 4")" = 3 ]; }
wait_for 60 thinking held thinks
key Escape
kill -CONT $chat
wait_for 180 "answer by hand" answered 3
[ "$(value exit_reason)" = 8 ] || fail "the thinking was not ended by hand: $(value exit_sentence)"
before=$(value thinking_tokens)
key ctrl+l
longer() { answered 3 && [ "$(value thinking_tokens)" -gt "$before" ] && [ "$(value exit_reason)" != 8 ]; }
wait_for 180 "longer thinking" longer

# The whole of what is on the screen, pasted and sent.
xdotool mousemove --window "$window" 345 62 mousedown 1 mousemove --window "$window" 700 300 mousemove --window "$window" 1040 520 mouseup 1
key ctrl+c
xdotool mousemove --window "$window" 600 600 click 1
key ctrl+v Return
pasted() { [ "$(query "select count(*) from messages where role = 1 and content like '%The answer is%'")" = 1 ]; }
wait_for 30 "copied text" pasted
wait_for 180 "last answer" answered 4

key F2
xdotool type --delay 40 "Sums"
key Return
wait_for 10 title test "$(query 'select title from conversations')" = Sums

kill -9 $chat
wait $chat 2>/dev/null
open_program
sleep 2
kill -0 $chat || fail "the program does not open again"
answered 4 || fail "the answers are gone after a kill"
key ctrl+q
wait_for 20 end sh -c "! kill -0 $chat"
chat=
echo "session: passed"
