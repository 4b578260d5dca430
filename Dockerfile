# Leveret where RabbitMQ's image would stand: same ports, volume, configuration and variables (docker/entrypoint.sh).

FROM node:24-bookworm-slim AS build
WORKDIR /build
COPY package.json package-lock.json .npmrc tsconfig.json ./
RUN npm ci
COPY src src
RUN npx tsc && npm prune --omit=dev

FROM node:24-bookworm-slim
# The id that RabbitMQ's image has, so that a volume can be handed over.
RUN groupadd --gid 999 --system rabbitmq \
  && useradd --uid 999 --gid 999 --system --home-dir /var/lib/rabbitmq --create-home rabbitmq \
  && mkdir -p /etc/rabbitmq/conf.d \
  && chown rabbitmq /etc/rabbitmq \
  && printf '#!/bin/sh\nexec node /opt/leveret/dist/src/main.js "$@"\n' > /usr/local/bin/leveret \
  && chmod 755 /usr/local/bin/leveret
WORKDIR /opt/leveret
COPY --from=build /build/package.json ./
COPY --from=build /build/node_modules node_modules
COPY --from=build /build/dist/src dist/src
COPY docker/entrypoint.sh docker/
# rabbitmqctl and its like.
COPY docker/bin docker/bin
ENV NODE_ENV=production PATH=/opt/leveret/docker/bin:$PATH
USER rabbitmq
VOLUME /var/lib/rabbitmq
EXPOSE 5671 5672 15671 15672 15692
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["rabbitmq-diagnostics", "-q", "ping"]
ENTRYPOINT ["/opt/leveret/docker/entrypoint.sh"]
CMD ["leveret"]
