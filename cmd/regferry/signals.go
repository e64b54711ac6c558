package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// patience is how long what is under way may take to finish after the first
// signal. A container platform kills after 30 seconds.
const patience = 20 * time.Second

// signals turns the first SIGINT or SIGTERM into a wish to stop and the second
// one, or the end of patience, into the end of the context.
type signals struct {
	ch    chan os.Signal
	stop  chan struct{} // closed by the first
	done  chan struct{} // closed by close
	first os.Signal     // to be read after stop is closed
}

func newSignals() *signals {
	s := &signals{ch: make(chan os.Signal, 2), stop: make(chan struct{}), done: make(chan struct{})}
	signal.Notify(s.ch, os.Interrupt, syscall.SIGTERM)
	return s
}

func (s *signals) close() {
	signal.Stop(s.ch)
	close(s.done)
}

// context returns one that ends with the second signal.
func (s *signals) context(parent context.Context) context.Context {
	ctx, cancel := context.WithCancel(parent)
	go func() {
		defer cancel()
		select {
		case s.first = <-s.ch:
		case <-s.done:
			return
		}
		fmt.Fprintf(os.Stderr, "\nregferry: %v: finishing what is under way; once more to stop at once\n", s.first)
		close(s.stop)
		t := time.NewTimer(patience)
		defer t.Stop()
		select {
		case <-s.ch:
		case <-t.C:
		case <-s.done:
		}
	}()
	return ctx
}

// code is 128 plus the number of the signal that came, 0 for none.
func (s *signals) code() int {
	select {
	case <-s.stop:
	default:
		return 0
	}
	if s.first == syscall.SIGTERM {
		return 143
	}
	return 130
}
