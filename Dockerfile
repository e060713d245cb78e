# One image for every processor of an architecture. Build: docker build -t webchat .
# Run: docker run -p 8000:8000 -v webchat-data:/data webchat   (the first start fetches the model into the volume)

ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /app
# llama.cpp's CPU code is compiled once per generation of processors and the best one is picked at start: an image
# compiled for the builder's own processor would die of SIGILL on an older one. Takes two or three times as long.
ENV CMAKE_ARGS="-DGGML_NATIVE=OFF -DGGML_BACKEND_DL=ON -DGGML_CPU_ALL_VARIANTS=ON -DGGML_BACKEND_DIR=/opt/ggml"
# The compile needs no more than these files: a change elsewhere does not repeat it.
COPY constraints.txt ./
COPY tools/ tools/
COPY native/ native/
RUN python tools/setup.py wheel
COPY . .
RUN python tools/setup.py install && rm -rf node_modules .venv/node setup.log

FROM python:${PYTHON}-slim
# OpenMP, which the compiled llama.cpp is linked against; it comes with the compiler, and that stays behind.
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --home-dir /data webchat && install -d -o webchat -g webchat /data
COPY --from=build /opt/ggml /opt/ggml
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 HOST=0.0.0.0 PORT=8000 WEBCHAT_DATA_DIR=/data
USER webchat
VOLUME /data
EXPOSE 8000
# The start period covers the first start's download of the model.
HEALTHCHECK --interval=30s --timeout=5s --start-period=15m \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"PORT\"]}/healthz', timeout=4)"]
CMD ["python", "tools/webchat_commands.py", "model fetch", "db upgrade", "faq example", "serve"]
