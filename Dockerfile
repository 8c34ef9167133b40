# The stock node, the emitter's command and the load tester in one small image, for a user without rights.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src

# First what changes seldom: with empty crates of ours everything they depend on is built, and that layer is kept until a
# manifest or the lockfile changes.
COPY Cargo.toml Cargo.lock ./
COPY adapter-amqp/Cargo.toml adapter-amqp/
COPY adapter-redis/Cargo.toml adapter-redis/
COPY core/Cargo.toml core/
COPY emitter/Cargo.toml emitter/
COPY loadtest/Cargo.toml loadtest/
COPY otlp/Cargo.toml otlp/
COPY server/Cargo.toml server/
COPY testkit/Cargo.toml testkit/
RUN for manifest in */Cargo.toml; do \
        crate=${manifest%/*} && mkdir -p "$crate/src" "$crate/benches" && touch "$crate/src/lib.rs" && \
        for bench in $(sed -n '/^\[\[bench\]\]/,/^$/s/^name = "\(.*\)"/\1/p' "$manifest"); do echo 'fn main() {}' >"$crate/benches/$bench.rs"; done; \
    done && \
    mkdir -p emitter/src/bin/socketio-emit && \
    echo 'fn main() {}' | tee server/src/main.rs loadtest/src/main.rs >emitter/src/bin/socketio-emit/main.rs && \
    cargo build --release --locked --bins -p socketio-server -p socketio-emitter -p socketio-loadtest

COPY adapter-amqp adapter-amqp
COPY adapter-redis adapter-redis
COPY core core
COPY emitter emitter
COPY loadtest loadtest
COPY otlp otlp
COPY server server
COPY testkit testkit
# Newer than what was built from the empty ones.
RUN find . -name '*.rs' -not -path './target/*' -exec touch {} + && \
    cargo build --release --locked --bins -p socketio-server -p socketio-emitter -p socketio-loadtest && \
    for program in socketio-server socketio-emit socketio-loadtest; do strip -o /$program target/release/$program || exit 1; done

# The official client, for the page and for /socket.io/socket.io.js.
FROM node:20.14.0-alpine AS client
WORKDIR /client
RUN npm install --ignore-scripts --no-audit --no-fund socket.io-client@4.8.4

# For health checks and the loop of the profile `emit`: there is no shell in the image otherwise.
FROM busybox:1.36.1-musl AS busybox

# The tags of distroless name variants and not versions; pin it by digest where builds must repeat.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=busybox /bin/busybox /bin/busybox
# Its bundles, and beside their folder the file that tells their version.
COPY --from=client /client/node_modules/socket.io-client/package.json /usr/share/socket.io-client/
COPY --from=client /client/node_modules/socket.io-client/dist /usr/share/socket.io-client/dist
COPY --from=build /socketio-server /socketio-emit /socketio-loadtest /usr/local/bin/
USER nonroot
ENV SOCKETIO_HOST=0.0.0.0 SOCKETIO_CLIENT_DIR=/usr/share/socket.io-client/dist
EXPOSE 3000
HEALTHCHECK --interval=5s --timeout=3s --start-period=10s CMD ["/bin/busybox", "wget", "-q", "-O", "/dev/null", "http://127.0.0.1:3000/healthz"]
ENTRYPOINT ["/usr/local/bin/socketio-server"]
