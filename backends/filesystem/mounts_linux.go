package filesystem

import (
	"os"
	"slices"
	"strconv"
	"strings"
)

// mount is a line of proc_pid_mountinfo(5): id, parent, device, root, mount
// point, options, optional fields, "-", type, source, options of the file system.
type mount struct {
	device, root, point string
	kind                string   // nfs4, ext4, ...
	options             []string // of both
}

// mountOf is where a path is mounted; false if that cannot be told.
func mountOf(path string) (best mount, found bool) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return best, false
	}
	for line := range strings.Lines(string(data)) {
		m, ok := parseMount(line)
		// Of two mounts at one place the later one is seen.
		if ok && below(m.point, path) && len(m.point) >= len(best.point) {
			best, found = m, true
		}
	}
	return best, found
}

func parseMount(line string) (m mount, ok bool) {
	fields := strings.Fields(line)
	dash := slices.Index(fields, "-")
	if dash < 6 || len(fields) < dash+4 {
		return m, false
	}
	m = mount{device: fields[2], root: unescape(fields[3]), point: unescape(fields[4]), kind: fields[dash+1]}
	m.options = append(strings.Split(fields[5], ","), strings.Split(fields[dash+3], ",")...)
	return m, true
}

// devicePath turns a path into "device:/path on that device", so that all
// bind mounts of a directory have one name; empty if that cannot be told.
func devicePath(path string) string {
	m, ok := mountOf(path)
	if !ok {
		return ""
	}
	rest := path[len(strings.TrimSuffix(m.point, "/")):]
	return strings.TrimSuffix(m.device+":"+strings.TrimSuffix(m.root, "/")+rest, "/")
}

// mountCautions is what the mount of a directory makes a migration beware of.
func mountCautions(path string) (all []string) {
	m, ok := mountOf(path)
	if !ok {
		return nil
	}
	return m.cautions()
}

func (m mount) cautions() (all []string) {
	if strings.HasPrefix(m.kind, "nfs") && slices.Contains(m.options, "soft") {
		all = append(all, "it is mounted by NFS with the option soft: an outage of the server makes writes fail, which are said and tried again; mount it hard for a registry")
	}
	switch {
	case m.kind == "tmpfs" || m.kind == "ramfs":
		all = append(all, "it is a "+m.kind+", in memory: all of it is gone with the next boot")
	case m.kind == "overlay":
		all = append(all, "it is an overlay, as a container has for its root: all of it is gone with the container; mount a volume there")
	}
	return all
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
