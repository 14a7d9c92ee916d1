# syntax=docker/dockerfile:1
# edgecls on a CPU, x86-64 or Arm: ONNX Runtime and OpenVINO. From the top of the checkout:
#
#   docker build -f deploy/docker/cpu.Dockerfile -t edgecls:cpu .
#   docker run --rm edgecls:cpu run --source demo
#
# Not built where it was written, for want of a Docker engine; docs/deploy.md says what was checked.
ARG PYTHON=3.12
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN} AS installed
WORKDIR /src
COPY . .
RUN python -m venv /opt/edgecls \
 && /opt/edgecls/bin/pip install --no-cache-dir '.[cpu,serve,mqtt]'

FROM python:${PYTHON}-slim-${DEBIAN}
# OpenCV's wheel is linked with these, windows or not.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=installed /opt/edgecls /opt/edgecls
# Cameras belong to the group `video`. The folders are made here, so that volumes over them belong to
# the user, too.
RUN groupadd --system --gid 10001 edgecls \
 && useradd --system --uid 10001 --gid 10001 --groups video --home-dir /var/lib/edgecls edgecls \
 && install -d -o edgecls -g edgecls -m 700 /var/lib/edgecls /var/cache/edgecls
ENV PATH=/opt/edgecls/bin:$PATH \
    XDG_STATE_HOME=/var/lib \
    XDG_DATA_HOME=/var/lib \
    XDG_CACHE_HOME=/var/cache \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/edgecls
VOLUME ["/var/lib/edgecls", "/var/cache/edgecls"]
EXPOSE 8088
# Of runs that `--serve :8088`: 503 when every source is lost, or no frame came through for 30 s.
HEALTHCHECK --interval=30s --timeout=5s --start-period=2m --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8088/healthz', timeout=4)"]
ENTRYPOINT ["edgecls"]
CMD ["run", "--source", "demo", "--loop", "--changes", "--serve", ":8088"]
