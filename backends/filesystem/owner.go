package filesystem

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// owner is what new files and directories get. What the system gives them by
// itself (umask, default ACL, the user) is found out once, with a probe, so
// that the usual file costs no extra system call.
type owner struct {
	fileMode, dirMode fs.FileMode
	uid, gid          int // -1: left alone
	chmodFile         bool
	chmodDir          bool
	chown             bool
	want              int  // the user whom all should belong to: who was asked for, or who has the root directory; -1: nobody knows
	got               info // of what was written
}

// newOwner takes the owner of the root directory where root did not say.
func newOwner(o Options, top info) (w owner, explicit bool) {
	w = owner{fileMode: o.FileMode, dirMode: o.DirMode, uid: -1, gid: -1}
	if o.Owner != nil {
		w.uid, w.gid = o.Owner.UID, o.Owner.GID
	}
	explicit = w.uid != -1 || w.gid != -1
	if w.want = w.uid; w.want == -1 {
		w.want = top.uid
	}
	if os.Geteuid() == 0 {
		if w.uid == -1 {
			w.uid = top.uid
		}
		if w.gid == -1 {
			w.gid = top.gid
		}
	}
	return w, explicit
}

// probe makes a file and a directory in scratch and compares. To give files
// away may be forbidden even to root, on NFS that squashes it: that is an
// error if it was asked for.
func (w *owner) probe(s *scratch, explicit bool) error {
	name := s.next()
	if err := s.dir.mkdir(name, w.dirMode); err != nil {
		return err
	}
	made, err := s.dir.lstat(name)
	if err != nil {
		return err
	}
	w.chmodDir = made.mode.Perm() != w.dirMode
	file := name + "/probe"
	f, err := s.dir.create(file, w.fileMode)
	if err != nil {
		return err
	}
	err = tellsCasesApart(s.dir.lstat, file) // first: such file systems may have no modes either
	if err == nil {
		err = w.probeFile(f, explicit)
	}
	if err == nil {
		err = w.directory(s.dir, name)
	}
	// Closed before it is removed: NFS keeps an open file under another name,
	// and the directory would not be empty.
	return errors.Join(err, f.Close(), s.dir.unlink(file), s.dir.rmdir(name))
}

// tellsCasesApart refuses where a file that was just made is also found by its
// name in capitals: a registry's tags v1 and V1 would be one.
func tellsCasesApart(lstat func(name string) (info, error), file string) error {
	_, err := lstat(parent(file) + "/" + strings.ToUpper(base(file)))
	switch {
	case err == nil:
		return errCasesAreOne
	case errors.Is(err, fs.ErrNotExist):
		return nil
	}
	return err
}

func (w *owner) probeFile(f *os.File, explicit bool) error {
	st, err := fileInfo(f)
	if err != nil {
		return err
	}
	w.chmodFile = st.mode.Perm() != w.fileMode
	w.chown = w.uid != -1 && w.uid != st.uid || w.gid != -1 && w.gid != st.gid
	err = w.file(f)
	if w.chown && !explicit && errors.Is(err, fs.ErrPermission) {
		w.chown = false
		err = w.file(f)
	}
	if err != nil {
		return err
	}
	w.got, err = fileInfo(f) // some file systems say that they gave it away, and did not
	return err
}

// caution is what to know where what is written belongs to another user than
// the root directory, top: the registry, which is likely to be that user, finds
// out with its first push. It is empty where that user may write all the same,
// by the modes, or being root, which only a server that squashes it holds back.
func (w owner) caution(top info) string {
	const group, all = 0o020, 0o002
	both := w.fileMode & w.dirMode
	switch {
	case w.want == -1 || w.got.uid == -1 || w.got.uid == w.want:
		return ""
	case w.want == 0 && os.Geteuid() != 0:
		return ""
	case both&all != 0, both&group != 0 && w.got.gid == top.gid:
		return ""
	}
	other := fmt.Sprintf("the directory to uid %d", w.want)
	if w.want != top.uid {
		other = fmt.Sprintf("although uid=%d was asked for", w.want)
	}
	return fmt.Sprintf("what is written here belongs to uid %d, %s: a registry that runs as another user than %d can read it and not push; run as the registry's user, or chown -R afterwards",
		w.got.uid, other, w.got.uid)
}

// file gives a new file its owner, then its mode.
func (w *owner) file(f *os.File) error {
	if w.chown {
		if err := f.Chown(w.uid, w.gid); err != nil {
			return err
		}
	}
	if w.chmodFile {
		return f.Chmod(w.fileMode)
	}
	return nil
}

// directory does the same and keeps the bit by which new files inside a
// directory take its group.
func (w *owner) directory(d dir, name string) error {
	if w.chown {
		if err := d.chown(name, w.uid, w.gid); err != nil {
			return err
		}
	}
	if !w.chmodDir {
		return nil
	}
	st, err := d.lstat(name)
	if err != nil {
		return err
	}
	return d.chmod(name, w.dirMode|st.mode&fs.ModeSetgid)
}
