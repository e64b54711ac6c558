//go:build !unix

package mirror

import "os"

func giveAway(*os.File) error { return nil }

func giveAwayAll(string) error { return nil }
