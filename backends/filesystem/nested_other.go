//go:build !linux

package filesystem

func devicePath(string) string { return "" }

func mountCautions(string) []string { return nil }
