# syntax=docker/dockerfile:1
# The hub and the edge agent in one image, without compilers, pip caches or secrets.
FROM python:3.13-slim AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY wire wire
COPY hub hub
COPY edge_agent edge_agent
COPY dashboards/operator dashboards/operator
# Both names: the first is read by pips before 25.3 for the build backend too, the second by later ones.
ENV PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1
RUN pip wheel --quiet --no-cache-dir --wheel-dir /wheels ".[hub,edge,influx]"

FROM python:3.13-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --quiet --no-cache-dir --no-index --find-links /wheels "lockerhub[hub,edge,influx]"
# The hub runs as the first user, agents as the second: neither reads the other's secrets. A new volume takes over the
# owner of the directory that it is mounted on.
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin hub \
    && useradd --uid 10002 --no-create-home --shell /usr/sbin/nologin agent \
    && install --directory --owner 10001 --group 10001 --mode 0755 /keys \
    && install --directory --owner 10001 --group 10001 --mode 0700 /records \
    && install --directory --owner 10002 --group 10002 --mode 0700 /data
USER 10001:10001
EXPOSE 8080
CMD ["hub", "run"]
