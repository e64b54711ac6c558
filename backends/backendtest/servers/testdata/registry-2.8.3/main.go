// Command registry-2.8.3 is Docker Distribution 2.8.3, the last release with
// the drivers of Alibaba OSS and of OpenStack Swift. Its own main leaves out
// OSS unless a tag is set, and cannot be installed from its module, which is
// older than Go's versions of modules.
//
// In this folder: go build -tags include_oss -o registry-2.8.3 .
package main

import (
	"os"

	"github.com/docker/distribution/registry"
	_ "github.com/docker/distribution/registry/auth/htpasswd"
	_ "github.com/docker/distribution/registry/auth/token"
	_ "github.com/docker/distribution/registry/storage/driver/azure"
	_ "github.com/docker/distribution/registry/storage/driver/filesystem"
	_ "github.com/docker/distribution/registry/storage/driver/inmemory"
	_ "github.com/docker/distribution/registry/storage/driver/oss"
	_ "github.com/docker/distribution/registry/storage/driver/s3-aws"
	_ "github.com/docker/distribution/registry/storage/driver/swift"
)

func main() {
	if registry.RootCmd.Execute() != nil {
		os.Exit(1)
	}
}
