#!/bin/sh
# A prober that leaves a line beside itself for each call, and crashes instead of probing while the mark `crash` is there.
folder=${0%/*}
echo probe >>"$folder/probes"
if [ -e "$folder/crash" ]; then
    echo ready >&0
    kill -SEGV $$
fi
exec "$folder/billhook" "$@"
