package mirror

import (
	"time"

	"github.com/regferry/regferry/verify/report"
)

// Status is a mirror at a moment, as /status gives it and the page shows it.
// Nothing in it is secret; names in it come from a store and may hold anything.
type Status struct {
	Program string       `json:"program"` // regferry
	Version string       `json:"version"`
	Now     time.Time    `json:"now"`
	Started time.Time    `json:"started"`
	Pairs   []PairStatus `json:"pairs"`
}

// State is a word for what a pair is doing.
type State string

// The states.
const (
	Starting  State = "starting"  // opening both sides
	Standby   State = "standby"   // another mirror holds the lease of the destination
	Running   State = "running"   // a round is under way
	Waiting   State = "waiting"   // for the next round
	BackOff   State = "backoff"   // a side failed; the next round is later than usual
	Stopped   State = "stopped"   // for good: see Reason
	Finishing State = "finishing" // rounds until nothing changes
	Done      State = "done"      // a one-shot job has ended
)

// PairStatus is one source and its destination.
type PairStatus struct {
	Name        string `json:"name"`
	Source      string `json:"source"`
	Destination string `json:"destination"`
	State       State  `json:"state"`
	Reason      string `json:"reason,omitempty"` // why it stands by, backs off or has stopped

	Overdue     bool      `json:"overdue"`                // no round went to its end for longer than it may take
	LastRound   time.Time `json:"last_round,omitzero"`    // when the last complete round ended
	NextRound   time.Time `json:"next_round,omitzero"`    // when the next begins, while waiting
	Lag         float64   `json:"lag_seconds"`            // since when the destination may lack something: the begin of the last complete round; where none was, of the first that went to its end; -1 before
	Hints       int       `json:"hints_queued"`           // repositories that a notification named and that wait
	HintsLost   int64     `json:"hints_dropped"`          // for which there was no room; the next round has them
	Deleting    bool      `json:"deleting"`               // --delete is given
	Refused     *Plan     `json:"refused_plan,omitempty"` // a plan of deletions that a guard refused
	Deleted     int64     `json:"deleted"`                // objects, since the start
	LeaseHolder string    `json:"lease_holder,omitempty"` // who may write the destination

	Now    *Progress        `json:"now,omitempty"` // of the round under way
	Rounds []Round          `json:"rounds"`        // the last ones, newest first, at most MaxRounds, among them the last full one
	Behind []string         `json:"behind"`        // repositories that the last round could not bring up to date, at most MaxBehind
	Found  []report.Finding `json:"findings"`      // of the last round, at most MaxFound
	Failed []report.Failure `json:"failures"`      // of the last round, at most MaxFound
}

// How much a Status holds at most.
const (
	MaxRounds = 100
	MaxBehind = 100
	MaxFound  = 100
)

// Progress is how far a round is. Totals are estimates, 0 while there is none.
type Progress struct {
	Kind         string    `json:"kind"` // full, tags, hint
	Started      time.Time `json:"started"`
	Phase        string    `json:"phase"` // as in migrate.Snapshot, or "deletions", "proofs"
	Objects      int64     `json:"objects"`
	Bytes        int64     `json:"bytes"`
	TotalObjects int64     `json:"total_objects"`
	TotalBytes   int64     `json:"total_bytes"`
	Repositories int64     `json:"repositories"`
	Retries      int64     `json:"retries"`
	Failures     int64     `json:"failures"`
}

// Round is how a round went.
type Round struct {
	Number   uint64    `json:"number"` // from 1, in the order in which rounds ended, since the start
	Kind     string    `json:"kind"`   // full, tags, hint
	Started  time.Time `json:"started"`
	Seconds  float64   `json:"seconds"`
	Complete bool      `json:"complete"` // it looked at everything of its kind and left nothing undone
	Error    string    `json:"error,omitempty"`

	Blobs    int64 `json:"blobs"` // written
	Bytes    int64 `json:"bytes"` // of them
	Links    int64 `json:"links"` // written, other than tags
	Tags     int64 `json:"tags"`  // written
	Undone   int64 `json:"undone"`
	Damage   int64 `json:"damage"` // at the source
	Proved   int64 `json:"proved"` // blobs of the destination that were proved again
	Deleted  int64 `json:"deleted"`
	Absences int64 `json:"absences"` // objects of the destination that the source does not have any more
}

// Plan is a set of deletions.
type Plan struct {
	ID      string    `json:"id"`
	Made    time.Time `json:"made"`
	Objects int64     `json:"objects"`
	Tags    int64     `json:"tags"`
	Blobs   int64     `json:"blobs"`
	Bytes   int64     `json:"bytes"`
	Reason  string    `json:"reason"`  // why it was refused
	Command string    `json:"command"` // what to type to let it through; empty: nothing does
}
