#!/usr/bin/env bash
# Installs what the tests need when it is missing, runs all of them, and ends non-zero if anything failed.
# Output of each step is kept in target/test-logs/. `scripts/test.sh NAME...` runs only the steps of these names.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=$PWD/target/test-logs
mkdir -p "$logs"
only=" $* "
passed=0 failed=0 broken=()

# step NAME COMMAND...: runs one step; what its test runner counted is added up.
step() {
    local name=$1 started=$SECONDS status counts
    shift
    [[ $only == "  " || $only == *" $name "* ]] || return 0
    "$@" >"$logs/$name.log" 2>&1 </dev/null
    status=$?
    counts=$(python3 scripts/count.py "$logs/$name.log")
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    if [ $status -eq 0 ]; then
        printf 'ok      %-14s %4ds  %s\n' "$name" $((SECONDS - started)) "${counts% *} passed"
    else
        [ "${counts#* }" -gt 0 ] || failed=$((failed + 1))
        broken+=("$name")
        printf 'FAILED  %-14s %4ds  %s\n' "$name" $((SECONDS - started)) "exit $status, log: target/test-logs/$name.log"
        tail -n 120 "$logs/$name.log" | sed 's/^/    /'
    fi
}

# without_services [sudo] -- PACKAGE...: installs packages, but lets Debian not start what they bring: the tests start
# brokers themselves, on ports of their own.
without_services() {
    local sudo=() policy=/usr/sbin/policy-rc.d made='' status
    while [ "$1" != -- ]; do sudo+=("$1"); shift; done
    shift
    if [ ! -e $policy ]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee $policy >/dev/null && "${sudo[@]}" chmod 755 $policy && made=yes
    fi
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y "$@"
    status=$?
    [ -z "$made" ] || "${sudo[@]}" rm -f $policy
    return $status
}

install() {
    local missing=()
    command -v chromium >/dev/null || missing+=(chromium)
    command -v openssl >/dev/null || missing+=(openssl)
    command -v pkg-config >/dev/null || missing+=(pkg-config)
    # rust_socketio, a client of the interop suites, wants OpenSSL.
    pkg-config --exists openssl 2>/dev/null || missing+=(libssl-dev)
    python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
    # The brokers of the cluster suites.
    command -v redis-server >/dev/null || missing+=(redis-server)
    command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || missing+=(rabbitmq-server)
    # The balancers and the monitoring in front of nodes.
    local program
    for program in haproxy nginx prometheus; do
        command -v $program >/dev/null || [ -x /usr/sbin/$program ] || missing+=($program)
    done
    command -v systemd-analyze >/dev/null || missing+=(systemd)
    if [ ${#missing[@]} -gt 0 ]; then
        local sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        "${sudo[@]}" apt-get update && without_services "${sudo[@]}" -- "${missing[@]}" || return 1
    fi
    if ! command -v docker-compose >/dev/null; then
        # Only to read a file: without Docker itself.
        local sudo=()
        [ "$(id -u)" -eq 0 ] || sudo=(sudo)
        "${sudo[@]}" apt-get update && without_services "${sudo[@]}" -- --no-install-recommends docker-compose || return 1
    fi
    local folder
    for folder in interop interop/browser; do
        if ! cmp -s $folder/package-lock.json $folder/node_modules/.installed; then
            (cd $folder && npm ci) && cp $folder/package-lock.json $folder/node_modules/.installed || return 1
        fi
    done
    if ! cmp -s interop/requirements.txt interop/.venv/.installed; then
        python3 -m venv interop/.venv && interop/.venv/bin/pip install -r interop/requirements.txt &&
            cp interop/requirements.txt interop/.venv/.installed || return 1
    fi
}

# The protocol half must stay free of runtimes and brokers, the emitter free of the server. What only its command needs
# (`command`, `otlp`: the exporter of traces brings hyper) is not in the library.
purity() {
    local core emitter command
    core=$(cargo tree -p socketio-core -e normal --all-features --prefix none) || return 1
    emitter=$(cargo tree -p socketio-emitter -e normal --no-default-features --features otel --prefix none) || return 1
    command=$(cargo tree -p socketio-emitter -e normal --all-features --prefix none) || return 1
    printf '%s\n' "$core" "$emitter" "$command"
    ! printf '%s\n' "$core" | grep -E '^(tokio|hyper|redis|lapin|mio|socket2)[ -]' &&
        ! printf '%s\n' "$emitter" | grep -E '^(socketio-server|socketio-otlp|hyper|tonic|axum|fastwebsockets|clap)[ -]' &&
        ! printf '%s\n' "$command" | grep -E '^(socketio-server|axum|fastwebsockets)[ -]'
}

# README promises two commands: they must be the ones that start the node and that run this file.
readme() {
    grep -qx 'cargo run --release' README.md && grep -qx './scripts/test.sh' README.md &&
        grep -qx 'default-run = "socketio-server"' server/Cargo.toml && [ -x scripts/test.sh ] &&
        grep -q '^\./scripts/test.sh$' .ci/run
}

# No lockfile names a registry's host, and no file a path of somebody's machine.
portable() {
    ! grep -nE '"resolved"|https?://[^"]*\.tgz' $(git ls-files '*package-lock.json') &&
        ! git grep -nE '/(home|Users|root)/[a-z]' -- . ':!scripts/test.sh'
}

rust_tests() {
    if cargo nextest --version >/dev/null 2>&1; then
        cargo nextest run --workspace --all-features --no-fail-fast --failure-output final
    else
        cargo test --workspace --all-features --no-fail-fast --lib --bins --tests
    fi
}

node_suite() {
    (cd interop && INTEROP_SERVER="$target/examples/interop_server" node --test --test-concurrency=2 "$@")
}

cluster_suite() {
    local ours=$target/examples/cluster_node
    [ -x "$ours" ] || ours=
    (cd interop && CLUSTER_NODE="$ours" SOCKETIO_EMIT="$target/socketio-emit" node --test --test-concurrency=2 cluster/)
}

step install install || exit 1
[ ${#broken[@]} -eq 0 ] || { echo "0 passed, 1 failed"; exit 1; }
step fmt cargo fmt --all --check
step readme readme
step portable portable
step purity purity
step clippy cargo clippy --workspace --all-targets --all-features -- -D warnings
step build cargo build --workspace --all-features --bins --examples
step rust rust_tests
step rust-doc cargo test --workspace --all-features --doc
step rustdoc env RUSTDOCFLAGS="-D warnings" cargo doc --workspace --all-features --no-deps

target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/debug
export SOCKETIO_NODE_BIN=$target/socketio-server
step clients node_suite clients/
step conformance node_suite conformance/
step hostile node_suite hostile/
step cluster cluster_suite
step loadtest env -C interop SOCKETIO_LOADTEST="$target/socketio-loadtest" node --test --test-concurrency=2 loadtest/
step balancer env -C interop node --test --test-concurrency=1 balancer/
step cluster-python env -C interop CLUSTER_NODE="$target/examples/cluster_node" SOCKETIO_EMIT="$target/socketio-emit" .venv/bin/pytest -q cluster-python
step traces env -C interop SOCKETIO_EMIT="$target/socketio-emit" .venv/bin/pytest -q traces
step python env -C interop INTEROP_SERVER="$target/examples/interop_server" .venv/bin/pytest -q python
step rust-client env INTEROP_SERVER="$target/examples/interop_server" cargo test --manifest-path interop/rust-client/Cargo.toml --target-dir target/rust-client
step browser npm --prefix interop/browser test

[ ${#broken[@]} -eq 0 ] || echo "failed: ${broken[*]}"
echo "$passed passed, $failed failed"
[ ${#broken[@]} -eq 0 ]
