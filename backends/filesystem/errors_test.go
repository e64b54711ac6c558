package filesystem

import (
	"io/fs"
	"syscall"
	"testing"

	"github.com/regferry/regferry/backends"
)

// What a file system says whose server or program is away passes by itself.
func TestAwayIsTransient(t *testing.T) {
	for _, number := range []syscall.Errno{
		syscall.EIO, syscall.ESTALE, syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.EHOSTDOWN, syscall.ECONNRESET,
		syscall.ECONNABORTED, syscall.ECONNREFUSED, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.ENETDOWN,
	} {
		if class := classOf(&fs.PathError{Op: "open", Path: "x", Err: number}); class != backends.Transient {
			t.Errorf("%v is %v", number, class)
		}
	}
}
