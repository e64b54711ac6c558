package main

import (
	"encoding/json"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/checkpoint"
)

func newCheckpoint() *cobra.Command {
	c := &cobra.Command{
		Use:   "checkpoint",
		Short: "Look at the checkpoint of a migration",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newCheckpointShow())
	return c
}

func newCheckpointShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:     "show FILE",
		Short:   "Say what a checkpoint holds, without changing it",
		Example: "  regferry checkpoint show /var/lib/regferry/prod.checkpoint",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, err := checkpoint.Show(args[0])
			if err != nil {
				return err
			}
			if !asJSON {
				return s.WriteText(c.OutOrStdout())
			}
			e := json.NewEncoder(c.OutOrStdout())
			e.SetIndent("", "  ")
			return e.Encode(s)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}
