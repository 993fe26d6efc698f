# The serving image: judges parts over HTTP. No torch, no compiler, no package index at run time.
#
#   docker build -f deploy/serve.Dockerfile -t onspec-serve .
#   docker run -p 8000:8000 -v "$PWD/recipes:/recipes:ro" \
#     -v "$PWD/tokens:/run/secrets/tokens:ro" -e ONSPEC_TOKEN_FILE=/run/secrets/tokens \
#     onspec-serve serve /recipes/tile.onspec
#
# BASE: any Debian-like image with Python >= 3.11 and its venv module. The same one is used for both stages, so that
# the virtual environment finds its interpreter where it was made.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# EXTRAS: add `,openvino` or others for another engine.
ARG EXTRAS=serve
RUN python3 -m venv /opt/onspec \
 && /opt/onspec/bin/python -m pip install --no-cache-dir "/src[${EXTRAS}]" \
 && /opt/onspec/bin/python -m pip uninstall --yes --quiet pip setuptools

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="onspec serve" \
      org.opencontainers.image.description="Judges part images over HTTP with onspec recipes" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/onspec /opt/onspec
ENV PATH=/opt/onspec/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 ORT_DISABLE_TELEMETRY=1 \
    ONSPEC_HOST=0.0.0.0 ONSPEC_PORT=8000
WORKDIR /recipes
# A number, so that a cluster that refuses root can tell that it is none.
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
# With a certificate the service speaks TLS only, under a name that 127.0.0.1 is not.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD python3 -c "import ssl, urllib.request as u; c = ssl.create_default_context(); c.check_hostname, c.verify_mode = 0, 0; \
    u.urlopen('http${ONSPEC_TLS_CERT:+s}://127.0.0.1:$ONSPEC_PORT/v2/health/ready', timeout=4, context=c)"
ENTRYPOINT ["onspec"]
CMD ["serve", "--help"]
