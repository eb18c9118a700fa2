# Trains as any user:
#   docker build -t arclight .
#   docker run --rm --shm-size=8g --user "$(id -u):$(id -g)" -v "$PWD/runs:/arclight/runs" arclight model=vit
# --shm-size: data workers pass batches through /dev/shm, of which Docker gives 64 MB unless told.
# --gpus all with trainer=gpu: the locked torch brings its CUDA libraries.
FROM python:3.12-slim

# git: a run's manifest names the commit. g++: torch.compile.
RUN apt-get update && apt-get install --yes --no-install-recommends git g++ make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /arclight
# The packages first, so that a change of the code does not install them again.
COPY pyproject.toml requirements.lock README.md LICENSE Makefile ./
COPY src src
RUN make setup && rm -rf /root/.cache
COPY . .

# Whoever runs it may have no name and no home here: caches go to /tmp, runs to a mounted folder.
ENV PATH=/arclight/.venv/bin:$PATH HOME=/tmp USER=arclight XDG_CACHE_HOME=/tmp/cache
RUN mkdir -p runs papers && chmod 777 runs papers \
    && git config --system --add safe.directory /arclight

ENTRYPOINT ["python", "train.py"]
