package hint

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
)

// Hint says that something in a repository may have changed.
type Hint struct {
	Repository string
	Tag        string        // "" where the notification names none
	Digest     digest.Digest // of a manifest or blob, "" where it names none
	Action     string        // push, mount, delete
}

// The actions.
const (
	Push   = "push"
	Mount  = "mount"
	Delete = "delete"
)

// MaxEvents is how many events a body may hold. A registry sends one at a time.
const MaxEvents = 10_000

var (
	// ErrTooLarge is a body over the limit, in bytes or events.
	ErrTooLarge = errors.New("the notification is too large")
	// ErrType is a Content-Type that no registry sends.
	ErrType = errors.New("the Content-Type is not that of a notification")
)

// contentTypes are those of Distribution 2.x, of 3.x, and of MSR.
var contentTypes = []string{
	"application/vnd.docker.distribution.events.v1+json",
	"application/vnd.docker.distribution.events.v2+json",
	"application/json",
}

// Parse reads a body of at most limit bytes, as it came with a Content-Type.
// It returns each hint once, in the order of the body. Other errors than
// ErrTooLarge, ErrType and those of body say what is wrong in the body, and
// where.
func Parse(contentType string, body io.Reader, limit int64) ([]Hint, error) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) || !slices.Contains(contentTypes, mediaType) {
		return nil, fmt.Errorf("%w: %q; want one of %s", ErrType, shorten(contentType), strings.Join(contentTypes, ", "))
	}
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading the notification: %w", err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	var e envelope
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("the notification is not what a registry sends: %w", err)
	}
	switch {
	case e.Events != nil:
		return e.Events.hints, nil
	case e.Type != "" && mediaType == "application/json":
		return e.webhook()
	}
	return nil, errors.New(`the notification has neither "events", as the registry's have, nor "type", as MSR's have`)
}

// envelope is either of the two forms.
type envelope struct {
	Events *events `json:"events"`

	Type     string          `json:"type"`
	Contents json.RawMessage `json:"contents"`
}

// quoted is a name from a notification, fit for a line of an error.
func quoted(s string) string { return fmt.Sprintf("%+q", shorten(s)) }

func shorten(s string) string {
	const most = 100
	if len(s) <= most {
		return s
	}
	return s[:most] + "..."
}
