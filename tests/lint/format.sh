#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Every C file as .clang-format would write it. Usage: format.sh ROOT
set -euo pipefail
cd "$1"
git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
