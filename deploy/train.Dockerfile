# The training image: every command, torch included.
#
#   docker build -f deploy/train.Dockerfile -t onspec-train .
#   docker run --user "$(id -u):$(id -g)" -v "$PWD:/work" onspec-train train parts --out run --budget 20m
#
# With NVIDIA GPUs: add `--gpus all` to run; torch from PyPI brings CUDA's libraries, the host brings the driver.
#
# BASE: any Debian-like image with Python >= 3.11 and its venv module, as for serve.Dockerfile.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
ARG EXTRAS=train,serve
RUN python3 -m venv /opt/onspec \
 && /opt/onspec/bin/python -m pip install --no-cache-dir "/src[${EXTRAS}]" \
 && /opt/onspec/bin/python -m pip uninstall --yes --quiet pip

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="onspec train" \
      org.opencontainers.image.description="Trains, evaluates and packs onspec recipes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/onspec /opt/onspec
# HOME, MPLCONFIGDIR: some libraries want a place of their own to write, whoever the user is.
ENV PATH=/opt/onspec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 \
    HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib
WORKDIR /work
USER 10001:10001
# A run of training serves nothing, so it is healthy as long as its command can start.
HEALTHCHECK --interval=60s --timeout=30s CMD ["onspec", "--version"]
ENTRYPOINT ["onspec"]
