//go:build !linux

package main

import (
	"errors"
	"time"
)

// monotonic: systemd is nowhere but on Linux.
func monotonic() (time.Duration, error) { return 0, errors.ErrUnsupported }
