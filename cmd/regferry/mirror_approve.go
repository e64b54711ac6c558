package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/regferry/regferry/migrate/mirror"
)

const approveLong = `Show a plan of deletions that a mirror refused, and let it through.

Without --plan it only shows. With the ID that it showed, the next full round of
the mirror, which may be running, deletes what is still due of the plan, once.
Nothing is deleted that the source has again.

Exit codes:
  0  shown, or let through
  2  wrong usage
  5  there is no such plan any more, or it cannot be let through
  6  the mirror's state cannot be read
`

// approval is what the flags of mirror approve say.
type approval struct {
	mirrors
	plan string
	all  bool
}

func newApprove() *cobra.Command {
	var a approval
	c := &cobra.Command{
		Use: "approve --from LOCATION --to LOCATION | --config FILE | --state DIRECTORY", Short: "Show a refused plan of deletions, and let it through",
		Long: approveLong, Args: locationsAreFlags,
		Example: "  regferry mirror approve --from /var/lib/registry --to s3://images/registry\n" +
			"  regferry mirror approve --state /var/lib/regferry/mirror --plan 5f2b8c7a9d10",
		RunE: func(c *cobra.Command, _ []string) error { return a.run(c.OutOrStdout()) },
	}
	f := c.Flags()
	p := &a.one
	f.StringVar(&a.config, "config", "", "`FILE` with the mirrors")
	f.StringVar(&p.from, "from", "", "the source of the mirror")
	f.StringVar(&p.to, "to", "", "its destination")
	p.at.add(f, false)
	f.StringVar(&p.state, "state", "", "`DIRECTORY` of what the mirror remembers, as it was given to it")
	f.StringVar(&a.plan, "plan", "", "`ID` of the plan to let through")
	f.BoolVar(&a.all, "all", false, "show each object of a plan, not the first ones only")
	return c
}

// dirs are the directories of the states.
func (a *approval) dirs() ([]string, error) {
	pairs := []*pairFlags{&a.one}
	if a.config != "" {
		var err error
		if pairs, err = a.readConfig(a.config, nil); err != nil {
			return nil, err
		}
	} else if a.one.state == "" {
		if err := checkSides("mirror approve", a.one.from, a.one.to); err != nil {
			return nil, err
		}
	}
	var dirs []string
	for _, p := range pairs {
		dir, err := p.stateOf()
		if err != nil {
			return nil, err
		}
		dirs = append(dirs, dir)
	}
	return dirs, nil
}

func (a *approval) run(out io.Writer) error {
	dirs, err := a.dirs()
	if err != nil {
		return err
	}
	if a.plan != "" {
		return a.approve(out, dirs)
	}
	for _, dir := range dirs {
		plan, found, err := mirror.WaitingPlan(dir)
		if err != nil {
			return err
		}
		text := fmt.Sprintf("no plan waits in %s\n", dir)
		if found {
			most := 40
			if a.all {
				most = len(plan.Keys)
			}
			way := fmt.Sprintf("to let it through: %s --plan %s", plan.Command, plan.ID)
			if plan.Command == "" {
				way = "nothing lets it through"
			}
			text = plan.Text(most) + way + "\n"
		}
		if _, err := io.WriteString(out, text); err != nil {
			return err
		}
	}
	return nil
}

// approve lets the plan through that has the ID, in whichever directory.
func (a *approval) approve(out io.Writer, dirs []string) error {
	var errs []error
	for _, dir := range dirs {
		err := mirror.Approve(dir, a.plan)
		if err == nil {
			_, err = fmt.Fprintf(out, "plan %s is let through: the next full round deletes what is still due of it\n", a.plan)
			return err
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
