#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# README's first command does what it says: exit 0, twice on the same state, and its summary agrees with what the log, the CRM file and the outboxes hold.
set -euo pipefail
root=$TOUCHBUS_SOURCE
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
port=$(/usr/bin/python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import harness; print(harness.free_ports(4))' "$root/tests/flow")
fail() { echo "FAIL: $*" >&2; exit 1; }
number() { sed -n "s/^ *$1  *\([0-9][0-9]*\)$/\1/p" "$state/out"; }

for round in 1 2; do
    "$root/tools/run" --once --state "$state" --port "$port" --web-port $((port + 3)) >"$state/out" || { cat "$state/out"; cat "$state"/run/*.log | tail -n 60; fail "round $round: exit $?"; }
    cat "$state/out"
    sent=$(number "sent by HTTP to the web connector")
    events=$(number "events in the log (touchbus log info)")
    [ "$sent" -ge 2000 ] || fail "only $sent events were sent"
    [ "$(number "of these put into quarantine")" = 0 ] || fail "the sample has events that break their schema"
    [ "$events" -ge "$sent" ] || fail "the log has $events events of $sent"
    [ "$round" = 1 ] && first_events=$events
    sqlite() { sqlite3 "$state/crm/crm.sqlite" "$1"; }
    [ "$(number "interactions in crm\/crm.sqlite")" = "$events" ] || fail "the CRM has another number of interactions"
    [ "$(sqlite 'SELECT count(*) FROM interactions')" = "$events" ] || fail "SELECT count(*) differs"
    orders=$(sqlite 'SELECT count(*) FROM orders')
    [ "$(number "order documents in erp\/outbox")" = "$orders" ] || fail "the ERP has another number of orders than $orders"
    [ "$(find "$state/erp/outbox" -name '*.json' | wc -l)" = "$orders" ] || fail "files in erp/outbox"
    [ "$(number "UBL orders in scm\/outbox")" -ge "$orders" ] || fail "the SCM has fewer documents than orders"
    grep -q "Orders  *o-00029 " "$state/out" || fail "the caller's order is not on the agent's screen"
    types=$(sqlite 'SELECT count(DISTINCT type) FROM interactions')
    [ "$types" -ge 12 ] || fail "only $types types"
    customers=$(sqlite 'SELECT count(*) FROM customers')
    [ "$customers" -ge 290 ] && [ "$customers" -le 310 ] || fail "$customers customers"
done
# Playing the day twice publishes nothing twice; only the starts themselves may leave traces of their own.
sample_events=$(sqlite "SELECT count(*) FROM interactions WHERE id LIKE 'day-%'")
[ "$sample_events" = "$sent" ] || fail "$sample_events of $sent sample events are there after two days"
[ "$events" -lt $((first_events + 50)) ] || fail "the second day added $((events - first_events)) events"
echo "the two days agree"
