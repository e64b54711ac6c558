package migrate

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Timetable is how many bytes a second may be read from the source at which
// time of day. The zero value sets no limit.
type Timetable struct {
	text    string
	entries []entry // by time of day, ascending
}

type entry struct {
	from      time.Duration // since midnight, local time
	bandwidth int64         // 0: no limit
}

var errTimetable = errors.New("give a rate such as 50MiB, off for no limit, or times of day with rates: 08:00,50MiB 20:00,off")

// ParseTimetable reads the flag --bandwidth: one rate, or entries "HH:MM,RATE",
// each of which holds until the next, the last until the first of the next day.
func ParseTimetable(text string) (Timetable, error) {
	t := Timetable{text: strings.Join(strings.Fields(text), " ")}
	bad := func() (Timetable, error) { return Timetable{}, fmt.Errorf("%q: %w", text, errTimetable) }
	for field := range strings.FieldsSeq(text) {
		at, rate, timed := strings.Cut(field, ",")
		e := entry{}
		if timed {
			clock, err := time.Parse("15:04", at)
			if err != nil {
				return bad()
			}
			e.from = time.Duration(clock.Hour())*time.Hour + time.Duration(clock.Minute())*time.Minute
		} else {
			rate = at
		}
		var err error
		if e.bandwidth, err = parseRate(rate); err != nil || !timed && len(strings.Fields(text)) > 1 {
			return bad()
		}
		t.entries = append(t.entries, e)
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return cmp.Compare(a.from, b.from) })
	for i := range t.entries[min(1, len(t.entries)):] {
		if t.entries[i].from == t.entries[i+1].from {
			return bad()
		}
	}
	if len(t.entries) == 0 {
		return bad()
	}
	return t, nil
}

func parseRate(text string) (int64, error) {
	if text == "off" {
		return 0, nil
	}
	n, err := humanize.ParseBytes(strings.TrimSuffix(text, "/s"))
	if err != nil || n > math.MaxInt64 {
		return 0, errTimetable
	}
	return int64(n), nil
}

// At returns the bytes a second at a moment, 0 for no limit, and when that may
// change: the zero time for never.
func (t Timetable) At(now time.Time) (bandwidth int64, until time.Time) {
	if len(t.entries) == 0 {
		return 0, time.Time{}
	}
	if len(t.entries) == 1 {
		return t.entries[0].bandwidth, time.Time{}
	}
	day := func(days int, e entry) time.Time {
		minutes := int(e.from / time.Minute)
		return time.Date(now.Year(), now.Month(), now.Day()+days, minutes/60, minutes%60, 0, 0, now.Location())
	}
	holds := t.entries[len(t.entries)-1] // since yesterday
	for _, e := range t.entries {
		if begins := day(0, e); begins.After(now) {
			return holds.bandwidth, begins
		}
		holds = e
	}
	return holds.bandwidth, day(1, t.entries[0])
}

// String is what was parsed.
func (t *Timetable) String() string {
	if t.text == "" || t.text == "0" {
		return "0" // as flags know a default that need not be told
	}
	return t.text
}

// Set makes a flag of it.
func (t *Timetable) Set(text string) (err error) {
	*t, err = ParseTimetable(text)
	return err
}

// Type names the value in the help.
func (t *Timetable) Type() string { return "rate" }
