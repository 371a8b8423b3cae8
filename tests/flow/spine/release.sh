#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What is to be installed is compiled by the profile of a run, and runs.
set -euo pipefail
root=$TOUCHBUS_SOURCE
fail() { echo "FAIL: $*" >&2; exit 1; }

for wrong in --nonsense "--seconds" "--seconds=x" "--seconds=0"; do
    status=0
    "$root/tools/release" "$wrong" 2>/dev/null || status=$?
    [ "$status" = 2 ] || fail "$wrong: exit $status"
done
"$root/tools/release" --seconds 1 || fail "exit $?"
build=$root/build/release
grep -q '^TOUCHBUS_PROFILE:STRING=use$' "$build/CMakeCache.txt" || fail "the programs are not compiled by the profile"
for source in admit fold view envelope; do
    [ -n "$(find "$build/profile" -name "*#$source.c.gcda")" ] || fail "the run noted nothing of $source.c"
done
"$build/bin/touchbus" bench --seconds 1 --json | grep -q '"acked_per_s"' || fail "the programs do not run"
nm "$build/bin/touchbusd" >"$build/profile/symbols"
! grep -q __gcov_ "$build/profile/symbols" || fail "the programs still note how they run"
echo "flow/spine-release: ok"
