# One image for every service, for migrate and for the sandbox. The command names the module:
#   docker run sliceline services.orders.service
FROM python:3.13-slim

# Bytecode is compiled below, once; at run time the file system is read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    SLICELINE_HOST=0.0.0.0 \
    SLICELINE_PORT=8000

# /data is the only place to write to that lasts, beside /keys for the master key and /passwords for those of roles in
# Postgres, /kafka for whatever lets in there and what Postgres shows, /identity, /realm and /clients for who may come in
# over HTTP: a volume mounted there belongs to the same user.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /app --shell /usr/sbin/nologin sliceline \
 && mkdir -p /data /keys /passwords/services /kafka/services /kafka/broker /kafka/postgres /identity /realm /clients/robot /clients/console \
 && chown -R sliceline:sliceline /data /keys /passwords /kafka /identity /realm /clients

WORKDIR /app

# An environment of its own: what the base image has installed stays out of it.
COPY requirements.image.lock ./
RUN python -m venv /venv \
 && /venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    --require-hashes --only-binary=:all: -r requirements.image.lock

# Whoever breaks in finds Python and nothing else to run: no shell, no installer. What Debian's packages are remains
# written down (/var/lib/dpkg), for scanners. From here on nothing can be run by a shell.
RUN find / -xdev \( -path '*-packages/pip' -o -path '*-packages/pip-*' -o -name ensurepip -o -name python-wheels \
    -o -path /usr/lib/apt -o -path /usr/lib/dpkg \) -prune -exec rm -rf {} + \
 && find /usr/bin /usr/sbin /usr/local/bin /usr/local/sbin /venv/bin -mindepth 1 ! -name 'python*' -delete

# .dockerignore names what goes in.
COPY . ./
RUN ["python", "-m", "compileall", "-q", "."]
# hadolint ignore=DL3059
RUN ["python", "-m", "deployment.pages.build"]

USER 10001
EXPOSE 8000

HEALTHCHECK --interval=5s --timeout=5s --retries=3 --start-period=120s \
    CMD ["python", "-c", "import os, urllib.request as http; http.urlopen('http://127.0.0.1:' + os.environ['SLICELINE_PORT'] + '/health/ready', timeout=4)"]

ENTRYPOINT ["python", "-m"]
CMD ["services.orders.service"]
