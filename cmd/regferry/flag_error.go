package main

import (
	"errors"
	"fmt"

	"github.com/spf13/pflag"
)

// flagError says in words what Go's parsers of plain values only name.
func flagError(err error) error {
	bad := (*pflag.InvalidValueError)(nil)
	if !errors.As(err, &bad) {
		return err
	}
	give := map[string]string{
		"bool":     "true or false",
		"duration": "a time with its unit, such as 30s, 5m or 24h",
		"int":      "a whole number",
		"int64":    "a whole number",
		"uint64":   "a whole number from 0 on",
	}[bad.GetFlag().Value.Type()]
	if give == "" {
		return err // the flag's own, which says it
	}
	return fmt.Errorf("--%s %q: give %s", bad.GetFlag().Name, bad.GetValue(), give)
}
