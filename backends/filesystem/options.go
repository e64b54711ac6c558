package filesystem

import (
	"fmt"
	"io/fs"

	"github.com/regferry/regferry/backends"
)

// Options of writing; the zero value works.
type Options struct {
	FileMode fs.FileMode // of files; 0 means 0644, whatever the umask: the registry may run as another user
	DirMode  fs.FileMode // of directories; 0 means 0755
	Owner    *Owner      // nil: as root, the owner of the root directory, so that a volume prepared for a registry's user stays usable by it; as anybody else, whom the system takes
	Fsync    Fsync
}

// Owner of what is written, in numbers; -1 leaves that half to the default.
type Owner struct{ UID, GID int }

// Fsync is how files become durable.
type Fsync string

// The ways. See the package comment for what each costs.
const (
	FsyncAuto  Fsync = ""      // groups where the kernel and the file system are known to report errors of syncfs
	FsyncGroup Fsync = "group" // groups, whatever the file system; needs Linux
	FsyncEach  Fsync = "each"  // every file and its directory, before Put returns
)

func (o Options) withDefaults() (Options, error) {
	if o.FileMode == 0 {
		o.FileMode = 0o644
	}
	if o.DirMode == 0 {
		o.DirMode = 0o755
	}
	var text string
	switch {
	case o.FileMode&^0o777 != 0 || o.FileMode&0o400 == 0:
		text = fmt.Sprintf("file mode %#o: give permission bits with reading for the owner, such as 0644", uint32(o.FileMode))
	case o.DirMode&^0o777 != 0 || o.DirMode&0o700 != 0o700:
		text = fmt.Sprintf("directory mode %#o: give permission bits with all rights for the owner, such as 0755", uint32(o.DirMode))
	case o.Owner != nil && (o.Owner.UID < -1 || o.Owner.GID < -1):
		text = "an owner is a number, or -1 for the default"
	case o.Fsync != FsyncAuto && o.Fsync != FsyncGroup && o.Fsync != FsyncEach:
		text = fmt.Sprintf("fsync %q: give group, each, or nothing", string(o.Fsync))
	}
	if text != "" {
		return o, backends.Refuse(backends.Unsupported, text)
	}
	return o, nil
}
