package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newRoot(sig *signals, code *int) *cobra.Command {
	root := &cobra.Command{
		Use:   "regferry",
		Short: "Move the storage of a container registry",
		Long: `regferry moves the storage of a container registry (Docker Distribution, Mirantis
Secure Registry, Harbor, GitLab) from one place to another, blob by blob, each
proved against the digest in its name, while the registry may go on running.
` + exitHelp,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       version(),
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetVersionTemplate(versionLine())
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see %s --help", flagError(err), c.CommandPath())}
	})
	root.AddCommand(newMigrate(sig, code), newMirror(sig, code), newVerify(sig, code), newInspect(sig, code), newPreflight(code), newConfig(), newCheckpoint(), newVersion())
	for _, c := range root.Commands() {
		wrapArgs(c)
	}
	return root
}

// wrapArgs makes wrong arguments wrong usage, exit code 2.
func wrapArgs(c *cobra.Command) {
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
	check := c.Args
	if check == nil {
		return
	}
	c.Args = func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{fmt.Errorf("%w; see %s --help", err, c.CommandPath())}
		}
		return nil
	}
}
