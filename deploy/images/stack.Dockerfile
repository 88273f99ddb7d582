# SPDX-License-Identifier: MIT
# What the stacks need beside Godwit's programs, of Debian's packages, for where no registry is:
# RabbitMQ, PostgreSQL, and HAProxy as the gateway. Passwords come in files, data is in volumes, and
# each runs as a user of its own on a read-only root file system. script/images builds them.

ARG BASE=debian:bookworm-slim

# No package starts a daemon, none brings documents; copyright files stay. Of each image, no file is
# setuid: nobody becomes somebody else.
FROM ${BASE} AS debian
RUN printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \
    && printf 'path-exclude /usr/share/man/*\npath-exclude /usr/share/locale/*\npath-exclude /usr/share/doc/*\npath-include /usr/share/doc/*/copyright\n' \
       >/etc/dpkg/dpkg.cfg.d/small
ENV DEBIAN_FRONTEND=noninteractive

# ---- RabbitMQ ----
FROM debian AS rabbitmq-system
RUN groupadd --gid 65533 rabbitmq \
    && useradd --uid 65533 --gid 65533 --home-dir /var/lib/rabbitmq --no-create-home \
               --shell /usr/sbin/nologin rabbitmq \
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin /var/lib/rabbitmq/* /var/lib/rabbitmq/.erlang.cookie \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && dpkg-query -W -f '${Package}\n' >/usr/share/packages
FROM rabbitmq-system AS rabbitmq-sbom
COPY deploy/images/sbom.py /sbom.py
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
RUN python3 /sbom.py rabbitmq /usr/share/packages "${VERSION}" "${CREATED}"
FROM rabbitmq-system AS rabbitmq
ARG COMMIT=unknown
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="rabbitmq" \
      org.opencontainers.image.description="RabbitMQ as Debian 12 has it, for Godwit's stacks" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
COPY deploy/images/rabbitmq/rabbitmq.conf deploy/images/rabbitmq/enabled_plugins /etc/rabbitmq/
COPY deploy/images/rabbitmq/start.py /usr/lib/godwit/start.py
COPY --from=rabbitmq-sbom /usr/share/sbom/ /usr/share/sbom/
# One node, whose name does not depend on the container's; its Erlang speaks with itself alone.
ENV RABBITMQ_NODENAME=rabbit@localhost \
    RABBITMQ_LOGS=- \
    RABBITMQ_LOG_BASE=/var/lib/rabbitmq/log \
    RABBITMQ_PID_FILE=/var/lib/rabbitmq/rabbitmq.pid \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    ERL_EPMD_ADDRESS=127.0.0.1 \
    HOME=/var/lib/rabbitmq \
    LANG=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    RABBITMQ_USER_NAME=godwit \
    RABBITMQ_PASSWORD_FILE=/run/secrets/amqp_password
USER 65533:65533
WORKDIR /var/lib/rabbitmq
VOLUME ["/var/lib/rabbitmq"]
EXPOSE 5672 15672 15692
STOPSIGNAL SIGTERM
# Each starts an Erlang machine, which takes a second of a processor.
HEALTHCHECK --interval=10s --timeout=10s --start-period=60s --retries=3 \
    CMD ["/usr/lib/rabbitmq/bin/rabbitmq-diagnostics", "-q", "check_port_listener", "5672"]
ENTRYPOINT ["/usr/bin/python3", "/usr/lib/godwit/start.py"]

# ---- PostgreSQL ----
FROM debian AS postgres-system
RUN groupadd --gid 65531 postgres \
    && useradd --uid 65531 --gid 65531 --home-dir /var/lib/postgresql --no-create-home \
               --shell /usr/sbin/nologin postgres \
    && mkdir -p /etc/postgresql-common \
    && echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf \
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    && install -d -o 65531 -g 65531 -m 700 /var/lib/postgresql /var/lib/postgresql/data \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && dpkg-query -W -f '${Package}\n' >/usr/share/packages
FROM postgres-system AS postgres-sbom
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 >/dev/null
COPY deploy/images/sbom.py /sbom.py
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
RUN python3 /sbom.py postgres /usr/share/packages "${VERSION}" "${CREATED}"
FROM postgres-system AS postgres
ARG COMMIT=unknown
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="postgres" \
      org.opencontainers.image.description="PostgreSQL as Debian 12 has it, for Godwit's stacks" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
COPY deploy/images/postgres/start.sh /usr/lib/godwit/start.sh
COPY --from=postgres-sbom /usr/share/sbom/ /usr/share/sbom/
ENV PGDATA=/var/lib/postgresql/data \
    PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    POSTGRES_USER_NAME=godwit \
    POSTGRES_DATABASE=godwit \
    POSTGRES_PASSWORD_FILE=/run/secrets/store_password
USER 65531:65531
WORKDIR /var/lib/postgresql
VOLUME ["/var/lib/postgresql/data"]
EXPOSE 5432
STOPSIGNAL SIGINT
HEALTHCHECK --interval=3s --timeout=3s --start-period=60s \
    CMD ["/usr/lib/postgresql/15/bin/pg_isready", "-q", "-h", "127.0.0.1"]
ENTRYPOINT ["/bin/sh", "/usr/lib/godwit/start.sh"]

# ---- the gateway ----
FROM debian AS gateway-system
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends haproxy >/dev/null \
    && rm -rf /var/lib/apt/lists/* /var/cache/apt/*.bin \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
    && dpkg-query -W -f '${Package}\n' >/usr/share/packages
FROM gateway-system AS gateway-sbom
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends python3 >/dev/null
COPY deploy/images/sbom.py /sbom.py
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
RUN python3 /sbom.py gateway /usr/share/packages "${VERSION}" "${CREATED}"
FROM gateway-system AS gateway
ARG COMMIT=unknown
ARG VERSION=0.0.0
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="gateway" \
      org.opencontainers.image.description="HAProxy as Debian 12 has it, for Godwit's stacks" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}" \
      org.opencontainers.image.created="${CREATED}"
COPY deploy/images/gateway/haproxy.cfg /etc/haproxy/haproxy.cfg
COPY --from=gateway-sbom /usr/share/sbom/ /usr/share/sbom/
USER 65532:65532
WORKDIR /
EXPOSE 6767 6868
# Ends when what is open has ended; SIGTERM would cut it.
STOPSIGNAL SIGUSR1
HEALTHCHECK --interval=3s --timeout=3s --start-period=10s \
    CMD ["/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8404 && printf 'GET /health HTTP/1.0\\r\\n\\r\\n' >&3 && read -r line <&3 && [[ $line == *' 200 '* ]]"]
ENTRYPOINT ["/usr/sbin/haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
