package migrate

import (
	"testing"
	"time"
)

func TestTimetable(t *testing.T) {
	at := func(clock string) time.Time {
		x, err := time.ParseInLocation("2006-01-02 15:04", "2026-03-10 "+clock, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct {
		text, now string
		want      int64
		until     time.Time
	}{
		{"50MiB", "03:00", 50 << 20, time.Time{}},
		{"off", "03:00", 0, time.Time{}},
		{"0", "03:00", 0, time.Time{}},
		{"08:00,50MiB 20:00,off", "07:59", 0, at("08:00")},
		{"08:00,50MiB 20:00,off", "08:00", 50 << 20, at("20:00")},
		{"20:00,off 08:00,50MiB", "19:59", 50 << 20, at("20:00")},
		{"08:00,50MiB 20:00,off", "23:00", 0, at("08:00").AddDate(0, 0, 1)},
		{"08:00,1MB/s", "01:00", 1e6, time.Time{}},
	} {
		tt, err := ParseTimetable(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, until := tt.At(at(c.now))
		if got != c.want || !until.Equal(c.until) {
			t.Errorf("%s at %s: %d until %v, want %d until %v", c.text, c.now, got, until, c.want, c.until)
		}
	}
	for _, bad := range []string{"", "x", "08:00", "25:00,1MiB", "08:00,1MiB 08:00,off", "1MiB 2MiB", "08:00,-1", "08:00,1MiB off"} {
		if _, err := ParseTimetable(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

// When the clocks change, the wall clock's hour counts.
func TestTimetableInSummer(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Skip(err)
	}
	tt, err := ParseTimetable("08:00,50MiB 20:00,off")
	if err != nil {
		t.Fatal(err)
	}
	_, until := tt.At(time.Date(2026, 3, 28, 21, 0, 0, 0, zone)) // the night before
	if until.Hour() != 8 || until.Day() != 29 {
		t.Error(until)
	}
}

func FuzzTimetable(f *testing.F) {
	f.Add("08:00,50MiB 20:00,off")
	f.Fuzz(func(t *testing.T, text string) {
		tt, err := ParseTimetable(text)
		if err != nil {
			return
		}
		now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
		n, until := tt.At(now)
		if n < 0 || !until.IsZero() && !until.After(now) {
			t.Errorf("%q: %d until %v", text, n, until)
		}
	})
}
