#!/bin/bash
# Makes examples/registry anew: the storage of a real registry (distribution
# 3.1.2) after crane has pushed real images to it. It holds
#
#   library/hello     1.1, latest           an index for linux/amd64 and linux/arm64
#                     1.1-amd64, 1.1-arm64  its images; both tags were moved once
#                     1.0                   a Docker manifest list
#   team/app/server   v1, v2                an image on the same base layer
#                     sha256-...            the SBOM of v2, found through its subject
#   team/app/config   stable                one small OCI image
#
# The same tools make the same digests.
set -euo pipefail
cd "$(dirname "$0")/.."
tools=${REGFERRY_TOOLS:-$HOME/.cache/regferry/bin}
addr=127.0.0.1:${1:-15077}
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT

cat >"$work/config.yml" <<YAML
version: 0.1
log: {level: error, accesslog: {disabled: true}}
storage: {filesystem: {rootdirectory: $work/tree}, maintenance: {uploadpurging: {enabled: false}}}
http: {addr: '$addr'}
YAML
OTEL_TRACES_EXPORTER=none "$tools/registry" serve "$work/config.yml" 2>"$work/log" &
server=$!
crane() { "$tools/crane" --insecure "$@" 2>>"$work/crane.log" || { tail -3 "$work/crane.log" >&2; return 1; }; }
for _ in $(seq 100); do
	kill -0 $server 2>/dev/null || { echo "the registry does not start:" >&2; cat "$work/log" >&2; exit 1; }
	crane catalog "$addr" >/dev/null 2>&1 && break
	sleep 0.1
done

# layer NAME makes NAME.tar of the directory NAME.
layer() { tar -C "$work/$1" --sort=name --mtime=@1700000000 --owner=0 --group=0 --numeric-owner -cf "$work/$1.tar" .; }

mkdir -p "$work"/{base/etc,base/tmp,server/etc/server,server2/etc/server,config/config}
printf 'NAME="Hello Linux"\nID=hello\nVERSION_ID=1\nPRETTY_NAME="Hello Linux 1"\n' >"$work/base/etc/os-release"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n' >"$work/base/etc/passwd"
printf 'listen: 0.0.0.0:8080\ngreeting: hello\n' >"$work/server/etc/server/server.yml"
printf 'listen: 0.0.0.0:8080\ngreeting: good morning\nworkers: 4\n' >"$work/server2/etc/server/server.yml"
printf '{"feature": {"greeting": true}}\n' >"$work/config/config/features.json"
for l in base server server2 config; do layer $l; done

# A program for each platform, and the index over both.
hello=$addr/library/hello
mkdir "$work/src"
printf 'package main\n\nfunc main() { println("Hello from a registry that moved.") }\n' >"$work/src/main.go"
for arch in amd64 arm64; do
	mkdir "$work/$arch"
	CGO_ENABLED=0 GOOS=linux GOARCH=$arch GOFLAGS='' go build -trimpath -ldflags='-s -w' -o "$work/$arch/hello" "$work/src/main.go"
	layer $arch
	crane append -f "$work/base.tar" -f "$work/$arch.tar" -t "$hello":1.1-$arch >/dev/null
	crane mutate "$hello":1.1-$arch --set-platform linux/$arch --entrypoint /hello -t "$hello":1.1-$arch >/dev/null # moves the tag
done
crane index append --docker-empty-base -m "$hello":1.1-amd64 -t "$hello":1.0 >/dev/null
crane index append -m "$hello":1.1-amd64 -m "$hello":1.1-arm64 -t "$hello":1.1 >/dev/null
crane tag "$hello":1.1 latest

# An image on the same base, in a repository two levels down.
app=$addr/team/app/server
crane append -f "$work/base.tar" -f "$work/amd64.tar" -f "$work/server.tar" -t "$app":v1 >/dev/null
crane append -b "$app":v1 -f "$work/server2.tar" -t "$app":v2 >/dev/null
crane append --oci-empty-base -f "$work/config.tar" -t "$addr"/team/app/config:stable >/dev/null

# An artifact about v2, as an OCI layout. The registry has no referrers API, so
# crane adds the tag sha256-..., which lists what refers to v2.
subject=$(crane digest "$app":v2)
size=$(crane manifest "$app":v2 | wc -c)
mkdir -p "$work/sbom/blobs/sha256"
blob() { # prints the digest and the size of standard input, now a blob of the layout
	cat >"$work/blob"
	local d; d=$(sha256sum "$work/blob"); d=${d%% *}
	mv "$work/blob" "$work/sbom/blobs/sha256/$d"
	printf '"digest":"sha256:%s","size":%d' "$d" "$(stat -c %s "$work/sbom/blobs/sha256/$d")"
}
config=$(printf '{}' | blob)
sbom=$(printf '{"spdxVersion":"SPDX-2.3","name":"team/app/server:v2","packages":[{"name":"hello","versionInfo":"1.1"}]}\n' | blob)
oci=application/vnd.oci
manifest=$(printf '{"schemaVersion":2,"mediaType":"%s.image.manifest.v1+json","artifactType":"application/spdx+json","config":{"mediaType":"%s.empty.v1+json",%s},"layers":[{"mediaType":"application/spdx+json",%s}],"subject":{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"%s","size":%d}}' \
	$oci $oci "$config" "$sbom" "$subject" "$size" | blob)
printf '{"imageLayoutVersion":"1.0.0"}' >"$work/sbom/oci-layout"
printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s.image.manifest.v1+json",%s}]}' $oci "$manifest" >"$work/sbom/index.json"
crane push "$work/sbom" "$app@$(grep -o 'sha256:[0-9a-f]*' <<<"$manifest")" >/dev/null

kill $server
wait $server || true
server=
find "$work/tree" -name _uploads -prune -exec rm -r {} +
find "$work/tree" -type d -exec chmod 755 {} + -o -type f -exec chmod 644 {} +
rm -rf examples/registry
mv "$work/tree" examples/registry
find examples/registry -type f | wc -l
du -sh --apparent-size examples/registry
