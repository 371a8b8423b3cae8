#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The fold knows neither clock nor randomness, configuration, log or keys: its objects reference no
# symbol of theirs. Usage: fold_pure.sh LIBRARY
set -eu
symbols=$(nm -A "$1" 2>/dev/null | grep ':fold[a-z_]*\.c\.o:' | grep ' U ' || true)
[ -n "$symbols" ] || { echo "fold_pure: no fold objects in $1"; exit 1; }
if echo "$symbols" | grep -E ' U (clock_|time$|gettimeofday|localtime|gmtime|rand|random|getrandom|getenv|open|fopen|log_|keys_|configuration|decide_|randombytes|setlocale)'; then
    echo "fold_pure: the fold is not pure"
    exit 1
fi
echo "fold_pure: in order"
