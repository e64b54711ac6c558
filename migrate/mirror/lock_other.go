//go:build !unix

package mirror

import "os"

// lockFile cannot lock here; the checkpoint of a full round can.
func lockFile(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}
