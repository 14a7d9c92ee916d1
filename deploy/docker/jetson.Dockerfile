# syntax=docker/dockerfile:1
# edgecls on a Jetson Orin with JetPack 6.1 or 6.2 (Jetson Linux 36.4). On the Jetson, from the top of
# the checkout:
#
#   docker build -f deploy/docker/jetson.Dockerfile -t edgecls:jetson .
#   docker run --rm --runtime nvidia edgecls:jetson doctor
#   docker run --rm --runtime nvidia edgecls:jetson run --source demo --backend tensorrt --strict
#
# Never built and never run: no Jetson and no Docker engine were at hand. docs/deploy.md says where its
# facts come from.
ARG BASE=nvcr.io/nvidia/l4t-jetpack:r36.4.0

FROM ${BASE} AS installed
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*
# ONNX Runtime with CUDA 12.6 and TensorRT 10.3 for Python 3.10: of NVIDIA's index for JetPack 6.
# The public index has none that runs on a Jetson. First, and from there alone; what it needs itself
# comes with edgecls. Its newest wheel, 1.23.0, is for numpy 1.
ARG INDEX=https://pypi.jetson-ai-lab.io/jp6/cu126
ARG ONNXRUNTIME=onnxruntime-gpu
WORKDIR /src
COPY . .
RUN python3 -m venv /opt/edgecls \
 && /opt/edgecls/bin/pip install --no-cache-dir --no-deps --index-url "${INDEX}" "${ONNXRUNTIME}" \
 && /opt/edgecls/bin/pip install --no-cache-dir '.[serve,mqtt]' onnxruntime-gpu 'numpy<2'

FROM ${BASE}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 python3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=installed /opt/edgecls /opt/edgecls
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
# The first engine of TensorRT takes many minutes.
HEALTHCHECK --interval=30s --timeout=5s --start-period=20m --retries=3 \
  CMD ["python3", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8088/healthz', timeout=4)"]
ENTRYPOINT ["edgecls"]
CMD ["run", "--source", "demo", "--loop", "--changes", "--serve", ":8088"]
