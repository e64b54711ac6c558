package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/backends/location"
)

const configLong = `Print the configuration with which a registry uses a storage, with the steps
of the switch for its platform as comments. Secrets are references, never
values. Where the registry cannot read what is there, the command says so and
what to do instead. Nothing is opened.
` + locationHelp + `
Exit codes:
  0  printed
  2  wrong usage, or the platform cannot use that storage
`

const configExample = `  regferry config --for distribution 's3://images/registry?region=eu-central-1'
  regferry config --for msr 'azblob://images?accountname=myaccount'
  regferry config --for harbor gs://images/harbor
  regferry config --for distribution old-config.yml`

func newConfig() *cobra.Command {
	var s sides
	var platform string
	c := &cobra.Command{
		Use: "config --for PLATFORM LOCATION", Short: "Print the storage configuration to switch to, with the steps",
		Long: configLong, Example: configExample,
		Args: oneLocation("regferry config --for distribution /mnt/nfs/registry"),
		RunE: func(c *cobra.Command, args []string) error {
			if !slices.Contains(location.Platforms(), platform) {
				return usageError{fmt.Errorf("--for %q: say one of %s", platform, strings.Join(location.Platforms(), ", "))}
			}
			o := s.from
			o.RegistryVersion = s.to.RegistryVersion
			var b bytes.Buffer // all or nothing
			if err := o.Config(c.Context(), &b, args[0], platform); err != nil {
				return usageError{err}
			}
			_, err := io.Copy(c.OutOrStdout(), &b)
			return err
		},
	}
	f := c.Flags()
	f.StringVar(&platform, "for", "", "`PLATFORM`: "+strings.Join(location.Platforms(), ", "))
	s.add(f, true)
	s.addVersion(f)
	return c
}
