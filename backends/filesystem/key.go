package filesystem

import (
	"io/fs"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// scratchName is the directory of unfinished work, beside docker/. It has to
// be on the same file system as the keys, or nothing could be renamed.
const scratchName = ".regferry"

// checkKey refuses what is no plain path below the root. It is laxer than
// fs.ValidPath: a name that is not UTF-8 is listed, so it can be read.
func checkKey(key string) error {
	if key == "" || strings.IndexByte(key, 0) >= 0 {
		return backends.Refuse(backends.Unsupported, "not a key: empty, or with a zero byte")
	}
	for part := range strings.SplitSeq(key, "/") {
		if part == "" || part == "." || part == ".." {
			return backends.Refuse(backends.Unsupported, `not a key: a component is empty, "." or ".."`)
		}
	}
	if runtime.GOOS == "windows" && (strings.Contains(key, `\`) || !filepath.IsLocal(key)) {
		return backends.Refuse(backends.Unsupported, "Windows gives this name another meaning")
	}
	if ours(key) {
		return backends.Refuse(backends.Unsupported, "the name is kept for unfinished work")
	}
	return nil
}

// ours says whether key is, or is inside, what this package makes in scratch.
// Other names there are free: a lease is one.
func ours(key string) bool {
	rest, ok := strings.CutPrefix(key, scratchName+"/")
	if !ok {
		return key == scratchName
	}
	name, _, _ := strings.Cut(rest, "/")
	return name == partialName || name == lockName || strings.HasPrefix(name, ownPrefix)
}

// regular returns nil for the mode of a regular file. A directory is no
// object, as in a bucket; of all else the error says what it is.
func regular(mode fs.FileMode) error {
	var kind string
	switch {
	case mode.IsRegular():
		return nil
	case mode.IsDir():
		return syscall.ENOENT
	case mode&fs.ModeSymlink != 0:
		kind = "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		kind = "a named pipe"
	case mode&fs.ModeSocket != 0:
		kind = "a socket"
	case mode&fs.ModeDevice != 0:
		kind = "a device"
	default:
		kind = "no regular file"
	}
	return backends.Refuse(backends.Unsupported, "it is "+kind+", which no registry writes: remove it, or put a file in its place")
}

// parent is path.Dir for a key that was checked.
func parent(key string) string {
	if i := strings.LastIndexByte(key, '/'); i >= 0 {
		return key[:i]
	}
	return "."
}

func base(key string) string { return path.Base(key) }
