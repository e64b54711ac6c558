package checkpoint

import (
	"fmt"
	"path/filepath"
	"syscall"

	"github.com/regferry/regferry/backends"
)

// From linux/magic.h and the sources of the file systems, as statfs(2) lists them.
var networks = map[uint32]string{
	0x6969:     "NFS",
	0xFF534D42: "CIFS",
	0xFE534D42: "SMB",
	0x517B:     "SMB",
	0x01021997: "9P",
	0x00C36400: "Ceph",
	0x5346414F: "AFS",
	0x65735546: "FUSE",
}

// Caution returns what an operator should know about keeping a checkpoint at
// path, "" if nothing: on a network file system a memory map may show old
// bytes, and the lock may not hold against another machine.
func Caution(path string) string {
	var st syscall.Statfs_t
	if syscall.Statfs(filepath.Dir(path), &st) != nil {
		return ""
	}
	name, network := networks[uint32(st.Type)]
	if !network {
		return ""
	}
	return fmt.Sprintf("the checkpoint %s is on %s, where a memory-mapped file may show old bytes and a lock may not keep another machine out: keep it on a local disk, with --checkpoint",
		backends.Printable(path), name)
}
