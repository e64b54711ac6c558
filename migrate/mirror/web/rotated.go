package web

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
)

// rotated is what files hold that somebody replaces from time to time. Looking
// when it is needed was preferred to watching: it costs a stat, works on every
// file system, and with the symlinks of a Kubernetes secret.
type rotated[T any] struct {
	files []string
	read  func() (T, error)
	log   *slog.Logger

	mu    sync.Mutex
	seen  []fs.FileInfo
	value T
}

// openRotated fails where the files cannot be read now.
func openRotated[T any](log *slog.Logger, read func() (T, error), files ...string) (*rotated[T], error) {
	r := &rotated[T]{files: files, read: read, log: log}
	r.seen = r.stat()
	var err error
	r.value, err = read()
	return r, err
}

// get reads the files again if they changed. What cannot be used leaves the old
// value in place, and is logged once.
func (r *rotated[T]) get() T {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.stat()
	if same(r.seen, now) {
		return r.value
	}
	r.seen = now
	v, err := r.read()
	if err != nil {
		r.log.Warn("the new files cannot be used, the old ones still are", "files", strings.Join(r.files, " "), "error", err)
		return r.value
	}
	r.log.Info("files were read again", "files", strings.Join(r.files, " "))
	r.value = v
	return v
}

// stat has a nil for a file that is not there.
func (r *rotated[T]) stat() []fs.FileInfo {
	infos := make([]fs.FileInfo, len(r.files))
	for i, f := range r.files {
		if info, err := os.Stat(f); err == nil {
			infos[i] = info
		}
	}
	return infos
}

func same(a, b []fs.FileInfo) bool {
	for i := range a {
		if a[i] == nil || b[i] == nil {
			if a[i] != b[i] {
				return false
			}
			continue
		}
		if !os.SameFile(a[i], b[i]) || a[i].Size() != b[i].Size() || !a[i].ModTime().Equal(b[i].ModTime()) {
			return false
		}
	}
	return true
}

// openFiles reads the token and the certificate, where there are such.
func openFiles(o Options) (token *rotated[string], cert *rotated[tls.Certificate], err error) {
	if o.TokenFile != "" {
		if token, err = openRotated(o.Log, func() (string, error) { return readToken(o.TokenFile) }, o.TokenFile); err != nil {
			return nil, nil, err
		}
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, nil, fmt.Errorf("TLS needs a certificate and its key; only one of the two files is given")
	}
	if o.CertFile != "" {
		read := func() (tls.Certificate, error) { return tls.LoadX509KeyPair(o.CertFile, o.KeyFile) }
		if cert, err = openRotated(o.Log, read, o.CertFile, o.KeyFile); err != nil {
			return nil, nil, fmt.Errorf("the TLS certificate and key: %w", err)
		}
	}
	return token, cert, nil
}

// readToken returns the token without the line end that editors leave.
func readToken(file string) (string, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("the token of notifications: %w", err)
	}
	token := strings.TrimSpace(string(data))
	if token == "" {
		return "", fmt.Errorf("the token of notifications: %s is empty; write one into it", file)
	}
	return token, nil
}
