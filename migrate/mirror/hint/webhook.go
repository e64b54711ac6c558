package hint

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/opencontainers/go-digest"
)

// webhookActions are the types of MSR after which storage may have changed.
var webhookActions = map[string]string{
	"TAG_PUSH":        Push,
	"TAG_DELETE":      Delete,
	"MANIFEST_PUSH":   Push,
	"MANIFEST_DELETE": Delete,
	"PROMOTION":       Push,
	"PUSH_MIRRORING":  Push,
	"POLL_MIRRORING":  Push,
}

// webhook reads the one event of MSR. A type that names no repository gives no
// hint; only a push or a deletion has to name one.
func (e envelope) webhook() ([]Hint, error) {
	action, ok := webhookActions[e.Type]
	if !ok {
		return nil, nil
	}
	var c struct {
		Namespace  string        `json:"namespace"`
		Repository string        `json:"repository"`
		Tag        string        `json:"tag"`
		Digest     digest.Digest `json:"digest"`
	}
	if len(e.Contents) > 0 {
		if err := json.Unmarshal(e.Contents, &c); err != nil {
			return nil, fmt.Errorf("contents of %s: %w", e.Type, err)
		}
	}
	name := c.Repository
	switch {
	case c.Namespace != "" && c.Repository != "":
		name = c.Namespace + "/" + c.Repository
	case strings.Contains(c.Repository, "/"): // the whole name
	case !strings.HasPrefix(e.Type, "TAG_") && !strings.HasPrefix(e.Type, "MANIFEST_"):
		return nil, nil
	default:
		return nil, fmt.Errorf("contents of %s: namespace %s and repository %s name no repository", e.Type, quoted(c.Namespace), quoted(c.Repository))
	}
	h := Hint{Repository: name, Tag: c.Tag, Digest: c.Digest, Action: action}
	if err := h.check(); err != nil {
		return nil, fmt.Errorf("contents of %s: %w", e.Type, err)
	}
	return []Hint{h}, nil
}
