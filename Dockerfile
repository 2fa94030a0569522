# Venire in a container: the same pinned requirements as scripts/run, in two stages.
FROM python:3.11-slim-bookworm AS build
WORKDIR /opt/venire
COPY requirements.txt pyproject.toml README.md ./
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --require-hashes -r requirements.txt
COPY app app
RUN .venv/bin/python -m pip install --no-cache-dir --no-deps --no-build-isolation -e . \
    && .venv/bin/python -m compileall -q app .venv/lib

FROM python:3.11-slim-bookworm
# The provider SDKs trust the operating system's certificates, which slim images lack.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /var/lib/venire --create-home venire
WORKDIR /opt/venire
COPY --from=build /opt/venire /opt/venire
COPY alembic.ini ./
COPY migrations migrations
USER 10001
ENV PATH=/opt/venire/.venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    VENIRE_DATA_DIR=/var/lib/venire \
    VENIRE_HOST=0.0.0.0 \
    VENIRE_PORT=8000 \
    VENIRE_WORKERS=1
VOLUME /var/lib/venire
EXPOSE 8000
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['VENIRE_PORT'] + '/healthz', timeout=4)"]
# Outside a loopback address the service asks for a key first:
#   docker run --rm -v venire:/var/lib/venire venire keys create first
ENTRYPOINT ["venire"]
CMD ["serve"]
