package meter_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/regferry/regferry/backends"
	"github.com/regferry/regferry/migrate/mirror"
	"github.com/regferry/regferry/migrate/mirror/meter"
)

var begin = time.Date(2026, 11, 30, 6, 0, 0, 0, time.UTC)

// busy is a status in which every figure is there.
func busy() mirror.Status {
	return mirror.Status{Version: "v1", Pairs: []mirror.PairStatus{{
		Name: "eu", State: mirror.Running, Lag: 12.5, LastRound: begin, Hints: 3, HintsLost: 4, Deleted: 5,
		Refused: &mirror.Plan{Objects: 6}, Behind: []string{"a", "b"}, Now: &mirror.Progress{Kind: "tags", Started: begin},
		Rounds: []mirror.Round{
			{Number: 3, Kind: "tags", Seconds: 2, Complete: true, Tags: 1, Undone: 0},
			{Number: 2, Kind: "full", Seconds: 60, Complete: true, Blobs: 10, Bytes: 1000, Links: 20, Tags: 2, Damage: 7, Absences: 8, Proved: 9, Deleted: 5},
			{Number: 1, Kind: "full", Seconds: 1, Error: "no route to host", Undone: 3},
		},
	}}}
}

var line = regexp.MustCompile(`(?m)^//\t(regferry_\w+) (gauge|counter) ([\w,]+): \S`)

// The list in doc.go is what /metrics shows, no more and no less.
func TestDocumented(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{}
	for _, m := range line.FindAllStringSubmatch(string(doc), -1) {
		labels := strings.Split(m[3], ",")
		slices.Sort(labels)
		documented[m[1]] = m[2] + " " + strings.Join(labels, ",")
	}
	m := meter.New()
	if _, err := m.Write(open(t, t.TempDir()), "eu", backends.Destination).Stat(t.Context(), "k"); err == nil {
		t.Error("there is an object")
	}
	m.Retried("eu", backends.Full)
	families, err := meter.Registry(m, busy).Gather()
	if err != nil {
		t.Fatal(err)
	}
	var runtime, process bool
	for _, f := range families {
		name := f.GetName()
		runtime = runtime || strings.HasPrefix(name, "go_")
		process = process || strings.HasPrefix(name, "process_")
		if !strings.HasPrefix(name, "regferry_") {
			continue
		}
		if got := strings.ToLower(f.GetType().String()) + " " + strings.Join(labels(f.GetMetric()[0].GetLabel()), ","); got != documented[name] {
			t.Errorf("%s is %q; doc.go says %q", name, got, documented[name])
		}
		delete(documented, name)
	}
	for name := range documented {
		t.Errorf("%s is in doc.go and is not exposed", name)
	}
	if !runtime || !process {
		t.Errorf("go_*: %v, process_*: %v", runtime, process)
	}
	problems, err := testutil.GatherAndLint(meter.Registry(m, busy))
	if err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

func labels[L interface{ GetName() string }](pairs []L) []string {
	var names []string
	for _, l := range pairs {
		names = append(names, l.GetName())
	}
	slices.Sort(names)
	return names
}

// Only these labels, so that no name from a store makes a series.
func TestLabels(t *testing.T) {
	families, err := meter.Registry(meter.New(), busy).Gather()
	if err != nil {
		t.Fatal(err)
	}
	allowed := []string{"pair", "side", "op", "class", "kind", "phase", "result", "version", "goversion"}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range labels(m.GetLabel()) {
				if strings.HasPrefix(f.GetName(), "regferry_") && !slices.Contains(allowed, l) {
					t.Errorf("%s has the label %s", f.GetName(), l)
				}
			}
		}
	}
}

func TestFigures(t *testing.T) {
	want := `
# HELP regferry_deletions_planned Objects of the destination that the source did not have in the last complete full round.
# TYPE regferry_deletions_planned gauge
regferry_deletions_planned{pair="eu"} 8
# HELP regferry_deletions_refused Objects in the plan of deletions that a guard refused and nobody approved; 0 for none.
# TYPE regferry_deletions_refused gauge
regferry_deletions_refused{pair="eu"} 6
# HELP regferry_lag_seconds Since when the destination may lack something.
# TYPE regferry_lag_seconds gauge
regferry_lag_seconds{pair="eu"} 12.5
# HELP regferry_last_complete_round_timestamp_seconds When the last complete round ended.
# TYPE regferry_last_complete_round_timestamp_seconds gauge
regferry_last_complete_round_timestamp_seconds{pair="eu"} 1.7960184e+09
# HELP regferry_leader Whether this process holds the lease of the destination.
# TYPE regferry_leader gauge
regferry_leader{pair="eu"} 1
# HELP regferry_source_damage Damage at the source in the last full round that went to its end.
# TYPE regferry_source_damage gauge
regferry_source_damage{pair="eu"} 7
# HELP regferry_undone_objects Objects that the last round, of any kind, left undone.
# TYPE regferry_undone_objects gauge
regferry_undone_objects{pair="eu"} 0
`
	if err := testutil.CollectAndCompare(meter.Status(busy), strings.NewReader(want), "regferry_deletions_planned", "regferry_deletions_refused",
		"regferry_lag_seconds", "regferry_last_complete_round_timestamp_seconds", "regferry_leader", "regferry_source_damage", "regferry_undone_objects"); err != nil {
		t.Error(err)
	}
}

// Before the first round there is nothing to tell of it.
func TestUnknownIsAbsent(t *testing.T) {
	young := func() mirror.Status {
		return mirror.Status{Pairs: []mirror.PairStatus{{Name: "eu", State: mirror.Standby, Lag: -1}}}
	}
	for _, name := range []string{"regferry_lag_seconds", "regferry_last_complete_round_timestamp_seconds", "regferry_deletions_planned", "regferry_undone_objects"} {
		if n := testutil.CollectAndCount(meter.Status(young), name); n != 0 {
			t.Errorf("%s is there", name)
		}
	}
	want := `
# HELP regferry_leader Whether this process holds the lease of the destination.
# TYPE regferry_leader gauge
regferry_leader{pair="eu"} 0
# HELP regferry_standby Whether another mirror holds the lease of the destination.
# TYPE regferry_standby gauge
regferry_standby{pair="eu"} 1
`
	if err := testutil.CollectAndCompare(meter.Status(young), strings.NewReader(want), "regferry_leader", "regferry_standby"); err != nil {
		t.Error(err)
	}
}

// Damage shows though something cannot be transferred.
func TestDamageOfIncomplete(t *testing.T) {
	status := func() mirror.Status {
		return mirror.Status{Pairs: []mirror.PairStatus{{Name: "eu", Rounds: []mirror.Round{{Number: 2, Kind: "full", Error: "gone"}, {Number: 1, Kind: "full", Undone: 1, Damage: 3}}}}}
	}
	want := `
# HELP regferry_source_damage Damage at the source in the last full round that went to its end.
# TYPE regferry_source_damage gauge
regferry_source_damage{pair="eu"} 3
`
	if err := testutil.CollectAndCompare(meter.Status(status), strings.NewReader(want), "regferry_source_damage"); err != nil {
		t.Error(err)
	}
}

// A round is counted once, however often its status is looked at.
func TestRoundsAreCountedOnce(t *testing.T) {
	s := busy()
	c := meter.Status(func() mirror.Status { return s })
	for range 3 {
		testutil.CollectAndCount(c)
	}
	s.Pairs[0].Rounds = append([]mirror.Round{{Number: 4, Kind: "surprise", Blobs: 1, Bytes: 24}}, s.Pairs[0].Rounds[:1]...)
	testutil.CollectAndCount(c)
	want := `
# HELP regferry_bytes_total Bytes of blobs that rounds wrote, counted when a round ends.
# TYPE regferry_bytes_total counter
regferry_bytes_total{pair="eu",phase="blobs",result="written"} 1024
# HELP regferry_objects_total Objects that rounds dealt with, counted when a round ends.
# TYPE regferry_objects_total counter
regferry_objects_total{pair="eu",phase="all",result="damaged"} 7
regferry_objects_total{pair="eu",phase="all",result="undone"} 3
regferry_objects_total{pair="eu",phase="blobs",result="written"} 11
regferry_objects_total{pair="eu",phase="deletions",result="deleted"} 5
regferry_objects_total{pair="eu",phase="links",result="written"} 20
regferry_objects_total{pair="eu",phase="proofs",result="proved"} 9
regferry_objects_total{pair="eu",phase="tags",result="written"} 3
# HELP regferry_rounds_total Rounds that ended, by kind and result.
# TYPE regferry_rounds_total counter
regferry_rounds_total{kind="full",pair="eu",result="complete"} 1
regferry_rounds_total{kind="full",pair="eu",result="failed"} 1
regferry_rounds_total{kind="full",pair="eu",result="incomplete"} 0
regferry_rounds_total{kind="hint",pair="eu",result="complete"} 0
regferry_rounds_total{kind="hint",pair="eu",result="failed"} 0
regferry_rounds_total{kind="hint",pair="eu",result="incomplete"} 0
regferry_rounds_total{kind="other",pair="eu",result="incomplete"} 1
regferry_rounds_total{kind="tags",pair="eu",result="complete"} 1
regferry_rounds_total{kind="tags",pair="eu",result="failed"} 0
regferry_rounds_total{kind="tags",pair="eu",result="incomplete"} 0
`
	if err := testutil.CollectAndCompare(c, strings.NewReader(want), "regferry_bytes_total", "regferry_objects_total", "regferry_rounds_total"); err != nil {
		t.Error(err)
	}
}
