package hint

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/opencontainers/go-digest"
)

// event is what is used of an event of the registry.
type event struct {
	Action string `json:"action"`
	Target struct {
		Repository string        `json:"repository"`
		Tag        string        `json:"tag"`
		Digest     digest.Digest `json:"digest"`
	} `json:"target"`
}

// events is the registry's batch. It is read event by event, so that what the
// body makes in memory is bounded by MaxEvents and not by how small an event
// can be written.
type events struct{ hints []Hint }

// UnmarshalJSON gives errors that count events from 0.
func (e *events) UnmarshalJSON(data []byte) error {
	d := json.NewDecoder(bytes.NewReader(data))
	t, err := d.Token()
	if err != nil {
		return err
	}
	if t != json.Delim('[') {
		return fmt.Errorf("events: it is not an array")
	}
	seen := map[Hint]bool{}
	for i := 0; d.More(); i++ {
		if i == MaxEvents {
			return fmt.Errorf("%w: more than %d events", ErrTooLarge, MaxEvents)
		}
		var one event
		if err := d.Decode(&one); err != nil {
			return fmt.Errorf("events[%d]: %w", i, err)
		}
		h, ok, err := one.hint()
		if err != nil {
			return fmt.Errorf("events[%d].target.%w", i, err)
		}
		if ok && !seen[h] {
			seen[h] = true
			e.hints = append(e.hints, h)
		}
	}
	return nil
}

// hint is false for an action that changes nothing in the storage.
func (e event) hint() (Hint, bool, error) {
	switch e.Action {
	case Push, Mount, Delete:
	default:
		return Hint{}, false, nil
	}
	h := Hint{Repository: e.Target.Repository, Tag: e.Target.Tag, Digest: e.Target.Digest, Action: e.Action}
	return h, true, h.check()
}
