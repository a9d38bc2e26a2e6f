# The command line, the bridge and the example services in one image; compose gives each container its command.

# As rust-toolchain.toml says. This image brings the C compiler and the headers of OpenSSL that the Kafka client needs.
FROM rust:1.95.0-bookworm AS build
WORKDIR /src
COPY . .
# What cargo downloads and compiles stays on the machine that builds, so that a change compiles what it touches.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release \
      --package messagekit-cli \
      --package messagekit-bridge \
      --package messagekit-orders \
      --package messagekit-billing \
      --package messagekit-shipping \
 && install -D --target-directory=/programs \
      target/release/messagekit \
      target/release/messagekit-bridge \
      target/release/messagekit-orders \
      target/release/messagekit-billing \
      target/release/messagekit-shipping

# With curl, which the health checks run.
FROM debian:bookworm-20260202-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates curl libssl3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /programs/ /usr/local/bin/
# No name is needed, and a number lets an orchestrator see that it is not root.
USER 10001:10001
CMD ["messagekit", "--help"]
