//go:build !linux && !darwin

package filesystem

import "io/fs"

func infoOf(st fs.FileInfo) info {
	return info{size: st.Size(), mtime: st.ModTime(), mode: st.Mode(), uid: -1, gid: -1}
}
