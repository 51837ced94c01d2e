# A single job, or the runs of a Prefect work pool, as a user without rights on a root that is read-only.
# docs/operations.md has the commands.
FROM python:3.12-slim

# the build of torch for CPUs is the smallest; for a GPU: --build-arg TORCH=https://download.pytorch.org/whl/cu128
ARG TORCH=https://download.pytorch.org/whl/cpu

WORKDIR /namegen
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/namegen/.numba

COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY namegen namegen
RUN pip install --index-url "$TORCH" 'torch>=2.9,<2.14' && pip install -c constraints.txt '.[s3,gs,az]'
COPY flows flows
COPY data data
COPY prefect.yaml ./

# what draws names is compiled here, once; and there is a place to mount the output
RUN python -c 'import namegen.sampling.cpu_sampler' && mkdir outputs && chown 1000:1000 outputs

# nobody needs a home: Prefect's files are temporary
ENV HOME=/tmp
USER 1000:1000
STOPSIGNAL SIGTERM
CMD ["python", "flows/generate.py", "--help"]
