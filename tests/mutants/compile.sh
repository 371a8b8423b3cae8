#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The compiler launcher of build/mutants: passes a command on, and where it compiles the file of the mutant in turn
# (TOUCHBUS_MUTANT="NAME FILE" in the environment) leaves that guard out.
if [ -n "$TOUCHBUS_MUTANT" ]; then
    file=${TOUCHBUS_MUTANT#* }
    for argument; do
        case $argument in
        */"$file") set -- "$@" "-DTOUCHBUS_WITHOUT_${TOUCHBUS_MUTANT%% *}=1" && break ;;
        esac
    done
fi
command -v ccache >/dev/null && exec ccache "$@"
exec "$@"
