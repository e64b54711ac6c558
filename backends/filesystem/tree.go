package filesystem

import (
	"io/fs"
	"slices"
	"strings"
	"time"
)

// info is what lstat says, the same on each system; uid and gid are -1 where
// there is no owner to ask for.
type info struct {
	size     int64
	mtime    time.Time
	mode     fs.FileMode
	uid, gid int
	dev, ino uint64
}

type kind uint8

const (
	isFile kind = iota
	isDir
	isLink
	isOther
)

func (i info) kind() kind {
	switch {
	case i.mode.IsRegular():
		return isFile
	case i.mode.IsDir():
		return isDir
	case i.mode&fs.ModeSymlink != 0:
		return isLink
	}
	return isOther
}

// entry is a name in a directory; a directory's name ends in "/", so that
// names compare as the keys do.
type entry struct {
	name string
	kind kind
}

// inOrder sorts what is in a directory, and drops what was given twice: NFS and
// others do that when names come and go while a directory is read.
func inOrder(list []entry) []entry {
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return slices.CompactFunc(list, func(a, b entry) bool { return a.name == b.name })
}

// hasOther says whether there is anything beside name. What NFS keeps of a file
// that was removed while it was open does not count: it goes by itself.
func hasOther(list []entry, name string) bool {
	for _, e := range list {
		if n := strings.TrimSuffix(e.name, "/"); n != name && !strings.HasPrefix(n, ".nfs") {
			return true
		}
	}
	return false
}
