package backends_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/regferry/regferry/backends"
)

var classes = []backends.Class{
	backends.Unknown, backends.NotFound, backends.Denied, backends.Throttled, backends.Transient,
	backends.Full, backends.Corrupt, backends.Changed, backends.Unsupported,
}

func TestClassesMatchByErrorsIs(t *testing.T) {
	names := map[string]bool{}
	for _, c := range classes {
		err := fmt.Errorf("above: %w", &backends.Error{Op: "stat", Key: "k", Class: c, Err: io.ErrUnexpectedEOF})
		for _, other := range classes {
			if errors.Is(err, other) != (c == other) {
				t.Errorf("an error of class %v is %v: %v", c, other, errors.Is(err, other))
			}
		}
		for sentinel, of := range map[error]backends.Class{fs.ErrNotExist: backends.NotFound, fs.ErrPermission: backends.Denied, errors.ErrUnsupported: backends.Unsupported} {
			if errors.Is(err, sentinel) != (c == of) {
				t.Errorf("an error of class %v is %v: %v", c, sentinel, errors.Is(err, sentinel))
			}
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("class %v hides the cause", c)
		}
		if got := backends.ClassOf(err); got != c {
			t.Errorf("ClassOf = %v, want %v", got, c)
		}
		if names[c.Error()] || strings.HasPrefix(c.Error(), "class ") {
			t.Errorf("class %d has no name of its own: %q", c, c)
		}
		names[c.Error()] = true
	}
	if got := backends.Class(200).Error(); got != "class 200" {
		t.Errorf("a class of the future is %q", got)
	}
}

func TestRetryable(t *testing.T) {
	again := map[backends.Class]bool{backends.Unknown: true, backends.Throttled: true, backends.Transient: true, backends.Changed: true}
	for _, c := range classes {
		if c.Retryable() != again[c] {
			t.Errorf("%v: %v", c, c.Retryable())
		}
	}
}

func TestClassAndSide(t *testing.T) {
	read := &backends.Error{Side: backends.Source, Op: "read", Key: "k", Class: backends.Corrupt, Err: io.ErrUnexpectedEOF}
	bare := &backends.Error{Op: "put", Key: "k", Err: errors.New("cause")}
	full := &backends.Error{Op: "sync", Key: "b", Class: backends.Full}
	for _, c := range []struct {
		name  string
		err   error
		class backends.Class
		side  backends.Side
	}{
		{"nil", nil, backends.Unknown, ""},
		{"a stranger", io.EOF, backends.Unknown, ""},
		{"a context", context.Canceled, backends.Unknown, ""},
		{"plain", bare, backends.Unknown, ""},
		{"classified", read, backends.Corrupt, backends.Source},
		{"wrapped", fmt.Errorf("x: %w", read), backends.Corrupt, backends.Source},
		{"the outer class counts", &backends.Error{Op: "put", Class: backends.Transient, Err: read}, backends.Transient, backends.Source},
		{"an outer without class", &backends.Error{Op: "put", Err: read}, backends.Corrupt, backends.Source},
		{"the inner side counts", &backends.Error{Side: backends.Destination, Op: "put", Err: read}, backends.Corrupt, backends.Source},
		{"an outer side", &backends.Error{Side: backends.Destination, Op: "put", Err: bare}, backends.Unknown, backends.Destination},
		{"joined, first", errors.Join(read, bare), backends.Corrupt, backends.Source},
		{"joined, second", errors.Join(bare, read), backends.Corrupt, backends.Source},
		{"two causes", fmt.Errorf("%w while %w", bare, read), backends.Corrupt, backends.Source},
		{"a class by itself", fmt.Errorf("digest: %w", backends.Corrupt), backends.Corrupt, ""},
		{"a group", &backends.SyncError{Failed: []*backends.Error{bare, full}}, backends.Full, ""},
	} {
		if got := backends.ClassOf(c.err); got != c.class {
			t.Errorf("%s: class %v, want %v", c.name, got, c.class)
		}
		if got := backends.SideOf(c.err); got != c.side {
			t.Errorf("%s: side %q, want %q", c.name, got, c.side)
		}
	}
}

func TestAt(t *testing.T) {
	bare := &backends.Error{Op: "put", Key: "k", Class: backends.Full, Err: errors.New("cause")}
	source := &backends.Error{Side: backends.Source, Op: "read", Key: "k", Err: errors.New("cause")}
	group := &backends.SyncError{Failed: []*backends.Error{bare}}
	for _, c := range []struct {
		name string
		err  error
		want backends.Side
	}{
		{"plain", bare, backends.Destination},
		{"wrapped", fmt.Errorf("x: %w", bare), backends.Destination},
		{"named already", source, backends.Source},
		{"named inside", &backends.Error{Op: "put", Err: source}, backends.Source},
		{"named in a sibling", errors.Join(bare, source), backends.Source},
		{"a group", group, backends.Destination},
		{"a stranger", io.ErrUnexpectedEOF, backends.Destination},
		{"a context alone", context.Canceled, ""},
		{"a store's context", &backends.Error{Op: "put", Key: "k", Err: context.Canceled}, backends.Destination},
	} {
		got := backends.At(backends.Destination, c.err)
		if side := backends.SideOf(got); side != c.want {
			t.Errorf("%s: side %q, want %q", c.name, side, c.want)
		}
		if backends.ClassOf(got) != backends.ClassOf(c.err) {
			t.Errorf("%s: the class becomes %v", c.name, backends.ClassOf(got))
		}
		if errors.Is(c.err, context.Canceled) != errors.Is(got, context.Canceled) {
			t.Errorf("%s: the context is lost", c.name)
		}
	}
	if backends.At(backends.Source, nil) != nil {
		t.Error("nil becomes an error")
	}
	if bare.Side != "" {
		t.Error("At changed the error that it was given")
	}
	var y *backends.SyncError
	if !errors.As(backends.At(backends.Destination, group), &y) {
		t.Error("a group of keys is lost")
	}
}

// TestTimeoutsAreNoEnds: what net says of a dial that took too long is no
// context's end, also where it is said of one.
func TestTimeoutsAreNoEnds(t *testing.T) {
	_, late := (&net.Dialer{Deadline: time.Now().Add(-time.Second)}).Dial("tcp", "127.0.0.1:9")
	if !errors.Is(late, context.DeadlineExceeded) {
		t.Fatalf("%v is none that could be taken for one", late)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, cancelled := (&net.Dialer{}).DialContext(gone, "tcp", "127.0.0.1:9")
	for _, test := range []struct {
		err  error
		want bool
	}{
		{nil, false},
		{late, false},
		{errors.Join(late, errors.New("else")), false},
		{cancelled, true},
		{context.Canceled, true},
		{context.DeadlineExceeded, true},
		{fmt.Errorf("x: %w", errors.Join(late, fmt.Errorf("y: %w", context.DeadlineExceeded))), true},
	} {
		if got := backends.Ended(test.err); got != test.want {
			t.Errorf("%v: %v", test.err, got)
		}
		if _, own := backends.OwnClass(test.err); own != test.want {
			t.Errorf("%v has a class of its own: %v", test.err, own)
		}
		if side := backends.SideOf(backends.At(backends.Source, test.err)); test.err != nil && (side == "") != test.want {
			t.Errorf("%v is of the side %q", test.err, side)
		}
	}
}

func TestMessages(t *testing.T) {
	cause := errors.New("no room")
	for _, c := range []struct {
		err  error
		want string
	}{
		{&backends.Error{Op: "put", Key: "a/b", Class: backends.Full, Err: cause}, "put a/b: no room (full)"},
		{&backends.Error{Side: backends.Destination, Op: "put", Key: "a/b", Err: cause}, "destination: put a/b: no room"},
		{&backends.Error{Op: "stat", Key: "k", Class: backends.NotFound}, "stat k (not found)"},
		{
			&backends.Error{Side: backends.Destination, Op: "put", Key: "a", Class: backends.Full, Err: &backends.Error{Op: "put", Key: "a", Class: backends.Full, Err: cause}},
			"destination: put a: no room (full)",
		},
		{backends.At(backends.Destination, &backends.SyncError{Failed: []*backends.Error{{Op: "put", Key: "a", Class: backends.Full, Err: cause}, {}}}), "destination: put a: no room (full), and 1 more"},
		{&backends.Error{Op: "put", Key: "a", Err: &backends.Error{Op: "put", Key: "b", Err: cause}}, "put a: put b: no room"},
		{&backends.Error{Op: "sync", Err: cause}, "sync: no room"},
		{&backends.Error{Op: "stat", Key: "a\x1b[2J\n", Err: cause}, `stat "a\x1b[2J\n": no room`},
		{&backends.Error{Op: "stat", Key: "\xff", Err: cause}, `stat "\xff": no room`},
		{&backends.SyncError{Failed: []*backends.Error{{Op: "sync", Key: "a", Err: cause}}}, "sync a: no room"},
		{&backends.SyncError{Failed: []*backends.Error{{Op: "sync", Key: "a", Err: cause}, {Op: "sync", Key: "b"}, {}}}, "sync a: no room, and 2 more"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
}

func TestPrintable(t *testing.T) {
	for name, want := range map[string]string{
		"docker/registry/v2/x-1.y_z": "docker/registry/v2/x-1.y_z",
		"":                           "",
		"a b":                        `"a b"`,
		`a"b`:                        `"a\"b"`,
		`a\b`:                        `"a\\b"`,
		"é":                          `"\u00e9"`,
		"\u202egnp":                  `"\u202egnp"`,
		"\x7f":                       `"\x7f"`,
		"\xff":                       `"\xff"`,
	} {
		if got := backends.Printable(name); got != want {
			t.Errorf("%q is printed %s, want %s", name, got, want)
		}
	}
}
