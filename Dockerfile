# A static binary and the certificates of public authorities, nothing else; it runs as
# user 65532, which needs no name. The binary is the same byte for byte wherever
# it is built with the same Go (see make release); of the image's layers BuildKit
# says the same with
#
#   docker buildx build --build-arg VERSION=v1.2.3 --build-arg SOURCE_DATE_EPOCH=0 \
#     --output type=image,name=regferry,rewrite-timestamp=true .
#
# or simply: docker build -t regferry .
ARG GO_VERSION=1.26
FROM golang:${GO_VERSION} AS build
ARG VERSION=devel
WORKDIR /src
# Before the sources, so that a change of these downloads nothing again.
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN make release OUT=/regferry VERSION="$VERSION" && \
    mkdir -p /image/state /image/etc/ssl/certs && \
    cp /regferry /image/regferry && \
    cp /etc/ssl/certs/ca-certificates.crt /image/etc/ssl/certs/ && \
    chown 65532:65532 /image/state

FROM scratch
ARG VERSION=devel
LABEL org.opencontainers.image.title="regferry" \
      org.opencontainers.image.description="Moves the storage of a container registry, proves it, and keeps a second one equal" \
      org.opencontainers.image.source="https://github.com/regferry/regferry" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION"
COPY --from=build /image /
# Checkpoints are in /state/regferry unless --checkpoint or --state says otherwise:
# mount a volume there.
ENV XDG_STATE_HOME=/state
USER 65532:65532
ENTRYPOINT ["/regferry"]
