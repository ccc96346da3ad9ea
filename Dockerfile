# TORCH=cuda, the default, is for NVIDIA GPUs, and runs on any machine. TORCH=cpu, for x86-64, makes an image of 1.5 GB in
# place of 5.6 GB; it needs TORCH_INDEX, the pip index of PyTorch's builds for CPUs that pytorch.org names.
# A mirror of packages, or a proxy, goes into a pip.conf that the image never sees: --secret id=pip,src=pip.conf
FROM python:3.11-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
# Dependencies come first, so that a change to the code alone reinstalls nothing. Only files with the digests of these
# lists are installed; .ci/lock writes them for the extras gpu, s3, server. What both images have is a step of its own.
COPY requirements-image.txt ./
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --no-compile --no-deps --require-hashes --only-binary :all: \
      --requirement requirements-image.txt
ARG TORCH=cuda
ARG TORCH_INDEX=
COPY requirements-image-${TORCH}.txt ./
# What only developers of a package need goes, and AWS's services but S3. Of bytecode, which takes 280 MB, there is what
# every process imports.
WORKDIR /opt/venv/lib/python3.11/site-packages
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=cache,target=/root/.cache/pip \
    /opt/venv/bin/pip install --no-compile --no-deps --require-hashes --only-binary :all: \
      ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} --requirement "/app/requirements-image-${TORCH}.txt" \
    && /opt/venv/bin/pip check \
    && rm -rf torch/include torch/share torch/test pyarrow/include pyarrow/src pyarrow/*flight* \
      onnxruntime/tools onnxruntime/transformers torch/lib/*test*.so \
    && find torch/bin -type f ! -name torch_shm_manager -delete \
    && find . -type f '(' -name '*.a' -o -name '*.h' -o -name '*.py[ix]' -o -name '*.pxd' ')' -delete \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name signin ! -name 'sso*' ! -name sts \
      -exec rm -rf {} + \
    && /opt/venv/bin/python -c "import av, boto3, datasets, onnxruntime, prefect.cli, prefect.server.api.server, \
      prefect.workers.process, prefect_aws, prefect_redis, s3fs, torch, transformers.models.whisper.modeling_whisper"
WORKDIR /app
COPY pyproject.toml README.md LICENSE ./
RUN mkdir configs storage tasks flows distillery \
    && touch configs/__init__.py storage/__init__.py tasks/__init__.py flows/__init__.py distillery/__init__.py \
    && /opt/venv/bin/pip install --no-deps --no-build-isolation --no-index --editable . \
    && /opt/venv/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim-bookworm
RUN useradd --create-home --uid 1000 distillery
WORKDIR /app
# Nothing is written outside /tmp and the volumes, so that the file system can be read-only.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1 \
    PREFECT_HOME=/tmp/prefect PREFECT_SERVER_UI_STATIC_DIRECTORY=/tmp/prefect-ui
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app .
COPY configs configs
COPY storage storage
COPY tasks tasks
COPY flows flows
COPY distillery distillery

# Runs write to these folders; a new volume mounted there inherits their owner.
RUN python -m compileall -q configs storage tasks flows distillery \
    && mkdir demo-data data && chown distillery:distillery demo-data data
USER 1000:1000
ENTRYPOINT ["distillery"]
CMD ["--help"]
