package filesystem

import (
	"os"
	"strconv"
	"strings"
)

// devicePath turns a path into "device:/path on that device", so that all
// bind mounts of a directory have one name; empty if that cannot be told.
// See proc_pid_mountinfo(5): id, parent, device, root, mount point, ...
func devicePath(path string) string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	best, result := "", ""
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		root, point := unescape(fields[3]), unescape(fields[4])
		// Of two mounts at one place the later one is seen.
		if below(point, path) && len(point) >= len(best) {
			rest := path[len(strings.TrimSuffix(point, "/")):]
			best, result = point, fields[2]+":"+strings.TrimSuffix(root, "/")+rest
		}
	}
	return strings.TrimSuffix(result, "/")
}

// unescape undoes the octal of spaces, tabs, line ends and backslashes.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
