FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app
RUN python -m venv /opt/venv
# Dependencies come first, so that a change to the code alone reinstalls nothing.
# Only files with the digests of requirements-image.txt are installed; .ci/lock writes it for the extras gpu, s3, server.
COPY requirements-image.txt ./
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: --requirement requirements-image.txt
COPY pyproject.toml README.md LICENSE ./
RUN mkdir configs storage tasks flows distillery \
    && touch configs/__init__.py storage/__init__.py tasks/__init__.py flows/__init__.py distillery/__init__.py \
    && /opt/venv/bin/pip install --no-deps --no-build-isolation --no-index --editable .

FROM python:3.11-slim
RUN useradd --create-home --uid 1000 distillery
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 DO_NOT_TRACK=1
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app .
COPY configs configs
COPY storage storage
COPY tasks tasks
COPY flows flows
COPY distillery distillery

# Runs write to these folders; a new volume mounted there inherits their owner.
RUN mkdir demo-data data && chown distillery:distillery . demo-data data
USER distillery
ENTRYPOINT ["distillery"]
CMD ["--help"]
