# The server: `serve`, `worker`, `migrate` and the other commands of matching-server.
#   docker build --tag advisor-matching:0.1.0 .

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
# For what builds the wheel as well, by either name: pip 25.3 has given it one of its own.
ENV PIP_CONSTRAINT=/source/constraints.txt PIP_BUILD_CONSTRAINT=/source/constraints.txt
RUN python -m venv --without-pip /opt/matching
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
COPY generated generated
# Wheels only: there is no compiler here either.
RUN python -m pip --python /opt/matching/bin/python install --only-binary :all: '.[server]'

FROM python:3.11-slim-bookworm
COPY --from=build /opt/matching /opt/matching
# Nothing is written to the image: it runs with a read-only root.
ENV PATH=/opt/matching/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    MATCHING_METRICS_LISTEN=0.0.0.0:9464
EXPOSE 50051 9464
# By number, so that an orchestrator sees that it is not root.
USER 10001:10001
# The program itself is process 1 and gets SIGTERM.
ENTRYPOINT ["matching-server"]
CMD ["serve", "--listen", "0.0.0.0:50051"]
# Of a server, at MATCHING_LISTEN or, unset, 127.0.0.1:50051; a worker has no address but that of its metrics.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["matching-server", "probe"]
