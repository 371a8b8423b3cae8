# SPDX-License-Identifier: Apache-2.0
# The plots of SCALE.md, from the CSV files of tests/bench/scale. Run by it with -e "folder='...'".
set datafile separator ","
set terminal svg size 720,420 background rgb "white" font "sans,12"
set grid
set key outside top center horizontal
set logscale x
set yrange [0:*]
have(name) = system(sprintf("test -f '%s/%s.csv' && echo 1 || echo 0", folder, name)) + 0

if (have("customers")) {
    set output folder."/customers.svg"
    set xlabel "customers"
    set ylabel "microseconds an event"
    plot folder."/customers.csv" using (column("customers")):(column("us")) with linespoints title "wall, at saturation", \
         "" using (column("customers")):(column("server_us")) with linespoints title "processor, server", \
         "" using (column("customers")):(column("load_us")) with linespoints title "processor, load generator"
}
if (have("log")) {
    set output folder."/log.svg"
    set xlabel "events in the log"
    set ylabel "microseconds an event"
    set y2label "replay, events/s"
    set ytics nomirror
    set y2tics
    set y2range [0:*]
    plot folder."/log.csv" using (column("events")):(column("us")) with linespoints title "wall, at saturation", \
         "" using (column("events")):(column("server_us")) with linespoints title "processor, server", \
         "" using (column("events")):(column("replay_per_s")) axes x1y2 with linespoints title "replay (right)"
    unset y2label
    unset y2tics
    set ytics mirror
}
if (have("subscriptions")) {
    set output folder."/subscriptions.svg"
    set xlabel "subscriptions"
    set ylabel "events/s"
    plot folder."/subscriptions.csv" using (strcol("filter") eq "none" ? column("subscriptions") : NaN):(column("events_per_s")) with linespoints title "acked, each gets everything", \
         "" using (strcol("filter") eq "none" ? column("subscriptions") : NaN):(column("out_per_s")) with linespoints title "out, each gets everything", \
         "" using (strcol("filter") ne "none" ? column("subscriptions") : NaN):(column("events_per_s")) with linespoints title "acked, each filters one customer"
}
if (have("sizes")) {
    set output folder."/sizes.svg"
    set xlabel "bytes an event"
    set ylabel "MB/s acked"
    set y2label "events/s"
    set ytics nomirror
    set y2tics
    set y2range [0:*]
    plot folder."/sizes.csv" using (column("bytes")):(column("mb_per_s")) with linespoints title "MB/s", \
         "" using (column("bytes")):(column("events_per_s")) axes x1y2 with linespoints title "events/s (right)"
}
