package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/regferry/regferry/migrate/mirror"
)

// fresh is how long one look at the Source serves everybody.
const fresh = 300 * time.Millisecond

// looks is the Source as all clients see it: looked at once for all of them.
// The zero value with a source is ready.
type looks struct {
	source Source

	mu     sync.Mutex
	at     time.Time
	latest look
}

// look is a status, written as JSON.
type look struct {
	full  []byte
	brief []byte // without the lists
	lists uint64 // changes when the lists do
	keep  []byte // the lists, to see that
}

// lists are the parts of a pair that change seldom and may be long.
type lists struct {
	Name                          string
	Rounds, Behind, Found, Failed any
}

func (l *looks) look() (look, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.at.IsZero() && time.Since(l.at) < fresh {
		return l.latest, nil
	}
	next, err := l.take()
	if err != nil {
		return look{}, fmt.Errorf("the status cannot be written as JSON: %w", err)
	}
	l.at, l.latest = time.Now(), next
	return next, nil
}

func (l *looks) take() (next look, err error) {
	s := l.source.Status()
	if next.full, err = json.Marshal(s); err != nil {
		return look{}, err
	}
	pairs := make([]mirror.PairStatus, len(s.Pairs))
	long := make([]lists, len(s.Pairs))
	for i, p := range s.Pairs {
		long[i] = lists{p.Name, p.Rounds, p.Behind, p.Found, p.Failed}
		p.Rounds, p.Behind, p.Found, p.Failed = nil, nil, nil, nil
		pairs[i] = p
	}
	s.Pairs = pairs
	if next.brief, err = json.Marshal(s); err != nil {
		return look{}, err
	}
	if next.keep, err = json.Marshal(long); err != nil {
		return look{}, err
	}
	next.lists = l.latest.lists
	if next.lists == 0 || !bytes.Equal(next.keep, l.latest.keep) {
		next.lists++
	}
	return next, nil
}
