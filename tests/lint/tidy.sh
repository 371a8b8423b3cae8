#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over every C file of ours that the build knows. Usage: tidy.sh ROOT BUILD
set -euo pipefail
root=$1 build=$2
cd "$root"
files=$(git ls-files '*.c' | while read -r file; do grep -qF "\"$root/$file\"" "$build/compile_commands.json" && echo "$file"; done)
[ -n "$files" ] || { echo "tidy: no file of ours in $build/compile_commands.json" >&2; exit 1; }
printf '%s\n' $files | xargs -P 2 -n 6 clang-tidy --quiet -p "$build" 2>/dev/null
