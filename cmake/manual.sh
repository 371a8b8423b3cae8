#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A manual page from a program's --help, which is laid out as one. Usage: manual.sh PROGRAM VERSION > PAGE
set -eu
name=$(basename "$1")
"$1" --help | awk -v name="$name" -v version="$2" '
    BEGIN { printf ".TH %s 1 \"\" \"touchbus %s\"\n", toupper(name), version }
    { gsub(/\\/, "\\e"); gsub(/-/, "\\-"); sub(/^[.\047]/, "\\\\\\&&") }
    /^[A-Z][A-Z ]*$/ { if (open) print ".fi"; print ".SH " $0; print ".nf"; open = 1; next }
    { sub(/^       /, ""); print }
    END { if (open) print ".fi" }'
