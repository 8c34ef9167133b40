#!/usr/bin/env bash
# What idle clients cost a node, plain and over TLS: resident memory, memory in the kernel, processor time for each one that
# connects. On a quiet machine, after `cargo build --release -p socketio-server -p socketio-loadtest`:
#
#   scripts/sizing.sh [COUNT...]        (1000 10000 18000)
#
# Memory in the kernel is half of what its slabs grow by, since both ends of each connection are here.
set -euo pipefail
cd "$(dirname "$0")/.."
ulimit -n "$(ulimit -Hn)"
bin=${SIZING_BIN:-target/release}
[ $# -gt 0 ] || set -- 1000 10000 18000
folder=$(mktemp -d)
node=
end() {
    [ -z "$node" ] || kill "$node" 2>/dev/null || true
    rm -rf "$folder"
}
trap end EXIT

# An authority, and a certificate that it signed.
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)
openssl req -x509 "${key[@]}" -days 2 -subj /CN=authority -keyout "$folder/ca.key" -out "$folder/ca.pem" 2>/dev/null
openssl req "${key[@]}" -subj /CN=node -keyout "$folder/key.pem" -out "$folder/request.pem" 2>/dev/null
echo subjectAltName=IP:127.0.0.1 >"$folder/names"
openssl x509 -req -in "$folder/request.pem" -CA "$folder/ca.pem" -CAkey "$folder/ca.key" -days 2 -extfile "$folder/names" \
    -out "$folder/cert.pem" 2>/dev/null

metric() { awk -v name="$1" '$1 == name { print $2 }' "$folder/page"; }
kib() { awk -v name="$1:" '$1 == name { print $2 }' "$2"; }
# Not by curl, which not every machine has, and without TLS: the numbers have an address of their own.
scrape() {
    { exec 3<>/dev/tcp/127.0.0.1/"$((port + 1))"; } 2>/dev/null || return 1
    printf 'GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' >&3
    cat <&3 >"$folder/page"
    exec 3>&-
}

# Below the ports that clients are given.
port=19400
echo "| | clients | node, MiB | KiB per client | kernel, KiB per client | connecting, µs of processor time |"
echo "|---|---|---|---|---|---|"
for kind in plain TLS; do
    for clients in "$@"; do
        port=$((port + 2)) flags=() target=http://127.0.0.1:$port load=()
        if [ $kind = TLS ]; then
            flags=(--tls-cert "$folder/cert.pem" --tls-key "$folder/key.pem")
            target=https://127.0.0.1:$port load=(--ca "$folder/ca.pem")
        fi
        "$bin/socketio-server" --port $port --internal-address "127.0.0.1:$((port + 1))" --log warn "${flags[@]}" \
            2>"$folder/node.log" &
        node=$!
        until scrape; do sleep 0.1; done
        memory=$(kib VmRSS "/proc/$node/status") slab=$(kib Slab /proc/meminfo) cpu=$(metric process_cpu_seconds_total)
        "$bin/socketio-loadtest" run idle --target "$target" "${load[@]}" --clients "$clients" --connect-rate 2000 \
            --duration 8s >"$folder/load.log" 2>&1 &
        load_pid=$!
        until scrape && [ "$(metric 'socketio_connections{transport="websocket"}')" = "$clients" ]; do
            kill -0 "$load_pid" 2>/dev/null || { cat "$folder/load.log" >&2; exit 1; }
            sleep 0.2
        done
        connected=$(metric process_cpu_seconds_total)
        # Of idle clients: what connecting took for a moment is given back by then.
        sleep 3
        awk -v kind=$kind -v n="$clients" -v before="$memory" -v after="$(kib VmRSS "/proc/$node/status")" \
            -v slab="$slab" -v slabs="$(kib Slab /proc/meminfo)" -v cpu="$cpu" -v connected="$connected" 'BEGIN {
                printf "| %s | %d | %.0f | %.1f | %.1f | %.0f |\n", kind, n, after / 1024, (after - before) / n,
                    (slabs - slab) / 2 / n, (connected - cpu) * 1e6 / n }'
        wait "$load_pid" || true
        kill "$node"
        wait "$node" || true
        node=
    done
done
