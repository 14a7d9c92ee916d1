# syntax=docker/dockerfile:1
# edgecls on an NVIDIA card in a PC (x86-64, compute capability 7.5 and later). From the top of the
# checkout, on a machine with NVIDIA's driver for CUDA 13 (580 or later) and its container toolkit:
#
#   docker build -f deploy/docker/cuda.Dockerfile -t edgecls:cuda .
#   docker run --rm --gpus all edgecls:cuda doctor
#   docker run --rm --gpus all edgecls:cuda run --source demo --backend cuda --strict
#
# CUDA and cuDNN come as wheels with ONNX Runtime, so that the image needs no other base; the driver's
# libcuda.so.1 is put in by the toolkit. Not built where it was written, for want of a Docker engine;
# docs/deploy.md says what was checked.
ARG PYTHON=3.12
ARG DEBIAN=bookworm

FROM python:${PYTHON}-slim-${DEBIAN} AS installed
# The versions that go together are in docs/deploy.md. TensorRT must be 10: ONNX Runtime's provider
# is linked with libnvinfer.so.10. Its libraries come from NVIDIA's own index; `--build-arg
# TENSORRT=` leaves them out, and the backend `tensorrt` with them.
ARG ONNXRUNTIME=1.31.1
ARG TENSORRT="tensorrt-cu13-libs>=10.13,<11"
WORKDIR /src
COPY . .
RUN python -m venv /opt/edgecls \
 && /opt/edgecls/bin/pip install --no-cache-dir \
      ".[gpu,serve,mqtt]" "onnxruntime-gpu[cuda,cudnn]==${ONNXRUNTIME}" \
 && if [ -n "${TENSORRT}" ]; then \
      /opt/edgecls/bin/pip install --no-cache-dir --extra-index-url https://pypi.nvidia.com \
        "${TENSORRT}"; \
    fi

FROM python:${PYTHON}-slim-${DEBIAN}
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=installed /opt/edgecls /opt/edgecls
RUN groupadd --system --gid 10001 edgecls \
 && useradd --system --uid 10001 --gid 10001 --groups video --home-dir /var/lib/edgecls edgecls \
 && install -d -o edgecls -g edgecls -m 700 /var/lib/edgecls /var/cache/edgecls
# What the container toolkit puts in: CUDA, nvidia-smi, and the video decoder.
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility,video \
    PATH=/opt/edgecls/bin:$PATH \
    XDG_STATE_HOME=/var/lib \
    XDG_DATA_HOME=/var/lib \
    XDG_CACHE_HOME=/var/cache \
    PYTHONFAULTHANDLER=1 \
    PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /var/lib/edgecls
VOLUME ["/var/lib/edgecls", "/var/cache/edgecls"]
EXPOSE 8088
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8088/healthz', timeout=4)"]
ENTRYPOINT ["edgecls"]
CMD ["run", "--source", "demo", "--loop", "--changes", "--serve", ":8088"]
