package main

import (
	"github.com/spf13/pflag"

	"github.com/regferry/regferry/backends/location"
)

// locationHelp says what a location is, for the help of each command.
const locationHelp = `
A LOCATION is a directory, a URL (file:///DIRECTORY, s3://BUCKET/PREFIX,
azblob://CONTAINER/PREFIX, gs://BUCKET/PREFIX, swift://CONTAINER/PREFIX,
oss://BUCKET/PREFIX, each with ?options), or a file in YAML that names the
storage: a registry's config.yml, the values of the charts of Mirantis Secure
Registry or Harbor, or MSR's custom resource. Credentials come from the
environment of each system's own tools, or from such a file.
`

// sides are what the flags say of how locations are read.
type sides struct{ from, to location.Opener }

// add defines the flags. only, for commands with one side, leaves out those of
// the other.
func (s *sides) add(f *pflag.FlagSet, only bool) {
	from := "from-"
	if only {
		from = ""
	}
	f.StringVar(&s.from.Mount, from+"mount", "", "`DIRECTORY` where a volume that a file names is mounted here (default /storage)")
	f.StringVar(&s.from.Secrets, from+"secrets", "", "`DIRECTORY` with the secrets that a file does not have: DIRECTORY/KEY or, of Kubernetes, DIRECTORY/SECRET/KEY")
	if only {
		return
	}
	f.StringVar(&s.to.Mount, "to-mount", "", "likewise, for the other side")
	f.StringVar(&s.to.Secrets, "to-secrets", "", "likewise, for the other side")
	s.addVersion(f)
}

func (s *sides) addVersion(f *pflag.FlagSet) {
	f.StringVar(&s.to.RegistryVersion, "registry-version", "", "`VERSION` of the registry that will read the destination, such as 2.8 or 3.1: Azure is written differently for each")
}

// notice has both sides tell what they do without.
func (s *sides) notice(tell func(string)) { s.from.Notice, s.to.Notice = tell, tell }
