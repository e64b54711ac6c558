//go:build !linux

package filesystem

func devicePath(string) string { return "" }
