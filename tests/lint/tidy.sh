#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over every C file of ours that the build knows; tests without the analyser, which is half of the time: they run under the
# sanitizers. Usage: tidy.sh ROOT BUILD
set -euo pipefail
root=$1 build=$2
cd "$root"
files=$(git ls-files '*.c' | while read -r file; do grep -qF "\"$root/$file\"" "$build/compile_commands.json" && echo "$file"; done)
[ -n "$files" ] || { echo "tidy: no file of ours in $build/compile_commands.json" >&2; exit 1; }
tidy() {
    xargs -P 2 -n 6 clang-tidy --quiet -p "$build" "$@" 2>/dev/null
}
printf '%s\n' $files | grep -v '^tests/' | tidy
printf '%s\n' $files | grep '^tests/' | tidy --checks=-clang-analyzer-*
