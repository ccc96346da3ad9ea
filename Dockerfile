FROM python:3.11-slim

RUN useradd --create-home --uid 1000 distillery
WORKDIR /app
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 DO_NOT_TRACK=1

# What changes rarely comes first: a change of the code alone installs nothing again.
COPY pyproject.toml constraints.txt README.md LICENSE ./
RUN mkdir configs storage tasks flows \
    && touch configs/__init__.py storage/__init__.py tasks/__init__.py flows/__init__.py \
    && pip install --constraint constraints.txt --editable '.[demo,s3]'
COPY configs configs
COPY storage storage
COPY tasks tasks
COPY flows flows

# The folders that the checked-in configurations write to, for volumes to take their owner from.
RUN mkdir demo-data librispeech-data && chown distillery:distillery . demo-data librispeech-data
USER distillery
ENTRYPOINT ["distillery"]
CMD ["--help"]
