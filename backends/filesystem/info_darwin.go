package filesystem

import (
	"io/fs"
	"syscall"
)

func infoOf(st fs.FileInfo) info {
	i := info{size: st.Size(), mtime: st.ModTime(), mode: st.Mode(), uid: -1, gid: -1}
	if s, ok := st.Sys().(*syscall.Stat_t); ok {
		i.uid, i.gid, i.dev, i.ino = int(s.Uid), int(s.Gid), uint64(s.Dev), s.Ino
	}
	return i
}
