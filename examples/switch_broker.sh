#!/bin/sh
# SPDX-License-Identifier: MIT
# The same programs on the embedded bus and on RabbitMQ: only the URL changes. Messages that wait on
# the bus are moved into the broker; what was counted is not counted again.
#
#   examples/switch_broker.sh build/release /tmp/switch amqp://127.0.0.1:5672/
set -eu
if [ $# -ne 3 ]; then
    echo "usage: switch_broker.sh BUILD NEW-DIR BROKER-URL" >&2
    exit 2
fi
build=$1 dir=$2 broker=$3
mkdir "$dir" "$dir/store"
mkfifo "$dir/counts"

publish() { # URL
    "$build/examples/publish" "$1" switched hello
}

count() { # URL N: count N messages of the queue, each once, in a store that stays
    "$build/examples/count_once" "$1" switched "$dir/store" >"$dir/counts" &
    head -n "$2" "$dir/counts"
    kill $!
    wait $!
}

publish "bus:$dir/bus"
publish "bus:$dir/bus"
count "bus:$dir/bus" 2          # 1, 2

publish "bus:$dir/bus"          # waits: nobody counts
"$build/bin/godwit" bus move "$dir/bus" --to "$broker"
publish "$broker"
count "$broker" 2               # 3, 4
