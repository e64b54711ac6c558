//go:build !linux

package checkpoint

// Caution is only known for Linux.
func Caution(string) string { return "" }
