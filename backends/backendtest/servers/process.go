package servers

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// process is a program that runs until it is stopped.
type process struct {
	os   *os.Process
	done chan struct{} // closed when it is gone
}

// begin starts a program and waits for its end in a goroutine that keeps its
// thread: the kernel sends the death signal of a child when the thread that
// made it ends, not the process.
func begin(cmd *exec.Cmd) (*process, error) {
	cmd.SysProcAttr = dieWithParent()
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		p.os = cmd.Process
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	return p, <-started
}

// stop ends it and waits for its end. A second stop does nothing.
func (p *process) stop() {
	_ = p.os.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(5 * time.Second):
		_ = p.os.Kill()
		<-p.done
	}
}

// ended says whether it is gone.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}
