package s3

import "context"

// question is asked of the service once, by whoever needs the answer first; the
// others wait. It holds a token while somebody asks.
type question struct {
	asking   chan struct{}
	answered bool
}

func newQuestion() question { return question{asking: make(chan struct{}, 1)} }

// ask leaves it open where answer fails.
func (q *question) ask(ctx context.Context, answer func() error) error {
	select {
	case q.asking <- struct{}{}:
		defer func() { <-q.asking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if q.answered {
		return nil
	}
	err := answer()
	q.answered = err == nil
	return err
}
