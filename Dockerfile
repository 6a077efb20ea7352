# One image: `tradewind` with what its tasks need. Builds with BuildKit and with the classic builder alike.

FROM rust:1-trixie AS build
WORKDIR /build
# The profile of Cargo.toml; `quick` compiles faster and runs slower.
ARG PROFILE=release

# Dependencies first: this layer is built again only when a manifest or the lock file changes. Cargo wants every crate of
# the workspace to have some source, so each gets an empty one.
COPY Cargo.toml Cargo.lock ./
COPY domain/Cargo.toml domain/
COPY store/Cargo.toml store/
COPY queue/Cargo.toml queue/
COPY runtime/Cargo.toml runtime/
COPY scheduler/Cargo.toml scheduler/
COPY worker/Cargo.toml worker/
COPY webserver/Cargo.toml webserver/
COPY python/Cargo.toml python/
COPY cli/Cargo.toml cli/
COPY bench/Cargo.toml bench/
COPY e2e/Cargo.toml e2e/
RUN for crate in */; do mkdir -p "$crate/src" && touch "$crate/src/lib.rs" && echo 'fn main() {}' >"$crate/src/main.rs"; done \
    && cargo build --locked --profile "$PROFILE" --package cli \
    && rm -rf */src

COPY . .
# Cargo goes by modification times, and the empty sources above are younger than the real ones.
RUN find . -path ./target -prune -o -name '*.rs' -exec touch {} + \
    && cargo build --locked --profile "$PROFILE" --package cli \
    && cp "target/$PROFILE/tradewind" /usr/local/bin/tradewind


FROM debian:trixie-slim
# bash, python3 and psql are for tasks, python3-venv for the environment below; ca-certificates and tzdata for everybody.
RUN apt-get update \
    && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \
        bash ca-certificates postgresql-client python3 python3-venv tzdata \
    && rm -rf /var/lib/apt/lists/*
# The folders are made here so that a new volume on top of one belongs to the same user.
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/tradewind --shell /usr/sbin/nologin tradewind \
    && install -d -o tradewind -g tradewind -m 0750 /var/lib/tradewind /var/lib/tradewind/logs \
    && install -d /dags
COPY --from=build /usr/local/bin/tradewind /usr/local/bin/tradewind
ENV TRADEWIND_HOME=/var/lib/tradewind \
    TRADEWIND_DAGS_FOLDER=/dags \
    LANG=C.UTF-8
USER tradewind
WORKDIR /var/lib/tradewind
# What Airflow DAG files need, from PyPI. Everything else works without it, so that a build that cannot reach PyPI goes on.
ARG AIRFLOW=yes
RUN if [ "$AIRFLOW" = yes ]; then \
        PIP_NO_CACHE_DIR=1 tradewind python setup \
            || { echo 'Airflow DAG files will not run: there is no Python environment for them in this image.' >&2; \
                rm -rf /var/lib/tradewind/python; }; \
    fi
COPY examples /dags
EXPOSE 8080
ENTRYPOINT ["tradewind"]
CMD ["--help"]
